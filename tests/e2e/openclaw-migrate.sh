# Goal: a real, running OpenClaw is backed up live and cloned into another layout, where its gateway works
# without the source; what fails is rolled back to a working gateway; a move fences the source.
. "$(dirname "$(readlink -f "$0")")/../lib/gateways.sh"

OC=$(openclaw_bin)
A=$T/old B=$T/new C=$T/copy
SA=$A/www/server/openclaw HA=$A/www/wwwroot SB=$B/home/linou/.openclaw HB=$B/home/linou
for g in "$A" "$B" "$C"; do at_end "stop_gateway $g"; done
read -r PA PB < <(gateway_ports 2)

step "two nodes: one full, one fresh"
"$top/deploy/sample-openclaw" "$OC" "$A" "$SA" "$HA" "$PA" full </dev/null >"$T/make-a.log" 2>&1 & make_a=$!
"$top/deploy/sample-openclaw" "$OC" "$B" "$SB" "$HB" "$PB" fresh </dev/null >"$T/make-b.log" 2>&1 & make_b=$!
start_controller
wait $make_a || die "the full node"
wait $make_b || die "the fresh node"
real_agent old "$SA" "$HA" "$A" "$OC"
real_agent new "$SB" "$HB" "$B" "$OC"
oca() { "$A/env" "$OC" "$@" </dev/null; }
ocb() { "$B/env" "$OC" "$@" </dev/null; }

step "a session that grows while it is backed up"
oca gateway call sessions.create --params '{"agentId":"main","key":"main"}' --json >"$T/out" 2>&1 || die "no session"
oca gateway call chat.inject --params '{"sessionKey":"agent:main:main","message":"the first words"}' --json >"$T/out" 2>&1 || { cat "$T/out"; die "no message"; }
DB=$SA/agents/main/agent/openclaw-agent.sqlite
cat >"$T/grow.mjs" <<'JS'
import { DatabaseSync } from 'node:sqlite';
import { appendFileSync } from 'node:fs';
const [file, log] = process.argv.slice(2), db = new DatabaseSync(file, { timeout: 5000 });
const [{ id }] = db.prepare('SELECT session_id AS id FROM transcript_events LIMIT 1').all();
const add = db.prepare(`INSERT INTO transcript_events(session_id, seq, event_json, created_at)
  SELECT ?, max(seq) + 1, ?, 1 FROM transcript_events WHERE session_id = ?`);
setInterval(() => {
  add.run(id, JSON.stringify({ type: 'custom', text: 'x'.repeat(2000) }), id);
  appendFileSync(log, 'a line of today\n');
}, 5);
JS
"$(dirname "$OC")/node" "$T/grow.mjs" "$DB" "$SA/workspace/today.log" >"$T/grow.log" 2>&1 </dev/null & grow=$!
pids+=("$grow")
wait_for 20 test -s "$SA/workspace/today.log"

step "backup, live"
r=$(result old)
[[ $(jq -r .state <<<"$r") == complete ]] || { ctl show latest:old; die "the backup is $r"; }
kill -0 "$grow" || die "the writer was disturbed: $(cat "$T/grow.log")"
stop_pid "$grow"
alive "$A" "$PA" || die "the backup stopped the gateway"
expect 0 rst check --read-data
expect 0 rst restore "$(newest old)" --target "$T/restored"
(cd "$T/restored" && sha256sum --quiet -c verify/SHA256SUMS)
copy=$(find "$T/restored" -name openclaw-agent.sqlite -path '*main*')
[[ $(sqlite3 -cmd 'PRAGMA trusted_schema=1' "$copy" 'SELECT count(*) FROM transcript_events WHERE created_at = 1') -gt 0 ]] || die "nothing of the session"
rm -rf "$T/restored"

step "the plan of a clone"
snap=$(newest old)
expect 0 ctl migrate old new --clone --plan --snapshot "$snap"
has "$SB/workspace"
has "$HB/data"
hasnt 'blocking'
fresh_port=$(port_of "$SB") fresh_token=$(jq -r .gateway.auth.token "$SB/openclaw.json")

step "the source's folders go away; the clone works without them"
stop_gateway "$A"
stop_pid "${agent[old]}"
mkdir "$C"; cp -a "$SA" "$C/state" # for later: what a plain copy is worth
mv "$A" "$A.gone"
expect 0 ctl migrate old new --clone --yes --snapshot "$snap"
safety=$(grep -o 'before it: snapshot [0-9a-f]*' "$T/out" | awk '{ print $4 }')
[[ -n $safety ]] || die "no safety snapshot: $(cat "$T/out")"
acceptance "$B" "$SB" "$OC" 2 3 || die "the clone does not work"
[[ $(port_of "$SB") == "$fresh_port" && $(jq -r .gateway.auth.token "$SB/openclaw.json") == "$fresh_token" ]] || die "port or token of the source"
if grep -rn "$A" "$SB/openclaw.json" "$SB/.env"; then die "a path of the source is left"; fi
[[ $(grep -c . "$SB/workspace/today.log") -gt 0 ]] || die "the workspace did not come along"
ocb sessions --all-agents --json 2>/dev/null | jq -e '[.. | .sessionId? // empty] | length > 0' >/dev/null || die "the session did not come along"

step "a plain copy of the source does not pass the same check"
read -r PC < <(gateway_ports 1)
for f in env gateway; do sed "s|$SA|$C/state|g; s|$A/|$C/|g; s|'$HA'|'$C'|g" "$A.gone/$f" >"$C/$f"; chmod 755 "$C/$f"; done
rm -rf "$C/state/tmp"
jq ".gateway.port = $PC" "$C/state/openclaw.json" >"$T/c.json"; cp "$T/c.json" "$C/state/openclaw.json"
"$C/gateway" start
if acceptance "$C" "$C/state" "$OC" 2 3 >"$T/out" 2>&1; then die "a plain copy passed: the check is worth nothing"; fi
has 'not accepted'; cat "$T/out"
stop_gateway "$C"; rm -rf "$C" "$A" # at its old paths the copy made folders again

step "back to the fresh state: the safety snapshot"
expect 0 ctl restore new --snapshot "$safety" --yes
acceptance "$B" "$SB" "$OC" 1 0 || die "the restored node does not work"

step "cron jobs alone: its gateway knows them"
expect 0 ctl migrate old new --clone --yes --snapshot "$snap" --only cron
has '→ daily-report'
acceptance "$B" "$SB" "$OC" 1 3 || die "the node does not work with them"

step "a migration that cannot become healthy is rolled back"
before=$(sha256sum <"$SB/openclaw.json")
expect 1 ctl migrate old new --clone --yes --snapshot "$snap" --rule allowlist=nonsense
has 'roll'
[[ $(sha256sum <"$SB/openclaw.json") == "$before" ]] || die "the config is not what it was"
acceptance "$B" "$SB" "$OC" 1 3 || die "the old gateway is not healthy again"

step "a move: the source is fenced, the target lives"
mv "$A.gone" "$A"
"$A/gateway" start
start_agent old
wait_for 90 alive "$A" "$PA"
expect 0 ctl migrate old new --move --yes
acceptance "$B" "$SB" "$OC" 2 3 || die "the moved node does not work"
if "$A/gateway" status >/dev/null; then die "the source runs"; fi
# with commands of agent.conf the fence binds whoever uses the agent; a unit would carry it itself
[[ -n $(find "$HA/.config/ocm" -name '*.fence') ]] || die "no fence"
ctl restore old --snapshot "$snap" --yes >"$T/out" 2>&1 </dev/null || true
has 'fence'
if "$A/gateway" status >/dev/null; then die "the source was started again"; fi
