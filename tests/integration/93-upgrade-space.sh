# Goal: a disk without room for a new agent is said before a byte of it comes; one that gets full in a trial keeps the
# node on its way back until there is room again.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"
need_root # to mount a small file system
. "$here/upgrade.sh"

mkdir -p "$T/agent-one"
mount -t tmpfs -o "size=8m,mode=700" ocm-test "$T/agent-one" 2>/dev/null || skip "cannot mount a tmpfs here"
at_end "umount -l '$T/agent-one'"
start_controller
old_agent one
{ script 1.1.0 'exec sleep 60'; echo exit; head -c 12000000 /dev/zero; } >"$T/big.sh"; package big 1.1.0 "$T/big.sh"

step "no room for it"
upgrade fails one --from "$(pkg big)"
has 'no room for 120[0-9]* bytes'
runs one 1.0.0 || die "version: $(version_of one)"
[[ -z $(ls -A "$T/agent-one/bin") ]] || die "left: $(ls "$T/agent-one/bin")"

step "full in the trial: the way back waits for room"
mount -o remount,size=40m "$T/agent-one"
job=$(ctl --json node upgrade one --from "$(pkg big)" --detach 2>/dev/null | jq -r .job)
wait_for 30 eval '[[ $(state_line one trial) == yes && $(state_line one attempts) == 1 ]]'
head -c 60000000 /dev/zero >"$T/agent-one/filler" 2>/dev/null || true
wait_for 30 grep -q 'No space left' "$T/agent-one.log" || die "it did not try"
[[ $(state_line one trial) == yes ]] || die "$(cat "$T/agent-one/upgrade.conf")"
rm "$T/agent-one/filler"
wait_for 30 runs one 1.0.0 || die "version: $(version_of one)"
wait_for 30 eval '[[ $(ctl --json job show "$job" | jq -r .job.state) == failed ]]'
ctl job show "$job" >"$T/out"; has 'did not reach the controller'
