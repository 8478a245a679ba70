# Goal: an image of a node that is started on a second machine is noticed: of two with one identity the first
# stays, nothing is changed on the node, and a person's word ends it. A restart, or a disk that moves, is none.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

duplicate() { ctl --json node show one | jq -r .node.duplicate_since; }
marked() { [[ $(duplicate) != null ]]; }
logged() { grep -qE -- "$2" "$T/$1.log"; }
image() { # NAME: what was joined as one, as another machine would start it
  cp -a "$T/agent-one" "$T/agent-$1"
  sed "s|agent-one|agent-$1|" "$T/agent-one.conf" >"$T/agent-$1.conf"
}
launch() { # NAME: without waiting for a connection
  "$OCM_BIN/ocm-agent" --config "$T/agent-$1.conf" run 2>>"$T/agent-$1.log" </dev/null &
  agent[$1]=$!
  pids+=("$!")
}

start_controller
node one "$T/a/.openclaw" "$T/a" --empty

step "restarts, kills and a disk that moves"
for how in TERM KILL KILL; do
  kill "-$how" "${agent[one]}"; wait "${agent[one]}" 2>/dev/null || true
  start_agent one
done
stop_pid "${agent[one]}"
image moved
launch moved
wait_for 20 connected one || die "the moved disk"
stop_pid "${agent[moved]}"
stop_pid "$controller"; start_controller
cp -a "$T/agent-moved/." "$T/agent-one/"
start_agent one
marked && die "one machine was taken for two"

step "a second machine"
image twin
launch twin
wait_for 30 marked || die "the second machine was not noticed"
wait_for 10 logged controller 'node=one the same identity runs on two machines.*ocmctl node single one' || die "no line in the log"
[[ $(grep -c 'runs on two machines' "$T/controller.log") == 1 ]] || die "said more than once"
refused() { logged agent-one 'refused us: the same identity' || logged agent-twin 'refused us: the same identity'; }
wait_for 10 refused || die "neither was refused"
connected one || die "the first did not stay"
expect 0 ctl node list; has 'one +double'
expect 0 ctl node show one; has 'two machines since .*ocmctl node single one'
expect 0 ctl backup one
ctl node gateway one stop >"$T/out" 2>&1 && die "a gateway was stopped, of whichever machine"
has 'two machines.*node single'
ctl restore one --yes >"$T/out" 2>&1 && die "restored to whichever machine"
has 'two machines.*node single'
stop_pid "$controller"; start_controller
wait_for 20 connected one
marked || die "forgotten over a restart"

step "a person's word"
stop_pid "${agent[twin]}"
wait_for 20 connected one
expect 0 ctl node single one
marked && die "still marked"
expect 0 ctl node gateway one status
kill -KILL "${agent[one]}"; wait "${agent[one]}" 2>/dev/null || true
start_agent one
marked && die "marked again"
launch twin
wait_for 30 marked || die "the second machine was not noticed again"
