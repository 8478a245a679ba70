#!/bin/bash
# Goal: ten hosts are added at once, and a file of hosts with bad ones among them does not hold up the good ones.
export LAB_KIND=ssh
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"
. "$here/ssh.sh"

names=(h0 h1 h2 h3 h4 h5 h6 h7 h8 h9)
step "ten hosts with sshd and OpenClaw"
hosts "${names[@]}"
ssh_ready "${names[@]}"
for h in "${names[@]}"; do sample_on "$h" claw 28789; echo "root@$(lab ip "$h")"; done >"$T/hosts"
# one that never answers stands first, one that refuses last
{ echo "root@$(lab gateway | sed 's/1$/250/')"; cat "$T/hosts"; echo "root@$(lab ip h0):2"; } >"$T/mixed"

step "at once"
begun=$SECONDS
expect 1 add -f "$T/mixed" -i "$T/key" --accept-new --yes --parallel 12
for h in "${names[@]}"; do has "ok: $h, backup complete"; done
has "10 of 12 hosts done"
echo "ten hosts in $((SECONDS - begun)) s"
[[ $(ctl --json node list | jq '[.nodes[] | select(.connected and .last_backup.state == "complete")] | length') == 10 ]] || die "not all are there"
rst check -q >"$T/out" 2>&1 || { cat "$T/out"; die "the repository"; }

step "again, in JSON: all are repaired, none is doubled"
add -f "$T/hosts" -i "$T/key" --yes --parallel 10 --json >"$T/out" 2>"$T/err" </dev/null || { cat "$T/out" "$T/err"; die "again"; }
[[ $(jq '[.hosts[] | select(.ok and .nodes[0].action == "repair")] | length' "$T/out") == 10 ]] || { cat "$T/out"; die "not repaired"; }
[[ $(ctl --json node list | jq '.nodes | length') == 10 ]] || die "doubled"
