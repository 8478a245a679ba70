#!/bin/bash
# Goal: deploy/bootstrap.sh works on a system that has busybox and nothing else, no systemd and no C library: root
# installs the static agent for OpenClaw's user by cron, again without effect, and removes it.
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"
agent=$(static_agent "$(uname -m)") || die "no static agent"
box=$(command -v busybox) && ! ldd "$box" >/dev/null 2>&1 || die "no static busybox: deploy/install-deps test"

step "a system of busybox alone"
start_controller
R=$T/root
mkdir -p "$R"/{usr,bin,etc,proc,dev,tmp,root,run,var/spool/cron/crontabs,home/claw}
install -m 755 "$box" "$R/bin/busybox"
for a in $("$box" --list); do [[ -e $R/bin/$a ]] || ln -s busybox "$R/bin/$a"; done
printf 'root:x:0:0:root:/root:/bin/sh\nclaw:x:1000:1000::/home/claw:/bin/sh\n' >"$R/etc/passwd"
printf 'root:x:0:\nclaw:x:1000:\n' >"$R/etc/group"
echo 'root::0:0:99999:7:::' >"$R/etc/shadow"
mknod -m 666 "$R/dev/null" c 1 3; mknod -m 444 "$R/dev/urandom" c 1 9; chmod 1777 "$R/tmp"
"$top/deploy/sample-node" "$R/home/claw/.openclaw" "$R/home/claw" 28789 --files 5
chown -R 1000:1000 "$R/home/claw"
cp "$top/deploy/bootstrap.sh" "$agent" "$R/root/"
mount -t proc proc "$R/proc"
at_end 'umount "$R/proc"'
inside() { chroot "$R" /bin/busybox env -i PATH=/bin HOME=/root "$@"; }
at_end 'for f in "$R"/var/lib/ocm-agent/*/keeper.pid; do [[ ! -e $f ]] || kill "$(cat "$f")"; done'
picture() { (cd "$R" && find etc usr var home ! -name cron.update -printf '%p %y %m %u %l\n' 2>/dev/null | sort); }
picture >"$T/before"

step "detect"
inside sh /root/bootstrap.sh detect >"$T/out" || { cat "$T/out"; die detect; }
has '^libc=none'; has '^init=other'; has '^cron=yes'; has '^state1.user=claw'; has '^state1.dir=/home/claw/.openclaw'

step "install for claw, again, and after a kill"
install=(sh /root/bootstrap.sh install --controller "127.0.0.1:$JOIN_PORT" --name box)
ctl --json node token box | jq -r .token | inside "${install[@]}" >"$T/out" 2>&1 || { cat "$T/out"; die install; }
has '^mode=cron'
wait_for 20 connected box || { cat "$R"/var/lib/ocm-agent/claw/agent.log; die "not connected"; }
grep -q '^@reboot' "$R/var/spool/cron/crontabs/claw" || die "no cron job"
[[ $(ps -o uid= -p "$(cat "$R/var/lib/ocm-agent/claw/keeper.pid")") -eq 1000 ]] || die "not as claw"
[[ $(result box | jq -r .state) == complete ]] || die "backup"
inside "${install[@]}" >"$T/out" 2>&1 </dev/null || { cat "$T/out"; die again; }
has '^changed=no'
pkill -KILL -P "$(cat "$R/var/lib/ocm-agent/claw/keeper.pid")"
wait_for 20 connected box

step "remove"
inside sh /root/bootstrap.sh remove >"$T/out" 2>&1 || { cat "$T/out"; die remove; }
has '^removed=agent'
wait_for 20 gone box
# folders of the system that were missing stay
picture | grep -vE '^(usr/local|usr/local/(bin|lib)|var/lib) d ' | diff "$T/before" - || die "remove left or took something"
