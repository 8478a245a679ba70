# ocm.sh - sourced by the integration and end-to-end scripts: one controller and its agents on
# loopback, in a temp folder that goes away at the end. $OCM_BIN is where the programs are.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
top=$(dirname "$(dirname "$here")")
: "${OCM_BIN:?run this through tests/run, or set OCM_BIN to the folder of the built programs}"

T=$(mktemp -d "${TMPDIR:-/tmp}/ocm-test.XXXXXX")
export HOME=$T/home XDG_RUNTIME_DIR=$T/run
mkdir -p "$HOME" "$T/run"; chmod 700 "$T/run"
unset OCM_SOCKET
pids=()

stop_pid() { # PID [SECONDS]: TERM, then KILL after a bound
  local i n=$((${2:-10} * 20))
  kill -TERM "$1" 2>/dev/null || return 0
  for ((i = 0; i < n; i++)); do kill -0 "$1" 2>/dev/null || break; sleep 0.05; done
  kill -KILL "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
}

cleanups=()
at_end() { cleanups=("$*" "${cleanups[@]}"); }
finish() {
  local status=$? p c
  set +e
  trap - EXIT
  for c in "${cleanups[@]}"; do eval "$c"; done
  for p in "${pids[@]}"; do stop_pid "$p" 15; done
  # a sanitizer's report in a daemon's log is a failure even when all else went well
  if grep -lE 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$T"/*.log 2>/dev/null; then
    grep -hE -A12 'ERROR: (Address|Leak|Thread)Sanitizer|WARNING: ThreadSanitizer|runtime error:' "$T"/*.log | head -60
    [[ $status == 0 ]] && status=99
  fi
  if [[ $status != 0 && $status != 77 ]]; then
    for c in "$T"/*.log; do [[ -s $c ]] && { echo "--- $(basename "$c")"; tail -25 "$c"; }; done
  fi
  if [[ -n ${KEEP:-} ]]; then echo "kept: $T"; else chmod -R u+rwX "$T" 2>/dev/null; rm -rf "$T"; fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

die() { echo "FAILED: $*" >&2; exit 1; }
skip() { echo "$*"; exit 77; }
need_root() { [[ $(id -u) == 0 ]] || skip "needs root"; }
step() { echo "== $* ($SECONDS s)"; }

# wait_for SECONDS COMMAND...: until the command succeeds, looked at 20 times a second
wait_for() {
  local i n=$(($1 * 20)); shift
  for ((i = 0; i < n; i++)); do if "$@" >/dev/null 2>&1; then return 0; fi; sleep 0.05; done
  echo "waited in vain for: $*" >&2
  return 1
}

free_ports() { # N: that many free TCP ports, distinct
  python3 - "$1" <<'X'
import socket, sys
s = [socket.socket() for _ in range(int(sys.argv[1]))]
for x in s: x.bind(('127.0.0.1', 0))
print(*[x.getsockname()[1] for x in s])
X
}

# start_controller: $T/controller.conf, repository $T/repo; its pid in $controller
start_controller() {
  if [[ ! -f $T/controller.conf ]]; then
    read -r AGENT_PORT JOIN_PORT < <(free_ports 2)
    cat >"$T/controller.conf" <<X
[controller]
state_dir = $T/controller
[listen]
address = 127.0.0.1
agents = $AGENT_PORT
join = $JOIN_PORT
[repository]
path = $T/repo
free_floor = ${FREE_FLOOR:-16M}
[api]
socket = $T/run/ocm.sock
X
  fi
  "$OCM_BIN/ocm-controller" --config "$T/controller.conf" 2>>"$T/controller.log" &
  controller=$!
  pids+=("$controller")
  wait_for 20 ctl status || die "the controller did not start"
}

ctl() { "$OCM_BIN/ocmctl" --socket "$T/run/ocm.sock" "$@"; }

# agent_conf NAME HOME [LINES...]: $T/agent-NAME.conf
agent_conf() {
  local name=$1 home=$2; shift 2
  { printf '[agent]\nstate_dir = %s\nreconnect_max = 2s\n[openclaw]\nhome = %s\n' "$T/agent-$name" "$home"; printf '%s\n' "$@"; } >"$T/agent-$name.conf"
}

# AGENT is another agent's program, where a test is about versions.
# join_agent NAME: a token, and its one use
join_agent() {
  ctl --json node token "$1" | jq -r .token |
    "${AGENT:-$OCM_BIN/ocm-agent}" --config "$T/agent-$1.conf" join --controller "127.0.0.1:$JOIN_PORT" --name "$1" 2>>"$T/agent-$1.log"
}

# start_agent NAME: its pid in ${agent[NAME]}
declare -A agent
start_agent() {
  HOME=$(sed -n 's/^home = //p' "$T/agent-$1.conf") "${AGENT:-$OCM_BIN/ocm-agent}" --config "$T/agent-$1.conf" run 2>>"$T/agent-$1.log" &
  agent[$1]=$!
  pids+=("$!")
  wait_for 20 connected "$1" || die "agent $1 did not connect"
}
connected() { [[ $(ctl --json node show "$1" | jq -r .node.connected) == true ]]; }

# restic on the controller's repository
rst() { restic --no-cache -r "$T/repo" --password-file "$T/controller/repository.password" "$@"; }

# same_tree A B: content, modes, times, links, xattrs; prints the differences
listing() {
  (cd "$1" && find . -printf '%P|%y|%m|%T@|%l|%n\n' | sed '/^|/d' | sort
   find . -type f -print0 | sort -z | xargs -0 -r sha256sum
   getfattr -R -h -d -m '^user\.' . 2>/dev/null | sort)
}
same_tree() { diff <(listing "$1") <(listing "$2"); }

# ---- nodes, backups and what is compared ----

# node NAME STATE HOME [sample-node's options...]: a sample node, its agent joined and connected; port in $port
node() {
  local name=$1 state=$2 home=$3; shift 3
  port=$(free_ports 1)
  "$top/deploy/sample-node" "$state" "$home" "$port" "$@"
  agent_conf "$name" "$home" "state_dir = $state"
  join_agent "$name"
  start_agent "$name"
}

# expect CODE COMMAND...: runs it, output in $T/out; any other exit code is a failure
expect() {
  local want=$1 got=0; shift
  "$@" >"$T/out" 2>&1 </dev/null || got=$?
  [[ $got == "$want" ]] || { cat "$T/out"; die "exit $got instead of $want: $*"; }
}
has() { grep -qE -- "$1" "${2:-$T/out}" || { cat "${2:-$T/out}"; die "not found: $1"; }; }
hasnt() { if grep -nE -- "$1" "${2:-$T/out}"; then die "found: $1"; fi; }

# settle DIR: until all in it is old enough to be trusted by size and times alone
settle() {
  local newest
  newest=$(find "$1" -printf '%C@\n' | sort -n | tail -1)
  wait_for 10 python3 -c "import sys,time; sys.exit(time.time() < $newest + 2.5)"
}

newest() { ctl --json list "$1" | jq -r '.snapshots[0].id'; } # of a node

# result NODE...: backs it up, the job's result on standard output
result() { ctl --json backup "$@" | jq -c '.jobs[0].result'; }

# assemble RESTORED OUT: what restic restored, put back to where it came from, below OUT
assemble() {
  local at path
  mkdir -p "$2"
  jq -r '.sections[].roots[] | .at + "\t" + .path' "$1/meta.json" >"$T/roots"
  while IFS=$'\t' read -r at path; do
    [[ -e $1/$at ]] || continue
    if [[ -d $1/$at ]]; then mkdir -p "$2$path"; cp -a "$1/$at/." "$2$path/"; else mkdir -p "$(dirname "$2$path")"; cp -a "$1/$at" "$2$path"; fi
    rm -rf "$2$path/rows"
  done <"$T/roots"
}

# state_of DIR: what a backup of a state folder must hold. What OpenClaw rebuilds is left out, a database
# counts by its content; of folders that lost a part by that, the time still counts
state_of() {
  (cd "$1"
   find . -mindepth 1 \( -path ./cache -o -path ./tmp -o -name '*.sqlite-wal' -o -name '*.sqlite-shm' \) -prune -o \
     ! -name '*.sqlite' -printf '%P|%y|%m|%T@|%l|%U:%G\n' | sort
   find . -type f ! -path './cache/*' ! -path './tmp/*' ! -name '*.sqlite*' -print0 | sort -z | xargs -0 -r sha256sum
   find . -type f -links +1 -printf '%i %P\n' | sort | awk '{ if ($1 != i) { printf "\n"; i = $1 } $1 = ""; printf "%s ", $0 }' | sort
   getfattr -R -h -d -m '^user\.' . 2>/dev/null | awk 'BEGIN { RS = ""; ORS = "\n\n" } 1' | sed '/^$/d'
   while read -r db; do
     stat -c '%n %a' "$db"
     ask "$db" 'PRAGMA user_version; PRAGMA integrity_check;'
     ask "$db" .dump
   done < <(find . -name '*.sqlite' | sort))
}
# ask DATABASE SQL: asks a copy: to open a database is to change its folder
ask() {
  local f d
  d=$(mktemp -d "$T/ask.XXXXXX")
  for f in "$1" "$1-wal"; do if [[ -e $f ]]; then cp "$f" "$d/"; fi; done
  sqlite3 "$d/${1##*/}" "$2"
}
same_state() { diff <(state_of "$1") <(state_of "$2"); }

