# hosts.sh - sourced by the end-to-end scripts in place of ocm.sh: Debian hosts (tests/lib/lab) with an agent
# under the shipped unit, and the controller on this machine. Needs root.
[[ $(id -u) == 0 ]] || { echo "needs root"; exit 77; }
. "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/gateways.sh"

# hosts run what was built here, so they are the same Debian
LAB_SUITE=$(. /etc/os-release; echo "$VERSION_CODENAME")
LAB_ID=$((RANDOM % 150 + 100))
while [[ -e $OCM_CACHE/lab-$LAB_ID || -e /sys/class/net/ocmlab$LAB_ID ]]; do LAB_ID=$((RANDOM % 150 + 100)); done
export LAB_SUITE LAB_ID
lab() { "$here/lab" "$@"; }
at_end 'lab down </dev/null >/dev/null 2>&1'

# hosts NAME...: boots them, and starts the controller where they see it
hosts() {
  local h starts=()
  lab up "$1" </dev/null || die "no host" # makes the base system, once
  for h in "${@:2}"; do lab up "$h" </dev/null & starts+=("$!"); done
  for h in "${starts[@]}"; do wait "$h" || die "no host"; done
  GATEWAY=$(lab gateway)
  read -r AGENT_PORT JOIN_PORT < <(free_ports 2)
  cat >"$T/controller.conf" <<X
[controller]
state_dir = $T/controller
[listen]
address = $GATEWAY
agents = $AGENT_PORT
join = $JOIN_PORT
[repository]
path = $T/repo
free_floor = 16M
[api]
socket = $T/run/ocm.sock
X
  start_controller
}

# static_agent ARCH: builds it beside the programs under test and prints where it is
static_agent() {
  local out
  out=$(dirname "$OCM_BIN")/agents
  CCACHE_DIR=${CCACHE_DIR:-$OCM_CACHE/ccache} "$top/deploy/build-static" --out "$out" "$1" >"$T/static.out" 2>&1 9>&- ||
    { cat "$T/static.out" >&2; return 1; }
  echo "$out/ocm-agent-$1"
}

