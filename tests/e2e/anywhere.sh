# Goal: the static agent runs on Debian 12, on Debian 13, and where there is nothing but busybox and a kernel of
# 4.18, on x86-64 and on arm64: found by the controller's name in DNS, backed up, migrated to.
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"

other=aarch64 && [[ $(uname -m) == aarch64 ]] && other=x86_64
CONTROLLER=controller.test

step "static agents"
AGENT=$(static_agent "$(uname -m)") || die "no static agent"
foreign=$(static_agent $other) || die "no static agent for $other"
(cd "$(dirname "$AGENT")" && sha256sum --quiet -c SHA256SUMS) || die "SHA256SUMS"
for f in "$AGENT" "$foreign"; do
  (($(stat -c %s "$f") <= 6000000)) || die "$(ls -l "$f")"
  if readelf -l "$f" | grep INTERP; then die "$f needs a loader"; fi
done

step "Debian 12 and 13, one name server for all"
LAB_SUITE=bookworm hosts d12
LAB_SUITE=trixie lab up d13 </dev/null || die "no Debian 13"
cat >"$T/dns.py" <<'PY'
# answers A of controller.test with argv[1], on port 53 there; nothing else exists
import socket, struct, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 53))
open(sys.argv[2], 'w').close()
while True:
    q, peer = s.recvfrom(512)
    end = q.index(0, 12) + 1
    known = q[12:end].lower() == b'\x0acontroller\x04test\x00'
    kind, = struct.unpack('>H', q[end:end + 2])
    answer = b'\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04' + socket.inet_aton(sys.argv[1]) if known and kind == 1 else b''
    s.sendto(q[:2] + (b'\x81\x80' if known else b'\x81\x83') + b'\0\1' + struct.pack('>H', bool(answer)) + b'\0\0\0\0' + q[12:end + 4] + answer, peer)
PY
python3 "$T/dns.py" "$GATEWAY" "$T/dns.up" >"$T/dns.log" 2>&1 </dev/null &
pids+=($!)
wait_for 10 test -e "$T/dns.up" || die "no name server"
# services of the name switch that only a shared C library can load, and that are not there
for h in d12 d13; do
  root=$(lab root $h)
  printf 'nameserver %s\noptions timeout:1\n' "$GATEWAY" >"$root/etc/resolv.conf"
  sed -i 's/^hosts:.*/hosts: mymachines resolve mdns4_minimal [NOTFOUND=return] dns/; s/^passwd:.*/passwd: sss systemd files/' "$root/etc/nsswitch.conf"
  [[ $(. "$root/etc/os-release"; echo "$VERSION_ID") == "${h#d}" ]] || die "$h is not Debian ${h#d}"
done
fake_host d12 --files 40
fake_host d13 --empty
[[ $(result d12 | jq -r .state) == complete ]] || die "backup: $(ctl show latest:d12)"
expect 0 ctl migrate d12 d13 --clone --yes
wait_for 30 serves d13 || die "the gateway of d13"
clean d13 || die "left: $(leftovers d13)"

# box NAME AGENT: a root folder with busybox, that agent and a user; in_box NAME COMMAND...: as that user in it, all of
# it ends with the command
box() {
  local root=$T/$1
  mkdir -p "$root"/{bin,etc/ocm,proc,dev,tmp,home/claw,agent}
  cp "$(command -v busybox)" "$root/bin/busybox"
  cp "$2" "$root/bin/ocm-agent"
  [[ -z ${EMULATOR:-} ]] || cp "$EMULATOR" "$root/bin/emulator"
  cp "$(lab root d12)/usr/local/bin/fake_gateway" "$root/bin/fake_gateway"
  chroot "$root" /bin/busybox --install -s /bin
  echo 'claw:x:1000:1000::/home/claw:/bin/sh' >"$root/etc/passwd"; echo 'claw:x:1000:' >"$root/etc/group"
  echo "nameserver $GATEWAY" >"$root/etc/resolv.conf"
  mknod -m 666 "$root/dev/null" c 1 3
  cat >"$root/bin/gw" <<'G'
#!/bin/sh
pid=$(sed -n 's/.*"pid": \([0-9]*\).*/\1/p' /home/claw/.openclaw/tmp/openclaw-*/gateway.state.lock 2>/dev/null)
alive() { [ -n "$pid" ] && [ "$(readlink /proc/$pid/exe)" = /bin/fake_gateway ]; }
case $1 in
  start) alive || exec fake_gateway --state /home/claw/.openclaw --port "$(sed -n 's/.*"port": *\([0-9]*\).*/\1/p' /home/claw/.openclaw/openclaw.json | head -n 1)" ;;
  stop) ! alive || kill $pid; while alive; do usleep 50000; done ;;
  status) alive ;;
