# Goal: a cable that is cut in the middle of a backup or a restore: short, the job goes on; long, it resumes or
# ends with a reason, the node is in *before* or *after*, and the next job goes through.
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"

step "two hosts with some data"
hosts h1 h2
fake_host h1
fake_host h2
more_data() { lab as "$1" "cd $FAKE_STATE/media; for i in 1 2 3 4 5 6 7 8; do head -c 15000000 /dev/urandom >big-\$i.bin; done" </dev/null; }
more_data h1; more_data h2

# upon JOB PATTERN: until an event of the job holds it
upon() {
  local event
  while IFS= read -r event; do [[ $event == *$2* ]] && return; done < <(events "$1")
  return 1
}
ended() { [[ $(job_state "$1") != running && $(job_state "$1") != queued ]]; }
start_backup() { ctl --json backup "$1" --detach | jq -r '.. | .job? // .id? // empty | strings' | head -1; }

step "a short cut in a backup"
job=$(start_backup h1)
upon "$job" '"bytes' || die "no progress: $(ctl job show "$job")"
lab cut h1 </dev/null
sleep 4 # what is tested is a line that is dead for a while
lab mend h1 </dev/null
wait_for 120 ended "$job" || die "it hangs: $(ctl job show "$job")"
[[ $(job_state "$job") == done ]] || die "it failed: $(ctl job show "$job")"
expect 0 ctl show "$(newest h1)"; has complete
[[ $(result h2 | jq -r .state) == complete ]] || die "backup of h2"
snap=$(newest h2) saved=$(picture h2)

step "a long cut, in a backup of one and a restore of the other"
lab as h2 "rm -rf $FAKE_STATE/media; mkdir $FAKE_STATE/media; echo other >$FAKE_STATE/workspace/other.md" </dev/null
other=$(picture h2)
more_data h1
json_out restore h2 --snapshot "$snap" --plan
plan=$(plan_in "$T/out")
backup=$(start_backup h1)
upon "$backup" '"bytes' || die "no progress: $(ctl job show "$backup")"
lab cut h1 </dev/null
restore=$(apply_plan "$plan" h2)
upon "$restore" '"stage"' || die "no stage: $(ctl job show "$restore")"
lab cut h2 </dev/null
wait_for 90 gone h1 || die "the controller did not notice"
wait_for 90 gone h2 || die "the controller did not notice"
lab mend h1 </dev/null; lab mend h2 </dev/null
wait_for 90 connected h1; wait_for 90 connected h2
wait_for 120 ended "$backup" || die "it hangs: $(ctl job show "$backup")"
wait_for 120 ended "$restore" || die "it hangs: $(ctl job show "$restore")"
echo "backup: $(job_state "$backup") $(job_error "$backup"); restore: $(job_state "$restore") $(job_error "$restore")"
[[ $(job_state "$backup") == done || -n $(job_error "$backup") ]] || die "no reason: $(ctl job show "$backup")"
wait_for 60 clean h2 || die "left over: $(leftovers h2)"
wait_for 30 serves h2 || die "no gateway"
now=$(picture h2)
[[ $now == "$other" || $now == "$saved" ]] || die "neither before nor after"

step "the next ones go through"
[[ $(result h1 | jq -r .state) == complete ]] || die "backup"
expect 0 ctl restore h2 --snapshot "$snap" --yes
[[ $(picture h2) == "$saved" ]] || die "restored is another state"
expect 0 rst check --read-data