# host_programs NAME: the agent ($AGENT, or the one under test), the libraries it needs, and the shipped unit for
# user claw
host_programs() {
  local root lib agent=${AGENT:-$OCM_BIN/ocm-agent}
  root=$(lab root "$1")
  install -m 755 "$agent" "$root/usr/bin/ocm-agent"
  while IFS= read -r lib; do
    [[ -e $root/lib/$(uname -m)-linux-gnu/${lib##*/} || -e $root/usr/local/lib/${lib##*/} ]] || cp -L "$lib" "$root/usr/local/lib/"
  done < <(ldd "$agent" | awk '$3 ~ /^\// { print $3 }')
  install -D -m 644 "$top/deploy/systemd/ocm-agent@.service" "$root/etc/systemd/system/ocm-agent@.service"
  mkdir -p "$root/etc/systemd/system/ocm-agent@claw.service.d" "$root/etc/ocm"
  # a sanitizer of the build under test: its leak check would need ptrace, which the unit forbids
  printf '[Service]\nEnvironment=ASAN_OPTIONS=detect_leaks=0\n' >"$root/etc/systemd/system/ocm-agent@claw.service.d/test.conf"
  lab run "$1" ldconfig </dev/null
  lab run "$1" systemctl daemon-reload </dev/null
}

# host_agent NAME [LINES...]: agent.conf with these lines, joined at $CONTROLLER (or the address), enabled, connected
host_agent() {
  local name=$1 root token; shift
  host_programs "$name"
  root=$(lab root "$name")
  { printf '[agent]\nstate_dir = /var/lib/ocm-agent/claw\nreconnect_max = 1s\n[openclaw]\nhome = /home/claw\n'; printf '%s\n' "$@"; } >"$root/etc/ocm/agent-claw.conf"
  lab run "$name" install -d -o claw -g claw -m 700 /var/lib/ocm-agent/claw </dev/null
  token=$(ctl --json node token "$name" | jq -r .token)
  lab run "$name" runuser -u claw -- env ASAN_OPTIONS=detect_leaks=0 ocm-agent --config /etc/ocm/agent-claw.conf \
    join --controller "${CONTROLLER:-$GATEWAY}:$JOIN_PORT" --name "$name" <<<"$token" 2>>"$T/agent-$name.log" || die "$name did not join"
  lab run "$name" systemctl enable -q --now ocm-agent@claw.service </dev/null || { host_log "$name"; die "the agent of $name"; }
  wait_for 30 connected "$name" || { host_log "$name"; die "$name did not connect"; }
}
host_log() { lab run "$1" journalctl -u 'ocm-agent@*' -n "${2:-40}" --no-pager -o cat </dev/null || true; }

# events JOB: its events, one JSON document a line, until it ends
events() {
  curl -sN --unix-socket "$T/run/ocm.sock" "http://localhost/api/v1/jobs/$1/events" 2>/dev/null | sed -nu 's/^data: *//p'
}

# ---- hosts with a gateway that is none, where OpenClaw itself is not what is tested ----

FAKE_STATE=/home/claw/.openclaw FAKE_PORT=28789
# fake_host NAME [sample-node's options...]: a sample node, its gateway as a user unit, its agent
fake_host() {
  local name=$1 root; shift
  root=$(lab root "$name")
  cc -O1 -static -D_GNU_SOURCE -DLIFE_SECONDS=900 -o "$root/usr/local/bin/fake_gateway" "$here/fake_gateway.c" || die "fake_gateway"
  install -m 755 "$top/deploy/sample-node" "$root/usr/local/bin/sample-node"
  lab as "$name" "sample-node $FAKE_STATE /home/claw $FAKE_PORT $*" </dev/null
  mkdir -p "$root/home/claw/.config/systemd/user"
  cat >"$root/home/claw/.config/systemd/user/openclaw-gateway.service" <<X
[Unit]
StartLimitIntervalSec=0
[Service]
Type=forking
GuessMainPID=no
ExecStart=/usr/local/bin/fake_gateway --state $FAKE_STATE --port $FAKE_PORT --slow-stop 400
Restart=always
RestartSec=1
[Install]
WantedBy=default.target
X
  lab run "$name" chown -R claw:claw /home/claw/.config </dev/null
  lab as "$name" "systemctl --user daemon-reload && systemctl --user enable -q --now openclaw-gateway" </dev/null
  host_agent "$name" "state_dir = $FAKE_STATE" '[gateway]' 'control = user-unit' 'unit = openclaw-gateway' 'health_wait = 15s' 'stop_wait = 10s'
}
serves() { lab run "$1" curl -fs -m 2 "http://127.0.0.1:${2:-$FAKE_PORT}/readyz" </dev/null; }
gone() { [[ $(ctl --json node show "$1" | jq -r .node.connected) == false ]]; }

# picture NAME: content, names and modes of the state; what a running gateway writes is left out
picture() {
  (cd "$(lab root "$1")$FAKE_STATE"
   find . -path ./tmp -prune -o ! -name '*.sqlite*' ! -name started.log -printf '%P %y %m %l\n' | sort
   find . -path ./tmp -prune -o -type f ! -name '*.sqlite*' ! -name started.log -print0 | sort -z | xargs -0 sha256sum
   find . -path ./tmp -prune -o -name '*.sqlite' -print | sort | while IFS= read -r f; do ask "$f" .dump; done) | sha256sum
}

# leftovers NAME: journals, stages and guards that stand there
leftovers() {
  local root
  root=$(lab root "$1")
  find "$root/var/lib/ocm-agent/claw" "$root/home/claw" \( -name '*.journal' -o -name '.ocm-stage*' -o -name '.ocm-new*' -o -name '*guard*' \) 2>/dev/null
}
clean() { [[ -z $(leftovers "$1") ]]; }

# plan_in FILE: the id of the plan that `ctl --json ... --plan` wrote there; apply_plan PLAN NODE: its job
plan_in() { jq -r '.. | objects | select(has("plan") and (.plan | type == "string")) | .plan' "$1" | head -1; }
apply_plan() {
  curl -s --max-time 20 --unix-socket "$T/run/ocm.sock" -H 'Content-Type: application/json' \
    -d "{\"plan\":\"$1\",\"confirm\":\"$2\"}" http://localhost/api/v1/restores >"$T/answer" || die "no answer from the API"
  jq -er .job "$T/answer" 2>/dev/null || die "no job for plan $1: $(head -c 2000 "$T/answer")"
}
# job_state JOB: its state; job_error JOB: the code of its error
job_state() { ctl --json job show "$1" | jq -r '.job.state'; }
job_error() { ctl --json job show "$1" | jq -r '.job.error.code // empty'; }
