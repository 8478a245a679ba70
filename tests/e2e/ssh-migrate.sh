#!/bin/bash
# Goal: two hosts where OpenClaw runs as a user's own service are added by SSH, one with a key, one with a password and
# sudo; the agent that was put there backs one up and migrates it to the other across the network; it is back by
# itself after a reboot.
export LAB_KIND=ssh
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"
. "$here/ssh.sh"

OC=$(openclaw_bin)
export LAB_BIND=$(dirname "$(dirname "$OC")"):/opt/openclaw
S=/home/claw/.openclaw PS=28789 PD=28989
oc_on() { local h=$1; shift; lab as "$h" "OPENCLAW_SKIP_CHANNELS=1 OPENCLAW_OFFLINE=1 OPENCLAW_NO_AUTO_UPDATE=1 npm_config_offline=true NO_COLOR=1 openclaw $*" </dev/null; }
unit_on() { lab as "$1" "systemctl --user is-active -q openclaw-gateway" </dev/null; }
try() { local i; for i in 1 2 3 4; do "$@" >>"$T/try.log" 2>&1 && return; sleep 1; done; "$@"; }
make_host() { # HOST PORT
  ln -s /opt/openclaw/bin/openclaw "$(lab root "$1")/usr/local/bin/openclaw"
  lab as "$1" "mkdir -p ~/.config/environment.d; printf 'OPENCLAW_SKIP_CHANNELS=1\nOPENCLAW_DISABLE_BONJOUR=1\nOPENCLAW_OFFLINE=1\nOPENCLAW_NO_AUTO_UPDATE=1\n' >~/.config/environment.d/openclaw.conf; systemctl --user daemon-reload; systemctl --user daemon-reexec" </dev/null
  oc_on "$1" onboard --non-interactive --accept-risk --mode local --auth-choice apiKey --anthropic-api-key sk-ant-sample-0 \
    --gateway-port "$2" --gateway-bind loopback --gateway-auth token --gateway-token "token-of-$1-0123456789abcdef" \
    --install-daemon --skip-channels --skip-skills --skip-search --skip-hooks --skip-health --skip-ui --json
  wait_for 90 serves "$1" "$2"
}

step "two hosts with sshd and OpenClaw as a user's daemon"
hosts src dst
ssh_ready src dst
make_host src $PS >"$T/make-src.log" 2>&1 </dev/null & make_src=$!
make_host dst $PD >"$T/make-dst.log" 2>&1 </dev/null || die "dst"
wait $make_src || die "src"
try oc_on src "cron add --name daily-report --cron '0 9 * * *' --session isolated --agent main --message 'Summarise $S/workspace'" || die "cron add"

step "both are added by SSH and backed up"
secret pw >/dev/null
echo "claw:$(cat "$T/secrets/pw")" | lab run dst chpasswd
expect 0 add "root@$(lab ip src)" -i "$T/key" --accept-new --yes
has "OpenClaw 2026\..* in $S"; has "ok: src, backup complete"
expect 0 add "claw@$(lab ip dst)" --accept-new --yes --password-fd 3 3<"$T/secrets/pw"
has "root by sudo"; has "ok: dst, backup complete"
for h in src dst; do unit_on $h || die "the gateway of $h was stopped"; done

step "what was put there lets OpenClaw's and systemd's commands work inside its unit"
R=$(lab root dst)
sed -e '/^Type=/d; /^WatchdogSec=/d; /^Restart/d; /^NotifyAccess=/d; /^StateDirectory/d' -e "s|^ExecStart=.*|ExecStart=/bin/bash -c 'export HOME=/home/claw XDG_RUNTIME_DIR=/run/user/1000; openclaw config validate \&\& systemctl --user is-active openclaw-gateway \&\& touch $S/workspace/.probe'\nType=oneshot|" \
  "$R/etc/systemd/system/ocm-agent@.service" >"$R/etc/systemd/system/probe@.service"
lab run dst systemctl daemon-reload </dev/null
lab run dst systemctl start probe@claw.service </dev/null || { lab run dst journalctl -u probe@claw -n 20 -o cat --no-pager </dev/null; die "the sandbox is too tight"; }
rm "$R$S/workspace/.probe"

step "one goes to the other, across the network"
if ! ctl migrate src dst --clone --yes >"$T/out" 2>&1 </dev/null; then cat "$T/out"; host_log dst 60; die "migrate"; fi
unit_on dst || die "the unit is not active"
wait_for 60 serves dst $PD || die "not ready"
[[ $(oc_on dst cron list --all --json 2>/dev/null | jq '[.jobs[] | select(.declarationKey == null)] | length') == 1 ]] || die "cron jobs"
[[ $(jq -r .gateway.port "$R$S/openclaw.json") == "$PD" ]] || die "port"
wait_for 10 serves src $PS || die "the source was disturbed"

step "a host loses power: its agent is back by itself"
lab kill src </dev/null
wait_for 90 gone src || die "nobody noticed"
lab up src </dev/null
wait_for 60 connected src || { host_log src; die "no agent"; }
[[ $(result src | jq -r .state) == complete ]] || die "backup"
