# Goal: a node of early 2026, all state in files, is backed up and cloned under the same version, and to an
# OpenClaw of today, whose own upgrade is asked for; newer state on an older OpenClaw is refused.
. "$(dirname "$(readlink -f "$0")")/../lib/gateways.sh"

OLD=$(openclaw_bin 2026.2.12) NEW=$(openclaw_bin)
A=$T/a B=$T/b N=$T/n
SA=$A/www/server/openclaw HA=$A/www/wwwroot SB=$B/home/linou/.openclaw HB=$B/home/linou SN=$N/home/jo/.openclaw HN=$N/home/jo
for g in "$A" "$B" "$N"; do at_end "stop_gateway $g"; done
read -r PA PB PN < <(gateway_ports 3)

step "three nodes: an old one, a fresh one of the same version, a fresh one of today"
"$top/deploy/sample-openclaw" "$OLD" "$A" "$SA" "$HA" "$PA" full </dev/null >"$T/make-a.log" 2>&1 & a=$!
"$top/deploy/sample-openclaw" "$OLD" "$B" "$SB" "$HB" "$PB" fresh </dev/null >"$T/make-b.log" 2>&1 & b=$!
"$top/deploy/sample-openclaw" "$NEW" "$N" "$SN" "$HN" "$PN" fresh </dev/null >"$T/make-n.log" 2>&1 & n=$!
start_controller
wait $a || die "the old node"
wait $b || die "the fresh node"
wait $n || die "the node of today"
real_agent old "$SA" "$HA" "$A" "$OLD"
real_agent fresh "$SB" "$HB" "$B" "$OLD"
real_agent today "$SN" "$HN" "$N" "$NEW"

step "backup, live"
r=$(result old)
[[ $(jq -r .state <<<"$r") == complete ]] || { ctl show latest:old; die "the backup is $r"; }
snap=$(newest old)
expect 0 rst dump "$snap" /meta.json
[[ $(jq -r '.era + " " + .openclaw' "$T/out") == 'files 2026.2.12' ]] || die "era or version: $(head -c 600 "$T/out")"
expect 0 rst dump "$snap" /config/cron/cron/jobs.json

step "a clone under the same version, without the source"
stop_gateway "$A"; stop_pid "${agent[old]}"
mv "$A" "$A.gone"
expect 0 ctl migrate old fresh --clone --yes --snapshot "$snap"
acceptance "$B" "$SB" "$OLD" 2 3 || die "the clone does not work"
if grep -rn "$A" "$SB/openclaw.json" "$SB/.env" "$SB/cron/jobs.json"; then die "a path of the source is left"; fi
[[ $(port_of "$SB") == "$PB" ]] || die "the port of the source"

step "older state on a newer OpenClaw: said, with what to do"
json_out migrate old today --clone --plan --snapshot "$snap"
jq -e '[.. | objects | select(.code? == "version")] | length > 0' "$T/out" >/dev/null || { cat "$T/out"; die "no warning about the version"; }
jq -r '[.. | objects | select(.code? == "version")][0] | "\(.blocking) \(.text)"' "$T/out"
jq -e '[.. | objects | select(.code? == "version")][0].text | test("2026\\.2\\.12") and test("2026\\.9\\.6")' "$T/out" >/dev/null || die "it names no versions"

step "and upgraded by that OpenClaw when it is asked for"
expect 0 ctl migrate old today --clone --plan --snapshot "$snap" --upgrade-state
has '2026.2.12 → 2026.9.6'
ctl migrate old today --clone --yes --snapshot "$snap" --upgrade-state >"$T/out" 2>&1 </dev/null || { cat "$T/out"; tail -30 "$N/gateway.log"; die "the upgrade"; }
acceptance "$N" "$SN" "$NEW" 2 3 || die "the upgraded node does not work"

step "newer state on an older OpenClaw: refused"
json_out migrate today fresh --clone --plan
jq -e '[.. | objects | select(.code? == "version" and .blocking == true)] | length > 0' "$T/out" >/dev/null || { cat "$T/out"; die "not blocked"; }
before=$(sha256sum <"$SB/openclaw.json")
if ctl migrate today fresh --clone --yes >"$T/out" 2>&1 </dev/null; then die "it was applied"; fi
[[ $(sha256sum <"$SB/openclaw.json") == "$before" ]] || die "something was changed"
alive "$B" "$PB" || die "the target's gateway does not run"
