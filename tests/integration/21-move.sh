# Goal: a move stops and fences the source, the target takes over with what was in the source at its end; a source
# that cannot be stopped needs a word; a target that does not come up is put back and the source goes on.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

gateways
start_controller
A=$T/a/www/server/openclaw B=$T/b/home/linou/.openclaw
live_node src "$A" "$T/a/www/wwwroot"
live_node dst "$B" "$T/b/home/linou" --empty
gw src start; gw dst start
runs() { gw "$1" status; }
runs src && runs dst || die "the fake gateways do not run"

step "the target does not come up: all is as it was, and the source runs again"
before_dst=$(state_of "$B" | grep -v 'started.log\|tmp/' | sha256sum)
touch "$T/gw-dst/broken"
expect 1 ctl migrate src dst --move --yes
has 'rolled-back'
[[ $(state_of "$B" | grep -v 'started.log\|tmp/' | sha256sum) == "$before_dst" ]] || die "the target is another"
rm "$T/gw-dst/broken"
wait_for 20 runs src || die "the source was left stopped"
wait_for 20 runs dst || gw dst start

step "move"
ctl --json migrate src dst --move --plan >"$T/plan.json"
[[ $(jq -r .job.result.intention "$T/plan.json") == move ]] || die "intention"
jq -r '.job.result.warnings[] | select(.code == "fence") | .text' "$T/plan.json" >"$T/out"
has 'binds only starts through the agent' # commands of agent.conf have no unit that could carry it
echo 'written after the plan' >"$A/workspace/late.md"
expect 0 ctl migrate src dst --apply "$(jq -r .job.result.plan "$T/plan.json")" --yes
has applied
runs src && die "two gateways live"
wait_for 20 runs dst || die "the target does not run"
has 'written after the plan' "$B/workspace/late.md"
has '"enabled": true' "$B/openclaw.json"
hasnt "$T/a" "$B/openclaw.json"; hasnt "$T/a" "$B/.env"

step "the fence holds"
gw dst stop
expect 0 ctl migrate dst src --clone --yes
has 'fenced and stays down' # it is not started by us either
runs src && die "a fenced gateway was started"

step "a move back frees the one that shall live now"
gw dst start
expect 0 ctl migrate dst src --move --yes
wait_for 20 runs src || die "the old source does not run"
runs dst && die "two gateways live"

step "a fence can be taken away by hand"
expect 12 ctl node gateway dst start
expect 0 ctl node gateway dst unfence
expect 0 ctl node gateway dst start
wait_for 20 runs dst || die "it does not run when the fence is gone"

step "a source that is gone needs a word"
live_node third "$T/c/.openclaw" "$T/c" --empty
stop_pid "${agent[dst]}"
expect 13 ctl migrate dst third --move --yes --snapshot "$(newest dst)"
has 'source-gone|not connected'
hasnt 'not known'

step "source and target both away: it fails, nothing was asked, and the controller lives"
ctl --json migrate dst third --move --plan --snapshot "$(newest dst)" >"$T/plan.json" 2>&1 </dev/null || true
plan=$(jq -r .job.result.plan "$T/plan.json")
stop_pid "${agent[third]}"
wait_for 10 eval '! connected third'
expect 13 ctl migrate dst third --apply "$plan" --source-gone --yes
has 'third: the node is not connected'
hasnt 'not known'
ctl status >/dev/null || die "the controller has ended"
