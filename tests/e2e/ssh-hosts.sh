#!/bin/bash
# Goal: `ocmctl node add` brings the agent onto real hosts by SSH whatever their sshd wants (key, password with
# sudo, a user without sudo, jump host, passphrase), tells what is wrong with those it cannot reach, leaves nothing
# half done, and no password is ever seen where others can look.
export LAB_KIND=ssh
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"
. "$here/ssh.sh"

step "three hosts with sshd, two of them with OpenClaw"
hosts k1 p1 j1
ssh_ready k1 p1 j1
for h in k1 p1; do sample_on "$h" claw 28789; done

step "a key: the host key is shown and confirmed, then pinned; a backup in under 8 s"
first_time() { # milliseconds in $ms
  local begun
  begun=$(date +%s%N)
  type_in '\(yes/no' yes 'go on' y
  typed 0 add "root@$(lab ip k1)" -i "$T/key"
  ms=$((($(date +%s%N) - begun) / 1000000))
}
first_time
has "ED25519 key fingerprint is SHA256:"
has "ok: k1, backup complete"
for again in 1 2; do # the machine may be busy with something else
  echo "first backup after $ms ms"
  ((ms >= 8000)) || break
  ctl node remove k1 --yes >/dev/null
  lab run k1 sh -s remove <"$top/deploy/bootstrap.sh" >/dev/null
  first_time
done
((ms < 8000)) || die "$ms ms from nothing to the first backup"
id=$(node_id k1)
[[ $(ctl --json node show k1 | jq -r .node.last_backup.state) == complete ]] || die "no backup"
connection=$(curl -fs --unix-socket "$T/run/ocm.sock" "http://localhost/api/v1/nodes/k1/connection")
[[ $(jq -r .connection.host_key <<<"$connection") == "$(lab ip k1) ssh-ed25519 "* ]] || die "no host key is kept: $connection"
! grep -qr "$(lab ip k1)" "$T/controller/catalog.sqlite"* || die "the catalog tells where the node is"
[[ -z $(ls "$T/tmp") ]] || die "left here: $(ls "$T/tmp")"
clean_host k1

step "again: nothing is asked, nothing changes; by the node's name, too"
picture_of k1 >"$T/before-k1"
expect 0 add "root@$(lab ip k1)" -i "$T/key" --yes
has "repair the agent"
expect 0 add k1 --yes --no-backup
picture_of k1 | diff "$T/before-k1" - || die "a second run changed something"
[[ $(node_id k1) == "$id" && $(ctl --json node list | jq '.nodes | length') == 1 ]] || die "another node"
lab run k1 sh -c "systemctl stop ocm-agent@claw; rm /etc/systemd/system/ocm-agent@.service" </dev/null
expect 0 add k1 --yes
wait_for 5 connected k1

step "--dry-run looks, prints and changes nothing"
picture_of p1 >"$T/before"
expect 0 add "root@$(lab ip p1)" -i "$T/key" --accept-new --dry-run
has "would run: cat >/tmp/ocm-bootstrap"
has "would run: sh .*bootstrap.sh install .*--user 'claw'"
picture_of p1 | diff "$T/before" - || die "it did something"

