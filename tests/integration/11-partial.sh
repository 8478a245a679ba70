# Goal: what cannot be captured is named and makes the backup partial; nothing else is lost by it, nothing aborts.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"
need_root # for an unreadable file, the agent runs as another user

start_controller
A=$T/a/.openclaw
user=nobody
port=$(free_ports 1)
"$top/deploy/sample-node" "$A" "$T/a" "$port" --files 20
w=$A/workspace
mkdir "$w/odd"
echo secret >"$w/odd/unreadable"; mkdir "$w/odd/closed"; echo in >"$w/odd/closed/in"
mkfifo "$w/odd/fifo"
python3 -c "import socket,sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])" "$w/odd/sock"
printf 'not utf-8' >"$w/odd/$(printf 'n\xff\xfename')"
printf 'new line' >"$w/odd/$(printf 'two\nlines')"
agent_conf one "$T/a" "state_dir = $A"
mkdir -m 700 "$T/agent-one"
chown -R "$user" "$T/a" "$T/agent-one"
chown root "$w/odd/unreadable" "$w/odd/closed"; chmod 600 "$w/odd/unreadable"; chmod 700 "$w/odd/closed"
mknod "$w/odd/device" c 1 3
chmod 755 "$T" "$T/run"; touch "$T/agent-one.log"; chmod 666 "$T/agent-one.log"
step "an agent that is not root"
cp "$OCM_BIN/ocm-agent" "$T/ocm-agent"; chmod 755 "$T/ocm-agent"
as_user() { HOME=$T/a setpriv --reuid="$user" --regid=nogroup --clear-groups "$@"; }
ctl --json node token one | jq -r .token |
  as_user "$T/ocm-agent" --config "$T/agent-one.conf" join --controller "127.0.0.1:$JOIN_PORT" --name one 2>>"$T/agent-one.log"
HOME=$T/a setpriv --reuid="$user" --regid=nogroup --clear-groups "$T/ocm-agent" --config "$T/agent-one.conf" run 2>>"$T/agent-one.log" </dev/null &
pids+=("$!")
wait_for 20 connected one || die "the agent did not connect"

step "partial, with names"
expect 3 ctl backup one
cp "$T/out" "$T/backup.txt"
has partial; has 'unreadable'; has 'closed'
ctl --json show latest:one >"$T/show.json"
for f in unreadable closed; do
  grep -q "odd/$f" "$T/show.json" || die "$f is not named in what the backup says of itself"
done
[[ $(ctl --json list one | jq -r '.snapshots[0].state') == partial ]] || die "the list does not say partial"

step "and everything else is in it"
rst restore "$(newest one)" --target "$T/r" >/dev/null
(cd "$T/r" && sha256sum --quiet -c verify/SHA256SUMS) || die "sums"
o=$T/r/data/workspace/main/odd
[[ $(cat "$o/$(printf 'n\xff\xfename')") == 'not utf-8' && $(cat "$o/$(printf 'two\nlines')") == 'new line' ]] || die "names that are bytes"
[[ ! -e $o/unreadable && ! -S $o/sock ]] || die "things that cannot be there"
(cd "$w" && find . -path ./odd -prune -o -type f -print0 | sort -z | xargs -0 sha256sum) >"$T/sums"
(cd "$T/r/data/workspace/main" && sha256sum --quiet -c "$T/sums") || die "the rest"
jq -e '.problem_count >= 2' "$T/r/meta.json" >/dev/null || die "meta.json"

step "files that grow and vanish meanwhile"
mkdir "$w/live"; chown "$user" "$w/live"
cat >"$T/writer.py" <<'P'
import os, sys, time
d, end, n = sys.argv[1], time.time() + 60, 0
while time.time() < end:
    n += 1
    with open(f'{d}/grow', 'ab') as f: f.write(os.urandom(100000))
    if os.path.getsize(f'{d}/grow') > 30000000: os.truncate(f'{d}/grow', 10)
    open(f'{d}/v{n}', 'w').write('x' * 1000)
    if n > 50: os.unlink(f'{d}/v{n - 50}')
P
python3 "$T/writer.py" "$w/live" </dev/null >/dev/null 2>&1 &
writer=$!; pids+=("$writer")
many_written() { [[ -n $(find "$w/live" -name 'v[0-9][0-9][0-9]*' -print -quit) ]]; }
wait_for 20 many_written
for i in 1 2 3; do
  expect 3 ctl backup one # the unreadable ones are still there
  rst restore "$(newest one)" --target "$T/r$i" >/dev/null
  (cd "$T/r$i" && sha256sum --quiet -c verify/SHA256SUMS) || die "sums of a backup of files that change"
done
kill "$writer" 2>/dev/null || true
rm -rf "$w/odd" "$w/live"
step "complete again when the reasons are gone"
expect 0 ctl backup one
has complete
