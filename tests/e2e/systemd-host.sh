# Goal: on hosts where OpenClaw runs as its own systemd user unit and the agent under the shipped unit: a
# backup, a clone to a second host that is healthy through that unit, guarded while it is swapped; the same through
# OpenClaw's own command (control = cli).
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"

OC=$(openclaw_bin)
export LAB_BIND=$(dirname "$(dirname "$OC")"):/opt/openclaw
oc=/opt/openclaw/bin/openclaw S=/home/claw/.openclaw
step "two hosts with OpenClaw installed as a user's daemon"
hosts src dst
PS=28789 PD=28989
# oc_on HOST ARGS...: OpenClaw's command there, as its user
oc_on() { local h=$1; shift; lab as "$h" "OPENCLAW_SKIP_CHANNELS=1 OPENCLAW_OFFLINE=1 OPENCLAW_NO_AUTO_UPDATE=1 npm_config_offline=true NO_COLOR=1 $oc $*" </dev/null; }
serves() { lab run "$1" curl -fs -m 3 "http://127.0.0.1:$2/readyz" </dev/null; }
unit_on() { lab as "$1" "systemctl --user is-active -q openclaw-gateway" </dev/null; }
try() { local i; for i in 1 2 3 4; do "$@" >>"$T/try.log" 2>&1 && return; sleep 1; done; "$@"; }
make_host() { # HOST PORT
  lab as "$1" "mkdir -p ~/.config/environment.d; printf 'OPENCLAW_SKIP_CHANNELS=1\nOPENCLAW_DISABLE_BONJOUR=1\nOPENCLAW_OFFLINE=1\nOPENCLAW_NO_AUTO_UPDATE=1\n' >~/.config/environment.d/openclaw.conf; systemctl --user daemon-reload; systemctl --user daemon-reexec" </dev/null
  oc_on "$1" onboard --non-interactive --accept-risk --mode local --auth-choice apiKey --anthropic-api-key sk-ant-sample-0 \
    --gateway-port "$2" --gateway-bind loopback --gateway-auth token --gateway-token "token-of-$1-0123456789abcdef" \
    --install-daemon --skip-channels --skip-skills --skip-search --skip-hooks --skip-health --skip-ui --json
  wait_for 90 serves "$1" "$2"
}
make_host src $PS >"$T/make-src.log" 2>&1 </dev/null & make_src=$!
make_host dst $PD >"$T/make-dst.log" 2>&1 </dev/null || die "dst"
wait $make_src || die "src"
unit_on src && unit_on dst || die "no user unit"
oc_on src agents add ops --workspace $S/workspace-ops --non-interactive --model anthropic/claude-sonnet-4-5 --json >"$T/try.log" 2>&1 || die "agents add"
wait_for 60 serves src $PS
try oc_on src "cron add --name daily-report --cron '0 9 * * *' --session isolated --agent main --message 'Summarise $S/workspace'" || die "cron add"
try oc_on src "cron add --name disk-check --every 6h --agent ops --command 'df -h $S' --command-cwd $S/workspace" || die "cron add"
host_agent src "bin = $oc"
host_agent dst "bin = $oc"

step "within the shipped unit's sandbox OpenClaw's and systemd's commands work"
R=$(lab root dst)
sed -e '/^Type=/d; /^WatchdogSec=/d; /^Restart/d; /^NotifyAccess=/d; /^StateDirectory/d' -e "s|^ExecStart=.*|ExecStart=/bin/bash -c 'export HOME=/home/claw XDG_RUNTIME_DIR=/run/user/1000; $oc config validate \&\& systemctl --user is-active openclaw-gateway \&\& touch $S/workspace/.probe'\nType=oneshot|" \
  "$top/deploy/systemd/ocm-agent@.service" >"$R/etc/systemd/system/probe@.service"
lab run dst systemctl daemon-reload </dev/null
lab run dst systemctl start probe@claw.service </dev/null || { lab run dst journalctl -u probe@claw -n 20 -o cat --no-pager </dev/null; die "the sandbox is too tight"; }
rm "$R$S/workspace/.probe"

step "backup"
r=$(result src)
[[ $(jq -r .state <<<"$r") == complete ]] || { ctl show latest:src; host_log src; die "backup: $r"; }
unit_on src || die "the backup stopped the gateway"

step "clone; a guard stands in the unit meanwhile"
unit=$(sha256sum <"$R/home/claw/.config/systemd/user/openclaw-gateway.service")
guard=$R/home/claw/.config/systemd/user/openclaw-gateway.service.d/ocm-guard.conf
wait_for 300 grep -q ConditionPathExists "$guard" >"$T/guard-seen.txt" 2>&1 & watcher=$!
pids+=("$watcher")
if ! ctl migrate src dst --clone --yes >"$T/out" 2>&1 </dev/null; then cat "$T/out"; host_log dst 60; die "migrate"; fi
cat "$T/out" | tail -12
wait "$watcher" || die "no start guard was seen"
[[ ! -e $guard ]] || die "the guard stayed"
[[ $(sha256sum <"$R/home/claw/.config/systemd/user/openclaw-gateway.service") == "$unit" ]] || grep -- "--port" "$R/home/claw/.config/systemd/user/openclaw-gateway.service" | grep -q "$PD" || die "the unit lost its port"

step "the target works through its unit"
unit_on dst || die "the unit is not active"
wait_for 60 serves dst $PD || die "not ready"
oc_on dst config validate >"$T/out" 2>&1 || { cat "$T/out"; die "config"; }
[[ $(oc_on dst agents list --json 2>/dev/null | jq length) == 2 ]] || die "agents"
[[ $(oc_on dst cron list --all --json 2>/dev/null | jq '[.jobs[] | select(.declarationKey == null)] | length') == 2 ]] || die "cron jobs"
[[ $(jq -r .gateway.port "$R$S/openclaw.json") == "$PD" ]] || die "port"
wait_for 10 serves src $PS || die "the source was disturbed"

step "and after a reboot"
lab kill dst </dev/null; lab up dst </dev/null
wait_for 60 connected dst || { host_log dst; die "no agent"; }
wait_for 90 serves dst $PD || die "no gateway"

step "by OpenClaw's own command"
printf '[gateway]\ncontrol = cli\n' >>"$R/etc/ocm/agent-claw.conf"
lab run dst systemctl restart ocm-agent@claw </dev/null
wait_for 60 connected dst || { host_log dst; die "no agent"; }
expect 0 ctl node gateway dst status
has 'running.*control cli'
r=$(result dst)
echo later >"$R$S/workspace/later.md"; chown 1000:1000 "$R$S/workspace/later.md"
ctl restore dst --snapshot "$(newest dst)" --yes >"$T/out" 2>&1 </dev/null || { cat "$T/out"; host_log dst 60; die "restore"; }
[[ ! -e $R$S/workspace/later.md && ! -e $guard ]] || die "not restored, or still guarded"
wait_for 60 serves dst $PD && unit_on dst || die "the gateway does not run"
expect 0 ctl node gateway dst fence
if serves dst $PD; then die "it still runs"; fi
expect 12 ctl node gateway dst start
has 'fenced'
expect 0 ctl node gateway dst unfence
expect 0 ctl node gateway dst start
wait_for 60 serves dst $PD || die "it does not start after the fence"
