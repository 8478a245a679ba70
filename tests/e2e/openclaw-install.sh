# Goal: a node with Node.js and npm but no OpenClaw gets the backup's version of it with its state, and runs.
. "$(dirname "$(readlink -f "$0")")/../lib/gateways.sh"

OC=$(openclaw_bin)
A=$T/old B=$T/new
SA=$A/www/server/openclaw HA=$A/www/wwwroot HB=$B/home/linou
SB=$HB/.openclaw NEW=$HB/.npm-global/bin/openclaw
for g in "$A" "$B"; do at_end "stop_gateway $g"; done
read -r PA < <(gateway_ports 1)

step "a full node, and one with Node.js alone"
start_controller
"$top/deploy/sample-openclaw" "$OC" "$A" "$SA" "$HA" "$PA" full </dev/null >"$T/make-a.log" 2>&1 || die "the full node"
real_agent old "$SA" "$HA" "$A" "$OC"
mkdir -p "$HB/.local/bin" "$B/tmp"
ln -s "$(readlink -f "$(dirname "$OC")/node")" "$HB/.local/bin/node"
for f in env gateway; do sed "s|$OC|$NEW|g; s|$SA|$SB|g; s|$A/|$B/|g; s|'$HA'|'$HB'|g; s|^export HOME|export PATH='$HB/.local/bin':\$PATH HOME|" "$A/$f" >"$B/$f"; chmod 755 "$B/$f"; done
agent_conf new "$HB" '[gateway]' 'control = exec' "exec_start = $B/gateway start" "exec_stop = $B/gateway stop" "exec_status = $B/gateway status"
join_agent new
# as a login of this user would have it; what npm has fetched once is not fetched again
PATH=$HB/.local/bin:$PATH npm_config_cache=$OCM_CACHE/npm start_agent new

step "the plan says that OpenClaw is missing, and offers to install it"
r=$(result old)
[[ $(jq -r .state <<<"$r") == complete ]] || { ctl show latest:old; die "the backup is $r"; }
snap=$(newest old)
expect 0 ctl migrate old new --clone --plan --snapshot "$snap"
has 'no OpenClaw is installed'; has 'install-openclaw'
expect 0 ctl migrate old new --clone --plan --snapshot "$snap" --install-openclaw
hasnt 'no OpenClaw is installed'
has "\\(none\\) → 2026.9.6 in $HB/.npm-global"
[[ ! -e $HB/.npm-global && ! -e $SB ]] || die "a plan installed something"

step "without the source, the clone brings its OpenClaw along and works"
stop_gateway "$A"; stop_pid "${agent[old]}"; mv "$A" "$A.gone"
ctl migrate old new --clone --yes --snapshot "$snap" --install-openclaw >"$T/out" 2>&1 </dev/null || { cat "$T/out"; tail -20 "$B/gateway.log"; die "migrate"; }
[[ $("$B/env" "$NEW" --version 2>/dev/null) == *2026.9.6* ]] || die "not that version"
acceptance "$B" "$SB" "$NEW" 2 3 || die "the clone does not work"
[[ -z $(find "$HB" -maxdepth 2 -name '.ocm-stage*') ]] || die "a stage stayed"
