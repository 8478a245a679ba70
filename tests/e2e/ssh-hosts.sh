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
type_in '\(yes/no' yes 'go on' y
begun=$(date +%s%N)
typed 0 add "root@$(lab ip k1)" -i "$T/key"
ms=$((($(date +%s%N) - begun) / 1000000))
has "ED25519 key fingerprint is SHA256:"
has "ok: k1, backup complete"
((ms < 8000)) || die "$ms ms from nothing to the first backup"
echo "first backup after $ms ms"
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
canary=$(secret pw); root_canary=$(secret sudo)
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
expect 0 add "ann@$(lab ip p1)" --accept-new --yes --password-fd 3 3<"$T/secrets/pw"
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
ssh-keygen -q -t ed25519 -N "$(cat "$T/secrets/sudo")" -f "$T/locked"
cat "$T/locked.pub" >>"$(lab root j1)/root/.ssh/authorized_keys"
# the jump host lets the other key in, by the operator's own configuration
mkdir -p "$HOME/.ssh"
printf 'Host hop\n HostName %s\n User root\n IdentityFile %s\n' "$(lab ip k1)" "$T/key" >"$HOME/.ssh/config"
cp "$HOME/.ssh/config" /root/.ssh/config.ocm-test 2>/dev/null || true
type_in '\(yes/no' yes 'passphrase.*:' "<$T/secrets/sudo" '\(yes/no' yes 'go on' y
ssh_home typed 0 add "root@$(lab ip j1)" -i "$T/locked" --jump hop
has "ok: j1, backup complete"
lab run j1 journalctl -u ssh --no-pager -o cat </dev/null | grep "Accepted publickey" | tail -1 | grep -q "from $(lab ip k1)" || die "not over the jump host"