# ---- nodes with a gateway that can be started and stopped ----

gateways() { # once per script; the program ends by itself after a minute
  cc -O1 -D_GNU_SOURCE -o "$T/fake_gateway" "$here/fake_gateway.c" || die "fake_gateway"
  at_end 'for g in "$T"/gw-*/gw; do [[ -x $g ]] && "$g" stop; done'
}

# live_node NAME STATE HOME [options...]: as node; `gw NAME start|stop|status` is its gateway. One that is
# started while $T/gw-NAME/broken exists answers 503 for ever
live_node() {
  local name=$1 state=$2 home=$3; shift 3
  port=$(free_ports 1)
  "$top/deploy/sample-node" "$state" "$home" "$port" "$@"
  mkdir -p "$T/gw-$name"
  cat >"$T/gw-$name/gw" <<X
#!/bin/bash
alive() {
  pid=\$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' "$state"/tmp/openclaw-*/gateway.state.lock 2>/dev/null)
  [[ -n \$pid && \$(readlink /proc/\$pid/exe) == "$T/fake_gateway" ]]
}
case \$1 in
  start) alive && exit 0; bad=; [[ ! -e $T/gw-$name/broken ]] || bad=--not-ready
    "$T/fake_gateway" --state "$state" --port \$(sed -n 's/.*"port": \([0-9]*\).*/\1/p' "$state/openclaw.json" | head -1) \$bad || exit 1
    for ((i = 0; i < 100; i++)); do alive && exit 0; sleep 0.05; done; exit 1 ;;
  stop) alive || exit 0; kill \$pid; for ((i = 0; i < 100; i++)); do alive || exit 0; sleep 0.05; done; exit 1 ;;
  status) alive ;;
esac
X
  chmod 755 "$T/gw-$name/gw"
  agent_conf "$name" "$home" "state_dir = $state" '[gateway]' 'control = exec' "exec_start = $T/gw-$name/gw start" \
    "exec_stop = $T/gw-$name/gw stop" "exec_status = $T/gw-$name/gw status" 'health_wait = 10s' 'stop_wait = 5s'
  join_agent "$name"
  start_agent "$name"
}
gw() { "$T/gw-$1/gw" "$2" </dev/null; }
