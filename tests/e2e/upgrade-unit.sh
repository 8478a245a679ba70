# Goal: under the shipped unit an agent is upgraded without a restart and without a change of the installed file, comes
# back as the new one after a reboot, goes back to the former one when the new one crashes, is silent or loses power
# in its trial, and when it was uninstalled it is not started again. One from before is upgraded by SSH.
export LAB_KIND=ssh
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"
. "$here/upgrade.sh"

step "a host whose installed agent is 1.0.0"
hosts h1 s1
AGENT=$A1 fake_host h1 --files 20
R=$(lab root h1) S=$(lab root h1)/var/lib/ocm-agent/claw
sed -i 's/^reconnect_max = .*/reconnect_max = 1s\nupgrade_wait = 5s/' "$R/etc/ocm/agent-claw.conf"
lab run h1 systemctl restart ocm-agent@claw </dev/null
wait_for 30 runs h1 1.0.0 || { host_log h1; die "no agent"; }
package next 1.1.0 "$A2"
script 1.2.0 'exit 0' >"$T/crash.sh"; package crash 1.2.0 "$T/crash.sh"
script 1.2.1 'exec sleep 60' >"$T/mute.sh"; package mute 1.2.1 "$T/mute.sh"
property() { lab run h1 systemctl show -p "$1" --value ocm-agent@claw </dev/null; }
installed() { stat -c '%U %a' "$R/usr/bin/ocm-agent"; sha256sum <"$R/usr/bin/ocm-agent"; }
line() { sed -n "s/^$1 = //p" "$S/upgrade.conf" 2>/dev/null; }
steady() { # VERSION WHAT: it runs, settled, alone
  wait_for 60 runs h1 "$1" || { host_log h1; die "$2: agent $(version_of h1)"; }
  wait_for 30 eval '[[ $(line trial) == no ]]' || { host_log h1; die "$2: $(cat "$S/upgrade.conf")"; }
  [[ $(property ActiveState) == active ]] || { host_log h1; die "$2: $(property ActiveState)"; }
}
before=$(installed) pid=$(property MainPID) restarts=$(property NRestarts)

step "upgraded in place"
expect 0 ctl node upgrade h1 --from "$(pkg next)"
steady 1.1.0 "upgrade"
[[ $(property MainPID) == "$pid" && $(property NRestarts) == "$restarts" ]] || die "it was restarted: $(property NRestarts)"
[[ $(installed) == "$before" ]] || die "the installed agent was changed: $(installed)"
[[ $(result h1 | jq -r .state) == complete ]] || die "backup"

step "after a reboot"
lab kill h1 </dev/null; wait_for 90 gone h1 || die "the controller did not see the loss"; lab up h1 </dev/null
steady 1.1.0 "reboot"

step "one that ends at once, with status 0 even; one that is silent"
upgrade fails h1 --from "$(pkg crash)"
[[ $(outcome h1) == put-back ]] || die "$(cat "$T/out")"
steady 1.1.0 "crash"
upgrade fails h1 --from "$(pkg mute)"
[[ $(outcome h1) == put-back ]] || die "$(cat "$T/out")"
steady 1.1.0 "silence"

step "power is lost in the trial"
ctl node upgrade h1 --from "$(pkg mute)" --detach >/dev/null 2>&1
wait_for 30 eval '[[ $(line trial) == yes ]]' || die "no trial"
lab kill h1 </dev/null; wait_for 90 gone h1 || die "the controller did not see the loss"; lab up h1 </dev/null
steady 1.1.0 "power loss"
[[ $(installed) == "$before" ]] || die "the installed agent was changed: $(installed)"

step "uninstalled: what is root's is said, and it is not started again"
node=$(picture h1)
expect 0 ctl node remove h1 --uninstall --yes
has 'left to you: as root: systemctl disable --now ocm-agent@claw'
wait_for 20 eval '[[ $(property SubState) == failed || $(property SubState) == dead ]]' || { host_log h1; die "$(property SubState)"; }
[[ $(property ExecMainStatus) == 3 ]] || { host_log h1; die "status $(property ExecMainStatus)"; }
[[ -z $(ls "$S" 2>/dev/null) ]] || die "left: $(ls "$S")"
[[ $(picture h1) == "$node" ]] || die "OpenClaw's state is another"

step "out of reach of an upgrade: by SSH, as it was added"
install -m 600 "$OCM_CACHE/base-$LAB_SUITE-ssh/key" "$T/key"
wait_for 20 bash -c "exec 3<>/dev/tcp/$(lab ip s1)/22" || die "no sshd on s1"
AGENT=$A0 host_programs s1; rm "$(lab root s1)/usr/bin/ocm-agent"
install -m 755 "$top/deploy/sample-node" "$(lab root s1)/usr/local/bin/sample-node"
lab run s1 runuser -u claw -- sample-node /home/claw/.openclaw /home/claw 28789 --files 20 </dev/null
mkdir "$T/before"; cp "$A0" "$T/before/ocm-agent-$ARCH"; (cd "$T/before"; sha256sum ocm-agent-* >SHA256SUMS)
expect 0 ctl node add "root@$(lab ip s1)" -i "$T/key" --agent-dir "$T/before" --accept-new --yes --no-backup --name s1
runs s1 0.0.9 || die "version: $(version_of s1)"
expect 3 ctl node upgrade s1 --from "$(pkg next)"
expect 0 ctl node upgrade s1 --from "$(pkg next)" --ssh --yes
wait_for 20 runs s1 1.1.0 || { cat "$T/out"; die "version: $(version_of s1)"; }
