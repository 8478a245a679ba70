# Goal: a plan lists every edit, shows no secret and changes nothing; applying it does exactly that; a plain
# copy of the state fails where the clone passes.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

A=$T/a/www/server/openclaw B=$T/b/home/linou/.openclaw
start_controller
node src "$A" "$T/a/www/wwwroot"
src_port=$port
node dst "$B" "$T/b/home/linou" --empty
dst_port=$port
dst_token=$(jq -r .gateway.auth.token "$B/openclaw.json")

# accept STATE PORT TOKEN: this state can run here. Prints what speaks against it
accept() {
  local s=$1 bad=0 w
  say() { echo "  $*"; bad=1; }
  grep -n "$T/a" "$s/openclaw.json" "$s/.env" && say "paths of the source in the config"
  ask "$s/state/openclaw.sqlite" 'SELECT store_key, job_json FROM cron_jobs; SELECT * FROM exec_approvals_config;
    SELECT * FROM workspace_setup_state; SELECT * FROM workspace_path_aliases' >"$T/rows" || say "no state database"
  grep "$T/a" "$T/rows" && say "paths of the source in the state database"
  [[ $(ask "$s/state/openclaw.sqlite" 'PRAGMA integrity_check') == ok ]] || say "damaged state database"
  [[ $(ask "$s/state/openclaw.sqlite" "SELECT count(*) FROM cron_jobs") == 4 ]] || say "cron jobs are missing"
  while read -r w; do
    [[ -d $w && -f $w/AGENTS.md ]] || say "workspace $w is not there"
  done < <(sed -n 's/.*"workspace": "\([^"]*\)".*/\1/p' "$s/openclaw.json" | sort -u)
  while IFS='|' read -r key path; do
    [[ $key == "$(printf %s "$path" | sha256sum | cut -d' ' -f1)" ]] || say "key of $path is of another path"
  done < <(ask "$s/state/openclaw.sqlite" 'SELECT workspace_key, workspace_path FROM workspace_setup_state')
  grep -qE "\"port\": $2\\b" "$s/openclaw.json" || say "not this node's port"
  grep -qF "$3" "$s/openclaw.json" || say "not this node's token"
  [[ $(ask "$s/state/openclaw.sqlite" 'SELECT device_id FROM device_identities') != \
    "$(ask "$A/state/openclaw.sqlite" 'SELECT device_id FROM device_identities')" ]] || say "the source's identity"
  return $bad
}

step "control: a plain copy does not pass"
cp -a "$A" "$T/copy"
if accept "$T/copy" "$dst_port" "$dst_token" >"$T/out" 2>&1; then die "a plain copy passed: this check sees nothing"; fi
[[ $(grep -c '^  ' "$T/out") -ge 5 ]] || { cat "$T/out"; die "the check sees too little"; }

step "the plan, for people and for programs"
expect 0 ctl backup src
snap=$(newest src)
hash_before=$(state_of "$B" | sha256sum)
files_before=$(find "$T/b" | sort)
expect 0 ctl migrate src dst --clone --plan --snapshot "$snap"
cp "$T/out" "$T/plan.txt"
has "gateway.port"; has "$src_port.*$dst_port"; has 'agents.entries.ops.workspace'; has REPORT_DIR; has 'cron_jobs\[.*job_json'
has 'channels.telegram.enabled'; has 'foreign|stays'
ctl --json migrate src dst --clone --plan --snapshot "$snap" >"$T/plan.json"
jq -e '.job.result.edits | length > 20' "$T/plan.json" >/dev/null || die "few edits"
jq -e '[.job.result.edits[] | select(.place == "gateway.auth.token" and .secret)] | length == 1' "$T/plan.json" >/dev/null || die "token edit"
[[ $(state_of "$B" | sha256sum) == "$hash_before" && $(find "$T/b" | sort) == "$files_before" ]] || die "the plan changed the target"

