# gateways.sh - sourced by the end-to-end scripts in place of ocm.sh: nodes with a real OpenClaw.

# ocm.sh changes HOME: where installations live is asked for before
if [[ -z ${OCM_CACHE:-} ]]; then
  if [[ $(id -u) == 0 ]]; then OCM_CACHE=/var/cache/ocm-tests; else OCM_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/ocm-tests; fi
fi
export OCM_CACHE
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/ocm.sh"

# openclaw_bin [VERSION]: the command, installed if it is missing
openclaw_bin() { echo "$("$top/tests/lib/openclaw" install "$@")/bin/openclaw"; }

# gateway_ports N: as free_ports, with room for what a gateway opens beside its port
gateway_ports() {
  python3 - "$1" <<'X'
import random, socket, sys
def free(p):
    with socket.socket() as s:
        try: s.bind(('127.0.0.1', p)); return True
        except OSError: return False
out = []
while len(out) < int(sys.argv[1]):
    p = random.randrange(20000, 30000, 200)
    if p not in out and all(free(p + i) for i in (0, 2, 3, 11)): out.append(p)
print(*out)
X
}

# real_agent NAME STATE HOME BASE OPENCLAW: join and start the agent of a node that deploy/sample-openclaw made
real_agent() {
  agent_conf "$1" "$3" "state_dir = $2" "bin = $5" '[gateway]' 'control = exec' "exec_start = $4/gateway start" \
    "exec_stop = $4/gateway stop" "exec_status = $4/gateway status"
  join_agent "$1"
  start_agent "$1"
}

# a gateway would outlive a failed test: at_end stop_gateway BASE
stop_gateway() { if [[ -x $1/gateway ]]; then "$1/gateway" stop >/dev/null 2>&1 || true; fi; }

port_of() { jq -r .gateway.port "$1/openclaw.json"; }

# alive BASE PORT: the process is there and it says that it is ready
alive() { "$1/gateway" status >/dev/null && curl -fs -m 3 "http://127.0.0.1:$2/readyz" >/dev/null; }

# cron_jobs BASE OPENCLAW: names of the user's jobs, as the running gateway tells them, one a line. OpenClaw's
# own are declared.
cron_jobs() {
  "$1/env" "$2" cron list --all --json 2>/dev/null </dev/null |
    jq -r '.jobs[] | select(.declarationKey == null) | .name' | sort
}

# acceptance BASE STATE OPENCLAW AGENTS JOBS: the node below BASE works: its config is valid, its gateway is
# ready and still alive 3 s later, it has that many agents, all their workspaces stand below BASE, and it has
# that many cron jobs of the user. Prints what is wrong. Somebody else starts the gateway.
acceptance() {
  local base=$1 state=$2 oc=$3 bad=0 port agents jobs w
  fault() { echo "not accepted: $*"; bad=1; }
  port=$(port_of "$state") || { fault "no port in $state/openclaw.json"; return 1; }
  if [[ $oc != */2026.2.* ]]; then # which has no such command
    "$base/env" "$oc" config validate >"$T/validate" 2>&1 </dev/null || fault "config validate: $(tail -1 "$T/validate")"
  fi
  wait_for 90 alive "$base" "$port" 2>/dev/null || { fault "not ready on port $port"; return 1; }
  sleep 3 # a start that fails late is ready before it dies
  alive "$base" "$port" || fault "died after it was ready"
  agents=$("$base/env" "$oc" agents list --json 2>/dev/null </dev/null) || agents='[]'
  [[ $(jq length <<<"$agents") == "$4" ]] || fault "$(jq length <<<"$agents") agents, not $4"
  while IFS= read -r w; do
    [[ -d $w && $w == "$base"/* ]] || fault "workspace $w"
  done < <(jq -r '.[].workspace' <<<"$agents")
  jobs=$(cron_jobs "$base" "$oc") || fault "cron list failed"
  [[ $(grep -c . <<<"$jobs") == "$5" ]] || fault "$(grep -c . <<<"$jobs") cron jobs, not $5"
  return $bad
}

# json_out COMMAND...: of ocmctl; its document alone in $T/out
json_out() {
  ctl --json "$@" >"$T/out" 2>"$T/err" </dev/null || { cat "$T/err" "$T/out"; die "$*"; }
}
