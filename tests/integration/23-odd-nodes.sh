# Goal: migrations that are not plain: a target without state, a port that is taken, a config that does not parse,
# the files era and the YAML era.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
A=$T/a/www/server/openclaw
node src "$A" "$T/a/www/home" --files 20
src_port=$port
expect 0 ctl backup src
good=$(newest src)
fresh() { mkdir -p "$2"; agent_conf "$1" "$2"; join_agent "$1"; start_agent "$1"; } # NAME HOME

step "a target without any state, on the same machine: the source's port is not taken over"
fresh bare "$T/bare"
expect 0 ctl migrate src bare --clone --yes --snapshot "$good"
S=$T/bare/.openclaw
[[ -f $S/openclaw.json && -d $S/workspace/projects ]] || die "no state at $S"
hasnt "$T/a" "$S/openclaw.json"; hasnt "$T/a" "$S/.env"
new_token=$(sed -n 's/.*"auth": {.*"token": "\([^"]*\)".*/\1/p' "$S/openclaw.json")
[[ -n $new_token && $new_token != "$(sed -n 's/.*"auth": {.*"token": "\([^"]*\)".*/\1/p' "$A/openclaw.json")" ]] || die "the source's token was cloned"

step "a state that is gone, as when its disk is not mounted, is no empty backup"
mv "$A" "$A.away"
expect 10 ctl backup src
has "no OpenClaw in $A"; has 'mounted'
mkdir "$A"
expect 10 ctl backup src
rmdir "$A"; mv "$A.away" "$A"
[[ $(newest src) == "$good" ]] || die "there is a newer backup than the last good one"

step "a port that somebody listens on stops the plan"
node taken "$T/taken/.openclaw" "$T/taken" --empty
python3 -c "import socket, time
s = socket.socket(); s.bind(('127.0.0.1', $port)); s.listen(); open('$T/listening', 'w').close(); time.sleep(60)" </dev/null >/dev/null 2>&1 &
pids+=($!)
wait_for 10 test -e "$T/listening"
before=$(state_of "$T/taken/.openclaw" | sha256sum)
expect 1 ctl migrate src taken --clone --yes --snapshot "$good"
has 'port'; has 'nothing was done'
[[ $(state_of "$T/taken/.openclaw" | sha256sum) == "$before" ]] || die "something was done"

step "a config that does not parse: the backup takes it as it is, a migration says where it is broken"
cp -a "$A/openclaw.json" "$T/config.good"
sed -i 's/"gateway": {/"gateway": {{/' "$A/openclaw.json"
expect 0 ctl backup src
ctl cat latest:src config/gateway/openclaw.json | cmp - "$A/openclaw.json" || die "not as it is"
node dst "$T/dst/.openclaw" "$T/dst" --empty
before=$(state_of "$T/dst/.openclaw" | sha256sum)
expect 1 ctl migrate src dst --clone --yes
has 'openclaw.json'; has 'line|:[0-9]+'
[[ $(state_of "$T/dst/.openclaw" | sha256sum) == "$before" ]] || die "the target was changed"
cp -a "$T/config.good" "$A/openclaw.json"

step "the files era to another layout"
node fsrc "$T/f/opt/openclaw" "$T/f/home" --era files --files 20
node fdst "$T/g/.openclaw" "$T/g" --empty
expect 0 ctl migrate fsrc fdst --clone --yes
G=$T/g/.openclaw
for f in openclaw.json .env cron/jobs.json exec-approvals.json agents/main/sessions/sessions.json; do
  [[ -f $G/$f ]] || die "$f is missing"
  hasnt "$T/f" "$G/$f"
done
[[ $(jq '.jobs | length' "$G/cron/jobs.json") == 3 ]] || die "cron jobs"
[[ ! -e $G/identity/device.json ]] || ! cmp -s "$G/identity/device.json" "$T/f/opt/openclaw/identity/device.json" || die "the identity was cloned"

step "the YAML era"
yaml() { # NAME STATE PORT
  mkdir -p "$2"/{credentials,cron,sessions,memory,workspace}
  printf '# the gateway of %s\ngateway:\n  port: %s   # behind nginx\n  bind: 127.0.0.1\n  auth:\n    token: "tok-%s-0123456789abcdef"\nlogging:\n  file: %s/logs/gateway.log\n' "$1" "$3" "$1" "$2" >"$2/gateway.yaml"
  printf 'agents:\n  - id: main\n    workspace: %s/workspace   # keep\n' "$2" >"$2/agents.yaml"
  printf 'REPORTS=%s/reports\n' "$2" >"$2/.env"
  printf 'jobs:\n  - id: daily\n    command: "ls %s/workspace"\n' "$2" >"$2/cron/jobs.yaml"
  echo "s" >"$2/sessions/s.jsonl"; echo m >"$2/memory/m.md"; echo w >"$2/workspace/AGENTS.md"; echo 'k: 1' >"$2/credentials/c.yaml"
  mkdir -p "$T/home-$1"
  agent_conf "$1" "$T/home-$1" "state_dir = $2" 'layout = yaml'
  join_agent "$1"; start_agent "$1"
}
read -r p1 p2 < <(free_ports 2)
yaml ysrc "$T/y/www/server/openclaw" "$p1"
yaml ydst "$T/z/home/jo/openclaw" "$p2"
expect 0 ctl migrate ysrc ydst --clone --plan
has "$T/z/home/jo/openclaw/workspace"
expect 0 ctl migrate ysrc ydst --clone --yes
Z=$T/z/home/jo/openclaw
hasnt "$T/y" "$Z/gateway.yaml"; hasnt "$T/y" "$Z/agents.yaml"; hasnt "$T/y" "$Z/.env"
has '# behind nginx' "$Z/gateway.yaml"; has '# keep' "$Z/agents.yaml"
has "port: $p2" "$Z/gateway.yaml"; has 'tok-ydst' "$Z/gateway.yaml"; hasnt 'tok-ysrc' "$Z/gateway.yaml"
has "$Z/workspace" "$Z/agents.yaml"

step "YAML that does not parse: as JSON5 that does not"
cp -a "$T/y/www/server/openclaw/gateway.yaml" "$T/yaml.good"
printf 'more: [1, 2\nother: {\n' >>"$T/y/www/server/openclaw/gateway.yaml"
expect 0 ctl backup ysrc
ctl cat latest:ysrc config/gateway/gateway.yaml | cmp - "$T/y/www/server/openclaw/gateway.yaml" || die "not as it is"
before=$(state_of "$Z" | sha256sum)
expect 1 ctl migrate ysrc ydst --clone --yes
has 'gateway.yaml'; has 'line|:[0-9]+'
[[ $(state_of "$Z" | sha256sum) == "$before" ]] || die "the target was changed"
cp -a "$T/yaml.good" "$T/y/www/server/openclaw/gateway.yaml"

step "an empty workspace comes back"
Y=$T/y/www/server/openclaw
rm -r "${Y:?}/workspace/AGENTS.md"; chmod 2750 "$Y/workspace"
expect 0 ctl backup ysrc
rmdir "$Y/workspace"
expect 0 ctl restore ysrc --yes
[[ $(stat -c %a "$Y/workspace") == 2750 ]] || die "the empty workspace is missing"