esac
G
  chmod 755 "$root/bin/gw"
  cat >"$root/etc/ocm/agent.conf" <<'G'
[agent]
state_dir = /agent
reconnect_max = 1s
[openclaw]
home = /home/claw
[gateway]
control = exec
exec_start = gw start
exec_stop = gw stop
exec_status = gw status
health_wait = 20s
stop_wait = 5s
G
  chown -R 1000:1000 "$root/home/claw" "$root/agent"
}
in_box() {
  local root=$T/$1; shift
  # shellcheck disable=SC2016
  ASAN_OPTIONS=detect_leaks=0 R=$root exec unshare --mount --pid --fork --kill-child "${BEHIND[@]}" bash -c 'mount --make-rprivate /; mount -t proc proc "$R/proc"
    exec chroot --userspec=1000:1000 "$R" /bin/env -i HOME=/home/claw PATH=/bin "$@"' _ "$@"
}
box_agent() { # NAME COMMAND...
  local name=$1; shift
  ctl --json node token "$name" | jq -r .token |
    in_box "$name" "$@" join --controller "$CONTROLLER:$JOIN_PORT" --name "$name" 2>>"$T/agent-$name.log" || die "$name did not join"
  in_box "$name" "$@" run >>"$T/agent-$name.log" 2>&1 </dev/null &
  # unshare itself ignores signals
  at_end "kill -TERM \$(cat /proc/$!/task/$!/children) 2>/dev/null; wait $!"
  wait_for 30 connected "$name" || die "$name did not connect"
}
step "busybox, no C library, Linux 4.18"
BEHIND=("$OCM_BIN/old_kernel")
box old "$AGENT"
box_agent old /bin/ocm-agent
expect 0 ctl migrate d12 old --clone --yes
S=home/claw/.openclaw
(cd "$(lab root d12)$FAKE_STATE/media" && find . -type f -print0 | sort -z | xargs -0 sha256sum) >"$T/sums"
[[ -s $T/sums ]] || die "no files"
(cd "$T/old/$S/media" && sha256sum --quiet -c "$T/sums") || die "other files"
[[ $(result old | jq -r .state) == complete ]] || die "backup: $(ctl show latest:old)"

# a migration would start the agent's own program again, which the emulator cannot
step "the other architecture: a backup"
BEHIND=() EMULATOR=$(command -v "qemu-$other-static")
box foreign "$foreign"
cp -a "$T/old/$S" "$T/foreign/home/claw/"
box_agent foreign /bin/emulator /bin/ocm-agent
ctl --json node show foreign >"$T/out"; has "$other"
[[ $(result foreign | jq -r .state) == complete ]] || die "backup: $(ctl show latest:foreign)"
for f in $(awk '{ print $2 }' "$T/sums"); do
  [[ $(ctl cat latest:foreign "data/media/media/${f#./}" | sha256sum | cut -d' ' -f1) == "$(awk -v f="$f" '$2 == f { print $1 }' "$T/sums")" ]] || die "$f in the backup"
done
expect 0 ctl verify
step done
