# Goal: a database that is written all the time is captured consistently and never touched by us.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
A=$T/a/.openclaw
node one "$A" "$T/a" --files 20
db=$A/state/openclaw.sqlite
# two tables that are equal in every committed state, and their sum is written down with them
sqlite3 "$db" "CREATE TABLE l(n INTEGER PRIMARY KEY, x BLOB); CREATE TABLE r(n INTEGER PRIMARY KEY, x BLOB); CREATE TABLE total(t INTEGER); INSERT INTO total VALUES(0)"
cat >"$T/writer.py" <<'P'
import os, sqlite3, sys, time
c = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=30)
c.execute('PRAGMA journal_mode=WAL'); c.execute('PRAGMA wal_autocheckpoint=50')
end, n, worst = time.time() + 100, 0, 0.0
while time.time() < end and not os.path.exists(sys.argv[2]):
    t = time.time()
    c.execute('BEGIN IMMEDIATE'); n += 1
    x = os.urandom(3000)
    c.execute('INSERT INTO l VALUES(?,?)', (n, x)); c.execute('INSERT INTO r VALUES(?,?)', (n, x))
    if n > 2000:
        c.execute('DELETE FROM l WHERE n=?', (n - 2000,)); c.execute('DELETE FROM r WHERE n=?', (n - 2000,))
    c.execute('UPDATE total SET t=?', (n,)); c.execute('COMMIT')
    worst = max(worst, time.time() - t)
    time.sleep(0.001)
print(n, round(worst, 3))
P
python3 "$T/writer.py" "$db" "$T/stop" >"$T/writer.out" 2>&1 </dev/null & writer=$!
pids+=("$writer")
commits() { ask_live 'SELECT t FROM total'; }
ask_live() { sqlite3 -readonly "$db" "$1"; }
wait_for 20 eval '(( $(commits) > 300 ))'

files() { (cd "$A" && find . ! -path './state/openclaw.sqlite*' ! -path ./state -printf '%p %s %m %T@ %C@\n' | sort); }
files >"$T/files.before"
last=0
for i in 1 2 3 4 5 6; do
  step "backup $i"
  before=$(commits)
  expect 0 ctl backup one
  after=$(commits)
  rst dump "$(newest one)" /config/state/state/openclaw.sqlite >"$T/copy.$i"
  [[ $(sqlite3 "$T/copy.$i" 'PRAGMA integrity_check') == ok ]] || die "integrity_check of copy $i"
  [[ $(sqlite3 "$T/copy.$i" 'SELECT count(*) FROM (SELECT n, x FROM l EXCEPT SELECT n, x FROM r)') == 0 &&
    $(sqlite3 "$T/copy.$i" 'SELECT (SELECT max(n) FROM l) = t AND (SELECT max(n) FROM r) = t FROM total') == 1 ]] ||
    die "copy $i is no state that ever was committed"
  t=$(sqlite3 "$T/copy.$i" 'SELECT t FROM total')
  ((t >= before && t <= after && t > last)) || die "copy $i has commit $t: not between $before and $after, after $last"
  last=$t
done
kill -0 "$writer" || { cat "$T/writer.out"; die "the writer ended"; }

step "the gateway was not disturbed"
touch "$T/stop"
wait "$writer" || { cat "$T/writer.out"; die "the writer failed"; }
read -r n worst <"$T/writer.out"
echo "$n commits, the longest took $worst s"
python3 -c "import sys; sys.exit($worst > 5)" || die "a commit was held up"
files | diff "$T/files.before" - || die "something in the state folder was touched"
[[ $(sqlite3 "$db" 'PRAGMA integrity_check') == ok ]] || die "the live database"
expect 0 ctl verify --read-data
