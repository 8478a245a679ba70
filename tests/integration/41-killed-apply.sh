# Goal: kill the agent or the controller at any moment of an apply: the target is before or after, and works.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
A=$T/a/www/server/openclaw B=$T/b/home/linou/.openclaw
node src "$A" "$T/a/home" --files 300
head -c 30000000 /dev/urandom >"$A/media/big.bin"
expect 0 ctl backup src
snap=$(newest src)
node dst "$B" "$T/b/home/linou" --empty
cp -a "$T/b" "$T/pristine"
text() { (cd "$B" 2>/dev/null && find . -type f ! -name '*.sqlite*' -print0 | sort -z | xargs -0 -r sha256sum; find . -name '*.sqlite' | sort; find . -name '.ocm-*'); }
before=$(text | sha256sum)

# what a migration that nobody killed ends in, without the values that are made anew in each
shape() { (cd "$B" && find . -printf '%P %y %m\n' | sort); }
shape_before=$(shape | sha256sum)
expect 0 ctl migrate src dst --clone --yes --snapshot "$snap"
shape_after=$(shape | sha256sum)
config_after=$(sha256sum <"$B/openclaw.json")
reset() { # the target as it was, its agent stopped
  stop_pid "${agent[dst]}"
  rm -rf "$T/b"; cp -a "$T/pristine" "$T/b"
  start_agent dst
}
is_after() { [[ $(shape | sha256sum) == "$shape_after" && $(sha256sum <"$B/openclaw.json") == "$config_after" ]]; }
is_before() { [[ $(text | sha256sum) == "$before" && $(shape | sha256sum) == "$shape_before" ]]; }
settled() { is_before || is_after; }
n_before=0 n_after=0
verdict() {
  if is_before; then n_before=$((n_before + 1)); echo "   before"; elif is_after; then n_after=$((n_after + 1)); echo "   after"; else
    find "$T/b" | head -30; shape >"$T/shape"; die "neither before nor after: $1"
  fi
  [[ ! -e $B/state/openclaw.sqlite || $(ask "$B/state/openclaw.sqlite" 'PRAGMA integrity_check') == ok ]] || die "database: $1"
}
begin() { # a plan, and its apply in the background: $cli
  plan=$(ctl --json migrate src dst --clone --plan --snapshot "$snap" | jq -r .job.result.plan)
  ctl migrate src dst --apply "$plan" --yes >"$T/apply.out" 2>&1 </dev/null & cli=$!
}
# kill_when PID PATTERN MS: SIGKILL, so long after a path that fits appeared; at the latest when the apply ended
kill_when() {
  python3 - "$1" "$2" "$3" "$cli" <<'P'
import glob, os, signal, sys, time
pid, pattern, ms, cli = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
def alive(p):
    try: return open(f'/proc/{p}/stat').read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError: return False
end = time.time() + 20
while time.time() < end and alive(cli) and not any(glob.glob(x) for x in pattern.split()): time.sleep(0.0005)
time.sleep(ms / 1000)
os.kill(pid, signal.SIGKILL)
P
}
stage="$T/b/home/linou/.ocm-stage-* $B/.ocm-stage-*"
old="$T/b/home/linou/.ocm-old-* $B/.ocm-old-*"

step "kill -9 of the agent"
while read -r what ms; do
  reset
  begin
  kill_when "${agent[dst]}" "${!what}" "$ms"; wait "${agent[dst]}" 2>/dev/null || true
  stop_pid "$cli"
  start_agent dst # and it puts things right at its start
  wait_for 10 settled || true
  verdict "agent killed $ms ms after $what"
done <<<'stage 0
stage 100
stage 400
old 0
old 1
old 3
old 10
old 40
old 1500'

step "kill -9 of the controller: the agent ends it alone"
while read -r what ms; do
  reset
  begin
  kill_when "$controller" "${!what}" "$ms"; wait "$controller" 2>/dev/null || true
  stop_pid "$cli"
  start_controller
  wait_for 30 connected dst
  wait_for 20 settled || true
  verdict "controller killed $ms ms after $what"
done <<<'stage 50
old 0'
echo "before: $n_before, after: $n_after"
((n_before > 0 && n_after > 0)) || die "all kills fell on one side"

step "and then it still can be migrated to"
rst unlock >/dev/null 2>&1
rst check >"$T/out" 2>&1 || { cat "$T/out"; die "restic check"; }
wait_for 30 connected src
expect 0 ctl migrate src dst --clone --yes --snapshot "$snap"
is_after || die "the migration after all that"
