# Goal: a host that loses power at any step of a restore is in *before* or *after* when it is back: the
# agent recovers by itself, the gateway runs, nothing is left over.
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"

step "a host with a node and a gateway of its own"
hosts h1
fake_host h1 --files 400
wait_for 20 serves h1 || die "the gateway of the test does not serve"

step "two states, both in backups"
[[ $(result h1 | jq -r .state) == complete ]] || die "backup"
snap[0]=$(newest h1) pic[0]=$(picture h1)
lab as h1 "cd $FAKE_STATE; rm -rf workspace/projects/note-1*; for i in \$(seq 300); do echo new \$i >workspace/new-\$i.md; done
  sed -i 's/\"port\"/\"x\": 1, \"port\"/' openclaw.json; sqlite3 state/openclaw.sqlite 'CREATE TABLE later(a); INSERT INTO later VALUES(1)'" </dev/null
pic[1]=$(picture h1)
[[ ${pic[0]} != "${pic[1]}" ]] || die "the picture shows no difference"
[[ $(result h1 | jq -r .state) == complete ]] || die "backup"
snap[1]=$(newest h1)
now=1 after=0 before=0

for moment in stage safety stop swap start health end; do
  want=$((1 - now))
  seen=
  for attempt in 1 2 3; do # facts of a host that just came up may still change: then the plan is made again
    json_out restore h1 --snapshot "${snap[want]}" --plan
    cp "$T/out" "$T/plan.$attempt"
    plan=$(plan_in "$T/out")
    job=$(apply_plan "$plan" h1)
    while IFS= read -r event; do
      [[ $event == *"\"step\":\"$moment\""* || $event == *"\"step\": \"$moment\""* ]] || continue
      seen=1; break
    done < <(events "$job")
    if [[ $moment == end && $(job_state "$job") == done ]]; then seen=1; fi
    [[ -z $seen && $(job_error "$job") == changed ]] || break
    echo "$moment: the plan had changed"
  done
  lab kill h1 </dev/null
  [[ -n $seen ]] || die "no step $moment: $(ctl job show "$job")"
  wait_for 90 gone h1 || die "the controller did not see the loss"
  lab up h1 </dev/null
  wait_for 60 connected h1 || { host_log h1; die "the agent did not come back after $moment"; }
  wait_for 30 clean h1 || die "left over after $moment: $(leftovers h1)"
  wait_for 30 serves h1 || { host_log h1; lab as h1 'systemctl --user status openclaw-gateway' </dev/null; die "no gateway after $moment"; }
  p=$(picture h1)
  if [[ $p == "${pic[now]}" ]]; then echo "$moment: as before"; before=$((before + 1))
  elif [[ $p == "${pic[want]}" ]]; then echo "$moment: as restored"; after=$((after + 1)); now=$want
  else die "power lost at $moment: neither before nor after"; fi
done
((before > 0 && after > 0)) || die "$before times before, $after times restored"

step "a restore goes through now"
want=$((1 - now))
expect 0 ctl restore h1 --snapshot "${snap[want]}" --yes
[[ $(picture h1) == "${pic[want]}" ]] || die "the restored state is another"
expect 0 rst check --read-data
