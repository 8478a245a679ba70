# Goal: kill the controller, the agent or the job in the middle of a backup: nothing that was there is damaged,
# the job says why it failed, and the next backup goes on from what was durable.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

A=$T/a/.openclaw
start_controller
node one "$A" "$T/a" --files 50
expect 0 ctl backup one
first=$(newest one)
rst restore "$first" --target "$T/first" >/dev/null

fill() { # MIB: that much new random data in files of 4 MiB
  local i
  rm -rf "$A/media/big"; mkdir -p "$A/media/big"
  for ((i = 0; i < $1 / 4; i++)); do head -c 4194304 /dev/urandom >"$A/media/big/$i.bin"; done
}
job_state() { ctl --json job show "$1" | jq -r '.state // .job.state'; }
state_is() { [[ $(job_state "$1") == "$2" ]]; }
repo_bytes() { du -sb "$T/repo/data" | cut -f1; }
begin() { job=$(ctl --json backup one --detach | jq -r '.jobs[0].job // .jobs[0].id // .jobs[0]'); }
pack_bytes() { find "$T/repo/data" -type f -regextype egrep -regex '.*/[0-9a-f]{64}' -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }
grown() { (($(repo_bytes) > $1 + 12000000)); } # packs of this backup are durable
good() { # the repository is whole, and the first backup still restores to what it was
  rst unlock >/dev/null 2>&1 || true
  rst check >"$T/out" 2>&1 || { cat "$T/out"; die "restic check after: $1"; }
  rst restore "$first" --target "$T/again" >/dev/null
  same_tree "$T/first" "$T/again" || die "the first backup is another one after: $1"
  rm -rf "$T/again"
}

step "kill -9 of the controller"
fill 96
size=$(repo_bytes); whole=$(pack_bytes)
begin
wait_for 60 grown "$size"
state_is "$job" running || die "the backup ended too soon to be killed: $(job_state "$job")"
kill -KILL "$controller"; wait "$controller" 2>/dev/null || true
good "kill -9 of the controller"
durable=$(($(pack_bytes) - whole))
mkdir -p "$T/controller/imports"; echo x >"$T/controller/imports/import-abcdef" # an upload at that moment
start_controller
[[ ! -e $T/controller/imports/import-abcdef ]] || die "an upload without a job is kept"
wait_for 30 connected one
state_is "$job" failed || die "job after the restart: $(job_state "$job")"
ctl job show "$job" >"$T/out"; has 'restart|stopped|interrupted|ended'
[[ $(newest one) == "$first" ]] || die "a snapshot of a killed backup"
r=$(result one)
[[ $(jq -r .state <<<"$r") == complete ]] || die "the next backup: $r"
sent=$(jq .bytes_sent <<<"$r")
echo "whole packs at the kill: $durable, sent after it: $sent"
((durable > 12000000 && sent < 96 * 1048576 - durable + 2097152)) || die "what was durable was sent again: $durable, $sent"
good "the backup after it"

step "kill -9 of the agent"
fill 96
size=$(repo_bytes)
begin
wait_for 60 grown "$size"
kill -KILL "${agent[one]}"; wait "${agent[one]}" 2>/dev/null || true
durable=$(($(repo_bytes) - size))
start_agent one
# the job waits for its node a while, and goes on when it is back
wait_for 60 state_is "$job" 'done' || die "job: $(job_state "$job")"
sent=$(ctl --json job show "$job" | jq '.result.bytes_sent // .job.result.bytes_sent')
echo "arrived before the kill: $durable, sent after it: $sent"
((sent < 96 * 1048576 - durable / 2)) || die "what had arrived was sent again: $durable, $sent"
[[ -z $(find "$T/agent-one" -name '*.tmp' -o -name 'copy-*') ]] || die "left in the agent's folder"
good "kill -9 of the agent"

step "cancel"
fill 96
size=$(repo_bytes)
last=$(newest one)
begin
wait_for 60 grown "$size"
expect 0 ctl job cancel "$job"
wait_for 30 state_is "$job" cancelled || die "job: $(job_state "$job")"
[[ $(newest one) == "$last" ]] || die "a snapshot of a cancelled backup"
expect 0 ctl backup one
good "cancel"

step "an agent that is stopped does not hold up the others, and comes back"
node two "$T/b/.openclaw" "$T/b" --empty
kill -STOP "${agent[one]}"
begin
stopped=$job
expect 0 ctl backup two
expect 0 ctl job cancel "$stopped"
wait_for 30 state_is "$stopped" cancelled || die "job: $(job_state "$stopped")"
kill -CONT "${agent[one]}"
wait_for 60 connected one
expect 0 ctl backup one