step "no secret is written down anywhere"
secrets=("$dst_token")
mapfile -t more < <(grep -ohE '[0-9a-f]{24,}' "$A/openclaw.json" "$A/.env" "$A/credentials/whatsapp/default/creds.json")
mapfile -t auth < <(ask "$A/state/openclaw.sqlite" "SELECT value_json FROM config_machine_state WHERE state_key='authProfiles.store'; SELECT raw_json FROM exec_approvals_config" | grep -oE '[0-9a-f]{24,}')
secrets+=("${more[@]}" "${auth[@]}")
((${#secrets[@]} >= 6)) || die "few secrets to look for: ${#secrets[@]}"
no_secrets() {
  local s
  ctl --json job list >"$T/jobs.json"; ctl job show "$(jq -r '.jobs[0].id' "$T/jobs.json")" >"$T/job.txt"
  for s in "${secrets[@]}"; do
    if grep -rlaF -- "$s" "$T/plan.txt" "$T/plan.json" "$T/jobs.json" "$T/job.txt" "$T"/*.log "$T/controller" "$T/agent-src" "$T/agent-dst" "$T/repo"; then
      die "a secret (${s:0:6}...) is written there"
    fi
  done
}
no_secrets

step "apply that plan"
plan=$(jq -r .job.result.plan "$T/plan.json")
expect 0 ctl migrate src dst --apply "$plan" --yes
has 'applied'
accept "$B" "$dst_port" "$dst_token" || die "the clone cannot run"
no_secrets

step "exactly the plan: what is no edit is byte for byte the source's"
has '// 主节点的网关配置' "$B/openclaw.json"; has '// the reverse proxy knows this port' "$B/openclaw.json"
diff "$A/openclaw.json" "$B/openclaw.json" >"$T/out" || true
python3 - "$T/plan.json" "$A" "$B" <<'P'
import json, sys
plan, a, b = json.load(open(sys.argv[1]))['job']['result'], sys.argv[2], sys.argv[3]
# every changed or dropped line of the two text files belongs to an edit that the plan named
for name, section in (('openclaw.json', 'gateway'), ('.env', 'env')):
    old, new = open(f'{a}/{name}').read().split('\n'), open(f'{b}/{name}').read()
    mine = [e for e in plan['edits'] if e['section'] == section and e['file'].endswith(name)]
    lines = set(new.split('\n'))
    for line in old:
        if line not in lines and not any(e['place'].replace('[', '.').split('.')[-1].rstrip(']') in line or
                                         e['place'].split('[')[0].split('.')[-1] in line for e in mine):
            sys.exit(f'{name}: changed without an edit: {line}')
    for e in mine:
        if not e['secret'] and e['new'] and e['rule'] == 'path' and e['new'] not in new:
            sys.exit(f'{name}: not applied: {e["place"]} {e["new"]}')
P
(cd "$A/workspace" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$T/ws"
(cd "$B/workspace" && sha256sum --quiet -c "$T/ws") || die "the workspace differs"
cmp "$A/credentials/whatsapp/default/creds.json" "$B/credentials/whatsapp/default/creds.json"
[[ -z $(find "$T/b" -name '.ocm-stage*') && -z $(find "$B" -name '.ocm-*') ]] || die "left behind: $(find "$T/b" -name '.ocm-*')"
[[ $(ctl --json list dst | jq '[.snapshots[] | select(.safety)] | length') == 1 ]] || die "no safety backup"
same_state "$A" "$T/copy" || die "the source changed"

step "a rule of the user, and one section alone"
mkdir -p "$T/b/srv/reports"
expect 0 ctl migrate src dst --clone --yes --snapshot "$snap" --only env --rule "$T/a/www/wwwroot/data/reports=$T/b/srv/reports"
has "REPORT_DIR=\"?$T/b/srv/reports" "$B/.env"
accept "$B" "$dst_port" "$dst_token" || die "after --only"

step "what changed since the plan stops it"
ctl --json migrate src dst --clone --plan --snapshot "$snap" >"$T/plan.json"
sed -i "s/$dst_port/$((dst_port + 1))/" "$B/openclaw.json"
before=$(state_of "$B" | sha256sum)
expect 1 ctl migrate src dst --apply "$(jq -r .job.result.plan "$T/plan.json")" --yes
has 'not the one that was agreed'
[[ $(state_of "$B" | sha256sum) == "$before" ]] || die "something happened all the same"
expect 2 ctl migrate src dst --clone --snapshot "$snap"   # nobody to ask
has '--yes'
expect 10 ctl migrate src dst --apply nonsense --yes
