# ssh.sh - sourced after hosts.sh by the scripts about SSH: hosts of LAB_KIND=ssh, an operator at a terminal,
# and secrets that must be seen nowhere.

agents=$(static_agent "$(uname -m)") || die "no static agent"
agents=${agents%/*}
# ssh takes the home of the password file, whatever $HOME says: nothing of the operator's there is looked at
printf 'UserKnownHostsFile %s\nIdentityFile none\n' "$T/known_hosts" >"$T/ssh_config"
mkdir -p "$T/secrets" "$HOME/.ssh" "$T/tmp"; chmod 700 "$T/secrets" "$HOME/.ssh"

# add ARGS...: node add, with the agents of this build unless others are named
add() {
  local dir=(--agent-dir "$agents")
  [[ " $* " != *" --agent-dir "* ]] || dir=()
  TMPDIR=$T/tmp ctl node add --ssh-config "$T/ssh_config" "${dir[@]}" "$@"
}

ssh_ready() { # HOST...: sshd answers on each
  local h
  install -m 600 "$OCM_CACHE/base-$LAB_SUITE-ssh/key" "$T/key"
  for h; do wait_for 20 bash -c "exec 3<>/dev/tcp/$(lab ip "$h")/22" || die "no sshd on $h"; done
}

sample_on() { # HOST USER PORT: a sample OpenClaw state there
  local root
  root=$(lab root "$1")
  install -m 755 "$top/deploy/sample-node" "$root/usr/local/bin/sample-node"
  lab run "$1" runuser -u "$2" -- sample-node "/home/$2/.openclaw" "/home/$2" "$3" --files 20 </dev/null || die "sample on $1"
}

node_id() { ctl --json node show "$1" | jq -r .node.id; }

# picture_of HOST: names, kinds, modes and content of all that an installation could touch
picture_of() {
  (cd "$(lab root "$1")"
   find usr/local etc/ocm etc/systemd etc/cron* var/lib/ocm-agent var/spool/cron home/*/.config home/*/.local home/*/.openclaw tmp \
     ! -path 'tmp/systemd-private*' ! -path 'home/*/.openclaw/tmp*' -printf '%p %y %m %l\n' 2>/dev/null | sort || true
   find usr/local etc/systemd home/*/.openclaw home/*/.config -type f -print0 2>/dev/null | sort -z | xargs -0 -r sha256sum || true)
}

# clean_host HOST: nothing of a bootstrap is left in its temporary folder, nor of an installation half way
clean_host() {
  local left
  left=$(find "$(lab root "$1")"/{tmp,usr/local,etc,var/lib/ocm-agent} \( -name 'ocm-bootstrap.*' -o -name 'ocm-work.*' -o -name '*.ocm-new' -o -name '*.ocm-old' \) 2>/dev/null || true)
  [[ -z $left ]] || die "left on $1: $left"
}

# ---- an operator at a terminal ----

type_in() { : >"$T/typing"; type_in_more "$@"; } # PATTERN ANSWER...
type_in_more() { while (($#)); do printf '%s\t%s\n' "$1" "$2" >>"$T/typing"; shift 2; done; }
# typed CODE add ARGS...: at a terminal
typed() {
  local want=$1 got=0; shift 2
  TMPDIR=$T/tmp "$here/typist" "$T/typing" "$OCM_BIN/ocmctl" --socket "$T/run/ocm.sock" node add --ssh-config "$T/ssh_config" --agent-dir "$agents" "$@" >"$T/out" 2>&1 </dev/null || got=$?
  [[ $got == "$want" ]] || { cat "$T/out"; die "exit $got instead of $want: $*"; }
}
typed_background() { # add ARGS...: its pid in $typist
  shift
  TMPDIR=$T/tmp "$here/typist" "$T/typing" "$OCM_BIN/ocmctl" --socket "$T/run/ocm.sock" node add --ssh-config "$T/ssh_config" --agent-dir "$agents" "$@" >"$T/out" 2>&1 </dev/null &
  typist=$!
}
typed_end() { # CODE
  local got=0
  wait "$typist" || got=$?
  [[ $got == "$1" ]] || { cat "$T/out"; die "exit $got instead of $1"; }
}

# ---- secrets ----

secret() { # NAME: a random one, kept in $T/secrets/NAME, printed
  (umask 077; head -c 12 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$T/secrets/$1")
  cat "$T/secrets/$1"
}
# watch_for_canaries: from now on no command line and no environment of any process may hold one
watch_for_canaries() {
  python3 - "$T/secrets" "$T/canary.seen" <<'X' &
import glob, os, sys, time
own = os.getpid()
while True:
    secrets = [open(f, 'rb').read().strip() for f in glob.glob(sys.argv[1] + '/*')]
    for f in glob.glob('/proc/[0-9]*/cmdline') + glob.glob('/proc/[0-9]*/environ'):
        try: text = open(f, 'rb').read()
        except OSError: continue
        if any(s and s in text for s in secrets):
            open(sys.argv[2], 'a').write('%s: %s\n' % (f, text[:200]))
    time.sleep(0.005)
X
  canary_watch=$!
  pids+=("$canary_watch")
}
# canaries_are_unseen HOST...: there, in its journal, in our logs, catalog and homes
canaries_are_unseen() {
  local h f
  kill -0 "$canary_watch" || die "nobody watched"
  [[ ! -s $T/canary.seen ]] || { cat "$T/canary.seen"; die "a secret was seen in a process"; }
  for f in "$T"/secrets/*; do
    ! grep -rqaFf "$f" "$T/out" "$T/controller" "$T/controller.log" "$HOME" 2>/dev/null || die "${f##*/} stands in $(grep -rlaFf "$f" "$T/out" "$T/controller" "$T/controller.log" "$HOME")"
    for h; do
      ! lab run "$h" journalctl --no-pager -o cat </dev/null | grep -qaFf "$f" || die "${f##*/} stands in the journal of $h"
      ! grep -rqaFf "$f" "$(lab root "$h")"/{tmp,var/log,etc/ocm,var/lib/ocm-agent,home} 2>/dev/null || die "${f##*/} stands on $h"
    done
  done
}
# memory_is_clean PID: none of them in its memory
memory_is_clean() {
  [[ -n $1 ]] || die "no process to look into"
  python3 - "$1" "$T/secrets" <<'X' || die "a secret is in the memory of $(tr '\0' ' ' <"/proc/$1/cmdline")"
import glob, sys
pid, bad, looked = sys.argv[1], 0, 0
secrets = {f: open(f, 'rb').read().strip() for f in glob.glob(sys.argv[2] + '/*')}
mem = open('/proc/%s/mem' % pid, 'rb', 0)
for line in open('/proc/%s/maps' % pid):
    where, mode = line.split()[:2]
    lo, hi = (int(x, 16) for x in where.split('-'))
    if 'r' not in mode or '[v' in line or hi - lo > 1 << 30: continue
    try:
        mem.seek(lo)
        text = mem.read(hi - lo)
    except (OSError, ValueError, OverflowError): continue
    looked += len(text)
    for f, s in secrets.items():
        if s and s in text:
            print('%s at %s' % (f, line.strip())); bad = 1
assert looked > 1 << 20
sys.exit(bad)
X
}
