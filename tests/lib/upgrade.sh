# upgrade.sh - sourced by the scripts about upgrades, behind ocm.sh: agents of three versions, made for the key of
# this build folder, and packages of them and of programs that only look like one.
A0=$OCM_BIN/../test-agents/0.0.9/ocm-agent # from before features
A1=$OCM_BIN/../test-agents/1.0.0/ocm-agent
A2=$OCM_BIN/../test-agents/1.1.0/ocm-agent
for a in "$A0" "$A1" "$A2"; do [[ -x $a ]] || die "no agents for this test in $(dirname "$OCM_BIN"): build all of it"; done
KEY=$OCM_BIN/../tests/unit/upgrade/release.key
ARCH=$(uname -m)

# package NAME VERSION FILE [KEY]: $T/NAME/ocm-agent-ARCH.package
package() {
  mkdir -p "$T/$1"
  cp "$3" "$T/$1/ocm-agent-$ARCH"
  "$OCM_BIN/ocm-release-sign" sign "${4:-$KEY}" "$2" "$T/$1/ocm-agent-$ARCH" >/dev/null
}
pkg() { echo "$T/$1/ocm-agent-$ARCH.package"; }

# script VERSION COMMANDS...: a program that says it is an agent, and does this when it is to run
script() {
  local version=$1; shift
  printf '#!/bin/sh\nif [ "$1" = --version ]; then echo "ocm-agent %s"; exit; fi\n' "$version"
  printf '%s\n' "$@"
}

old_agent() { # NAME: a node with a short trial whose installed agent is 1.0.0
  "$top/deploy/sample-node" "$T/$1/.openclaw" "$T/$1" 18789 --empty
  agent_conf "$1" "$T/$1" "state_dir = $T/$1/.openclaw"
  sed -i "s/^reconnect_max = .*/reconnect_max = 1s\nupgrade_wait = ${WAIT:-3s}/" "$T/agent-$1.conf"
  AGENT=$A1 join_agent "$1"
  AGENT=$A1 start_agent "$1"
  at_end "end_agents $1"
}
version_of() { ctl --json node show "$1" | jq -r .node.agent_version; }
runs() { connected "$1" && [[ $(version_of "$1") == "$2" ]]; } # NODE VERSION
state_line() { sed -n "s/^$2 = //p" "$T/agent-$1/upgrade.conf" 2>/dev/null; }
settled() { [[ $(state_line "$1" trial) == no ]]; }
# The processes of a node's agent, the watcher among them: found by its config, which no other has
agent_pids() {
  local p
  for p in $(pgrep -f -- "--config $T/agent-$1.conf (run|watch-upgrade)"); do echo "$p"; done
}
end_agents() { # NODE [SIGNAL]: all of them are gone after it
  local p
  for p in $(agent_pids "$1"); do kill -"${2:-TERM}" "$p" 2>/dev/null || true; done
  wait_for 15 eval "[[ -z \$(agent_pids $1) ]]" || for p in $(agent_pids "$1"); do kill -KILL "$p" 2>/dev/null || true; done
}
alone() { [[ $(agent_pids "$1" | wc -l) == 1 ]]; } # no watcher any more
outcome() { jq -r ".nodes[] | select(.node == \"$1\") | .state" <<<"$(jq '.result // .job.result' "$T/out.json")"; }
# upgrade CODE NODE ARGS...: its exit code, or "fails" for any but 0 and 3; the job in $T/out.json, what was said in $T/out
upgrade() {
  local want=$1 got=0; shift
  ctl --json node upgrade "$@" >"$T/out.json" 2>"$T/out" </dev/null || got=$?
  cat "$T/out.json" >>"$T/out"
  case $want:$got in fails:0 | fails:3) ;; fails:* | "$got:$got") return 0 ;; esac
  cat "$T/out"; die "exit $got instead of $want: node upgrade $*"
}
