# Goal: a gateway that is a system unit, its agent under the shipped unit with the shipped drop-in for that: a restore
# stops and starts it through systemd, guarded and first quiet; a fence outlives a reboot; OpenClaw's own command is run
# as the user of its state.
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"

step "a host whose gateway is a system unit"
hosts sys
R=$(lab root sys) S=$FAKE_STATE
U=$R/etc/systemd/system/openclaw-gateway.service
cc -O1 -static -D_GNU_SOURCE -DLIFE_SECONDS=900 -o "$R/usr/local/bin/fake_gateway" "$here/fake_gateway.c" || die "fake_gateway"
install -m 755 "$top/deploy/sample-node" "$R/usr/local/bin/sample-node"
lab as sys "sample-node $S /home/claw $FAKE_PORT" </dev/null
cat >"$R/usr/local/bin/openclaw" <<'CLI'
#!/bin/sh
# answers as a healthy node would, and tells who asked
id -un >>/var/tmp/openclaw-users
case "$*" in
  agents*) echo '[{"id":"main"},{"id":"ops"}]' ;;
  cron*) echo '{"jobs":[{"name":"a"},{"name":"b"},{"name":"c"},{"declarationKey":"d"}]}' ;;
  *) echo '{"ok":true}' ;;
esac
CLI
chmod 755 "$R/usr/local/bin/openclaw"
cat >"$U" <<X
[Unit]
StartLimitIntervalSec=0
[Service]
Type=forking
GuessMainPID=no
User=claw
ExecStart=/usr/local/bin/fake_gateway --state $S --port $FAKE_PORT --slow-stop 400
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
X
lab run sys systemctl daemon-reload </dev/null
lab run sys systemctl enable -q --now openclaw-gateway </dev/null
install -D -m 644 "$top/deploy/examples/ocm-agent-system-unit.conf" "$R/etc/systemd/system/ocm-agent@claw.service.d/system-unit.conf"
host_agent sys "state_dir = $S" '[gateway]' 'control = system-unit' 'unit = openclaw-gateway' 'health_wait = 15s' 'stop_wait = 10s'
active() { lab run sys systemctl is-active -q openclaw-gateway </dev/null; }
up() { serves sys >/dev/null && active; }
wait_for 20 up || die "the gateway does not run"
expect 0 ctl node gateway sys status
has 'running.*system-unit'

step "backup"
r=$(result sys)
[[ $(jq -r .state <<<"$r") == complete ]] || { ctl show latest:sys; host_log sys; die "backup: $r"; }
snap=$(newest sys)
up || die "the backup stopped the gateway"

step "restore: through the unit, guarded, first quiet"
lab as sys "echo later >$S/workspace/later.md; rm -f $S/started.log" </dev/null
guard=$R/etc/systemd/system/openclaw-gateway.service.d/ocm-guard.conf
wait_for 60 grep -q ConditionPathExists "$guard" >"$T/guard-seen.txt" 2>&1 & watcher=$!
pids+=("$watcher")
ctl restore sys --snapshot "$snap" --yes >"$T/out" 2>&1 </dev/null || { cat "$T/out"; host_log sys 60; die "restore"; }
has applied
wait "$watcher" || die "no start guard was seen"
[[ ! -e $R$S/workspace/later.md ]] || die "not restored"
[[ $(tail -2 "$R$S/started.log" | xargs) == "quiet full" ]] || { cat "$R$S/started.log"; die "not started quietly first"; }
wait_for 10 up || die "the gateway does not run"
left=$(find "$R/etc/systemd/system" "$R/run/systemd/system" -name 'ocm-*.conf' -path '*openclaw*' 2>/dev/null || true)
[[ -z $left ]] || die "a drop-in stayed: $left"
[[ -z $(find "$R$S" ! -uid 1000) ]] || { find "$R$S" ! -uid 1000 -ls; die "not all is the user's"; }
[[ $(sort -u "$R/var/tmp/openclaw-users") == claw ]] || { sort "$R/var/tmp/openclaw-users" | uniq -c; die "who ran OpenClaw's command"; }

step "a gateway that does not come up is put back"
sed -i 's|--slow-stop 400|& --not-ready|' "$U"
lab run sys systemctl daemon-reload </dev/null
lab as sys "echo before >$S/workspace/before.md" </dev/null
expect 1 ctl restore sys --snapshot "$snap" --yes
has 'rolled-back'
[[ -e $R$S/workspace/before.md ]] || die "not put back"
sed -i 's| --not-ready||' "$U"
lab run sys systemctl daemon-reload </dev/null
lab run sys systemctl restart openclaw-gateway </dev/null
wait_for 20 up || die "the gateway does not run"

step "a fence outlives a reboot"
expect 0 ctl node gateway sys fence
if serves sys >/dev/null; then die "it still runs"; fi
lab run sys systemctl start openclaw-gateway </dev/null >"$T/out" 2>&1 || true
if active; then die "a fenced gateway was started"; fi
lab kill sys </dev/null; lab up sys </dev/null
wait_for 60 connected sys || { host_log sys; die "no agent"; }
if active; then die "a fenced gateway started with the host"; fi
expect 0 ctl node gateway sys unfence
expect 0 ctl node gateway sys start
wait_for 20 up || die "it does not start after the fence"