step "another agent is an upgrade; one that is not what its sums say stays here"
mkdir "$T/newer" "$T/broken"
cp "$agents/ocm-agent-$(uname -m)" "$T/newer"; printf 'x' >>"$T/newer/ocm-agent-$(uname -m)"
(cd "$T/newer"; sha256sum ocm-agent-* >SHA256SUMS); cp "$T"/newer/* "$T/broken"; printf 'y' >>"$T/broken/ocm-agent-$(uname -m)"
expect 14 add k1 --yes --agent-dir "$T/broken"
has "is not what SHA256SUMS says"
expect 0 add k1 --yes --agent-dir "$T/newer"
has "upgrade the agent"
cmp "$(lab root k1)/usr/local/bin/ocm-agent" "$T/newer/ocm-agent-$(uname -m)" || die "not upgraded"
[[ $(node_id k1) == "$id" ]] || die "another identity"
# one that does not run is taken back, and the old one goes on
printf '#!/bin/sh\nexit 3\n' >"$T/newer/ocm-agent-$(uname -m)"; (cd "$T/newer"; sha256sum ocm-agent-* >SHA256SUMS)
expect 1 add k1 --yes --agent-dir "$T/newer"
has "does not run on this machine"
wait_for 10 connected k1
clean_host k1

step "a password, and sudo with it: asked when needed, seen nowhere"
canary=$(secret pw)
ssh-keygen -q -t ed25519 -N "$(secret phrase)" -f "$T/locked" # its command line, before anybody watches
lab run p1 sh -c 'useradd -m -s /bin/bash ann; usermod -aG sudo ann; chpasswd' <<<"ann:$canary"
watch_for_canaries
type_in '\(yes/no' yes "password:" "wrong-one" "password:" "<$T/secrets/pw" 'sudo.*:' nonsense 'accepted.*\n.*sudo.*:' "" 'go on' y
# a second host keeps ocmctl alive at a question, so that its memory can be looked at
type_in_more '\(yes/no' "<$T/go"
typed_background add --parallel 1 "ann@$(lab ip p1)" "claw@$(lab ip j1)"
wait_for 60 grep -q "ok: p1, backup complete" "$T/out" || { cat "$T/out"; die "the password host"; }
wait_for 20 grep -q "authenticity of host '$(lab ip j1)" "$T/out" || { cat "$T/out"; die "the second host"; }
memory_is_clean "$(pgrep -P "$typist" -f ocmctl)"
memory_is_clean "$controller"
! (memory_is_clean "$canary_watch") >/dev/null 2>&1 || die "the search finds nothing where there is something"
echo no >"$T/go"
typed_end 1
has "host key was not accepted"
canaries_are_unseen p1
clean_host p1
ctl node remove p1 --yes >/dev/null; lab run p1 sh -s remove <"$top/deploy/bootstrap.sh" >"$T/out" || { cat "$T/out"; die "remove"; }
picture_of p1 | diff "$T/before" - || die "remove left or took something"

step "passwords from a descriptor; wrong ones end it at once"
expect 12 add "ann@$(lab ip p1)" --accept-new --yes --password-fd 3 3<<<"not-it"
has "Permission denied|not accepted"
printf '%s\nwrong\n' "$canary" >"$T/secrets/two"
expect 12 add "ann@$(lab ip p1)" --accept-new --yes --password-fd 3 3<"$T/secrets/two"
has "sudo does not accept the password"
picture_of p1 | diff "$T/before" - || die "a wrong password changed the host"
# a key that the operator knows is trusted, and kept
ssh-keyscan -t ed25519 "$(lab ip p1)" 2>/dev/null >>"$T/known_hosts"
expect 0 add "ann@$(lab ip p1)" --yes --password-fd 3 3<"$T/secrets/pw"
curl -fs --unix-socket "$T/run/ocm.sock" "http://localhost/api/v1/nodes/p1/connection" | jq -e '.connection.host_key | contains("ssh-ed25519")' >/dev/null || die "the key is not kept"
expect 12 add "ann@$(lab ip p1)" --yes </dev/null
has "nobody gave it|Permission denied"

step "users without sudo: a service of their own where they linger, else cron"
for u in lee jo; do
  lab run p1 useradd -m -s /bin/bash $u </dev/null
  lab run p1 chpasswd <<<"$u:$(cat "$T/secrets/pw")"
done
lab run p1 loginctl enable-linger lee </dev/null
sample_on p1 lee 30789; sample_on p1 jo 31789
expect 0 add "lee@$(lab ip p1)" --yes --name lee --password-fd 3 3<"$T/secrets/pw"
expect 0 add "jo@$(lab ip p1)" --yes --name jo --password-fd 3 3<"$T/secrets/pw"
[[ -e $(lab root p1)/home/lee/.config/systemd/user/ocm-agent@.service ]] || die "no unit of lee's own"
lab run p1 crontab -l -u jo </dev/null | grep -q '^@reboot' || die "no cron job of jo's"
expect 0 add "jo@$(lab ip p1)" --yes --password-fd 3 3<"$T/secrets/pw"
[[ $(lab run p1 crontab -l -u jo </dev/null | wc -l) == 1 ]] || die "cron jobs pile up"
expect 1 add "jo@$(lab ip p1)" --yes --mode user --password-fd 3 3<"$T/secrets/pw"
has "enable-linger jo"

step "a host without OpenClaw; one that is not there; the others are not held up"
cat >"$T/hosts" <<X
# a remark
root@$(lab ip j1)
root@$(lab gateway | sed 's/1$/250/') name=nowhere
-oProxyCommand=x
X
expect 2 add -f "$T/hosts" --yes
has "not the name of a host|no host"
sed -i '$d' "$T/hosts"
echo "root@$(lab ip k1) name=k1" >>"$T/hosts"
expect 1 add -f "$T/hosts" -i "$T/key" --accept-new --yes --parallel 3
has "no OpenClaw was found there"
has "250: failed: .*(No route to host|timed out)"
has "ok: k1, backup complete"
has "1 of 3 hosts done"
picture_of j1 >"$T/before-j1"
[[ ! -e $(lab root j1)/usr/local/bin/ocm-agent ]] || die "an agent without OpenClaw"

step "over a jump host, with a key that has a passphrase; then through an agent"
sample_on j1 claw 28789
cat "$T/locked.pub" >>"$(lab root j1)/root/.ssh/authorized_keys"
printf 'Host hop\n HostName %s\n User root\n IdentityFile %s\n' "$(lab ip k1)" "$T/key" >>"$T/ssh_config"
type_in '\(yes/no' yes '\(yes/no' yes 'passphrase.*:' "<$T/secrets/phrase" 'go on' y
typed 0 add "root@$(lab ip j1)" -i "$T/locked" --jump hop
has "ok: j1, backup complete"
lab run j1 journalctl -u ssh --no-pager -o cat </dev/null | grep "Accepted publickey" | tail -1 | grep -q "from $(lab ip k1)" || die "not over the jump host"
expect 12 add j1 --yes # nobody types the passphrase
printf '#!/bin/sh\ncat "%s"\n' "$T/secrets/phrase" >"$T/askpass"; chmod 700 "$T/askpass"
eval "$(ssh-agent -a "$T/run/ssh-agent")" >/dev/null
pids+=("$SSH_AGENT_PID")
SSH_ASKPASS=$T/askpass SSH_ASKPASS_REQUIRE=force ssh-add -q "$T/locked" </dev/null
expect 0 add j1 --yes
unset SSH_AUTH_SOCK SSH_AGENT_PID
canaries_are_unseen j1

step "a certificate of the operator's CA; keyboard-interactive where passwords are off"
sshd_of() { # HOST LINES...
  printf '%s\n' "${@:2}" >"$(lab root "$1")/etc/ssh/sshd_config.d/0-test.conf"
  lab run "$1" systemctl restart ssh </dev/null
}
ssh-keygen -q -t ed25519 -N "" -f "$T/ca"; ssh-keygen -q -t ed25519 -N "" -f "$T/signed"
ssh-keygen -q -s "$T/ca" -I operator -n root "$T/signed.pub"
cp "$T/ca.pub" "$(lab root p1)/etc/ssh/ca.pub"
sshd_of p1 'TrustedUserCAKeys /etc/ssh/ca.pub'
expect 0 add "root@$(lab ip p1)" -i "$T/signed" --yes
has "ok: p1"
lab run p1 journalctl -u ssh --no-pager -o cat </dev/null | grep -q 'Accepted publickey for root .*CERT.* ID operator' || die "not by the certificate"
sshd_of p1 'PasswordAuthentication no' 'KbdInteractiveAuthentication yes'
expect 0 add "ann@$(lab ip p1)" --yes --password-fd 3 3<"$T/secrets/pw"
has "ok: p1"
lab run p1 journalctl -u ssh --no-pager -o cat </dev/null | grep -q 'Accepted keyboard-interactive/pam for ann' || die "not by keyboard-interactive"
sshd_of p1

step "a host key that has changed stops it, until somebody knows why"
lab run k1 sh -c 'rm /etc/ssh/ssh_host_*; ssh-keygen -q -t ed25519 -N "" -f /etc/ssh/ssh_host_ed25519_key; systemctl restart ssh' </dev/null >/dev/null
ssh_ready k1
expect 12 add k1 --yes --accept-new
has "host key has changed: it was SHA256:.*, now it shows SHA256:.*--new-host-key"
expect 12 add k1 --yes --new-host-key --accept-new # as a jump host it was put into the operator's own file
has "not the one in your known_hosts.*ssh-keygen -R '$(lab ip k1)'"
ssh-keygen -q -R "$(lab ip k1)" -f "$T/known_hosts" >/dev/null 2>&1 || true
expect 0 add k1 --yes --new-host-key --accept-new
expect 0 add k1 --yes

step "a cable that is cut while the agent is copied"
cp "$agents/ocm-agent-$(uname -m)" "$T/newer"; printf 'z' >>"$T/newer/ocm-agent-$(uname -m)"
(cd "$T/newer"; sha256sum ocm-agent-* >SHA256SUMS)
sum=$(sha256sum <"$(lab root k1)/usr/local/bin/ocm-agent")
tc qdisc add dev "ocm${LAB_ID}k1" root tbf rate 4mbit burst 64kbit latency 400ms
add k1 --yes --agent-dir "$T/newer" >"$T/cut" 2>&1 </dev/null & cut=$!
wait_for 30 grep -q "copying the agent" "$T/cut" || { cat "$T/cut"; die "no copy"; }
lab cut k1
got=0; begun=$SECONDS; wait $cut || got=$?
[[ $got == 13 ]] || { cat "$T/cut"; die "exit $got"; }
has "the connection broke" "$T/cut"
((SECONDS - begun < 40)) || die "it took $((SECONDS - begun)) s to notice"
tc qdisc del dev "ocm${LAB_ID}k1" root
lab mend k1
[[ $(sha256sum <"$(lab root k1)/usr/local/bin/ocm-agent") == "$sum" ]] || die "half an agent"
wait_for 90 connected k1 || die "the agent did not find back"
expect 0 add k1 --yes --agent-dir "$T/newer"
[[ $(sha256sum <"$(lab root k1)/usr/local/bin/ocm-agent") != "$sum" ]] || die "not upgraded"

step "after a loss of power all are back by themselves: system, user, cron"
lab kill p1 </dev/null
wait_for 90 gone jo || die "nobody noticed"
lab up p1 </dev/null
for n in p1 lee jo; do wait_for 60 connected $n || die "$n did not come back"; done

step "a line for hosts without SSH"
ctl node remove j1 --yes >/dev/null
lab run j1 sh -s remove <"$top/deploy/bootstrap.sh" >"$T/out" || { cat "$T/out"; die "remove"; }
mkdir "$(lab root j1)/root/ocm"
ctl node script >"$(lab root j1)/root/ocm/bootstrap.sh"
cp "$agents/ocm-agent-$(uname -m)" "$(lab root j1)/root/ocm/"
ctl node token j1 --script --agent-dir "$agents" 2>"$T/out" >"$T/line"
has "ocmctl node script" ; [[ $(wc -l <"$T/line") == 1 ]] || die "not one line"
lab run j1 sh -c "cd /root/ocm && $(cat "$T/line")" </dev/null >"$T/out" 2>&1 || { cat "$T/out"; die "the line"; }
wait_for 20 connected j1
