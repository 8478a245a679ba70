# Goal: a restore brings the node back byte for byte: what came later inside its sections goes, what is outside stays;
# one section alone touches no other.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
A=$T/a/www/server/openclaw
node one "$A" "$T/a/home"
edge=$A/workspace/projects/edge
chmod 644 "$edge/read-only.txt"; setfattr -n user.note -v kept "$edge/read-only.txt"; chmod 444 "$edge/read-only.txt"
touch -d '1999-12-31 23:59:59.123456789 UTC' "$edge/empty"
step "the state as it was"
state_of "$A" >"$T/before"
expect 0 ctl backup one
old=$(newest one)

step "much happens to it"
sed -i 's/lab-a/lab-b/; s/edited by hand/edited by a vandal/' "$A/openclaw.json"
rm -rf "$A/workspace/projects/p1" "$A/credentials" "$edge/link" "$A/.env"
echo changed >>"$A/workspace/AGENTS.md"; chmod 600 "$edge/read-only.txt"; setfattr -x user.note "$edge/read-only.txt"
mkdir "$A/workspace/projects/later"; echo later >"$A/workspace/projects/later/x"; ln -sf /etc "$edge/dangling"
rm "$A/workspace/projects/p2/note-2.md"; mkdir "$A/workspace/projects/p2/note-2.md"
sqlite3 "$A/state/openclaw.sqlite" "DELETE FROM cron_jobs; CREATE TABLE more(x); PRAGMA wal_checkpoint" >/dev/null
echo mine >"$T/a/home/outside.txt"; echo mine >"$A/tmp/outside.txt"; echo mine >"$A/cache/outside.txt"
sum_outside() { cat "$T/a/home/outside.txt" "$A/tmp/outside.txt" "$A/cache/outside.txt"; stat -c %Y "$T/a/home/outside.txt"; }
outside=$(sum_outside)

step "one section alone"
others() { (cd "$A" && find . \( -name .env -o -path ./tmp -o -path ./cache -o -name '*.sqlite-*' \) -prune -o -type f -print0 | sort -z | xargs -0 sha256sum); }
others >"$T/others"
expect 0 ctl restore one --snapshot "$old" --only env --yes
[[ -s $A/.env ]] || die "the section did not come back"
others | diff "$T/others" - || die "--only env changed something else"

step "cron jobs alone, which are rows of the state database"
rows() { ask "$A/state/openclaw.sqlite" .dump | grep -v -e '^INSERT INTO cron_job' | sha256sum; }
jobs() { ask "$A/state/openclaw.sqlite" "SELECT $1 FROM cron_jobs WHERE declaration_key IS NULL ORDER BY job_id"; }
without_db() { others | sed '/ \.\/state\/openclaw.sqlite$/d'; }
without_db >"$T/others"
before=$(rows)
[[ -z $(jobs job_id) ]] || die "the jobs are still there"
expect 0 ctl restore one --snapshot "$old" --only cron --plan
has '\(none\) → disk-check'
expect 0 ctl restore one --snapshot "$old" --only cron --yes
[[ $(jobs 'count(*)') -ge 2 ]] || die "no job came back"
[[ $(rows) == "$before" ]] || die "--only cron changed other rows"
without_db | diff "$T/others" - || die "--only cron changed other files"
expect 0 ctl restore one --snapshot "$old" --only cron --plan
has 'No value has to be changed'

step "the whole"
expect 0 ctl restore one --snapshot "$old" --plan
expect 2 ctl restore one --snapshot "$old" </dev/null
expect 0 ctl restore one --snapshot "$old" --yes
has applied
# the state folder's databases may have been written anew: their content counts
state_of "$A" >"$T/after"
diff "$T/before" "$T/after" || die "not as it was"
[[ ! -e $A/workspace/projects/later ]] || die "what came later inside a section is still there"
[[ $(sum_outside) == "$outside" ]] || die "outside was touched"

step "and back again, by the safety backup"
safety=$(ctl --json list one | jq -r '[.snapshots[] | select(.safety)][0].id')
[[ $safety != null ]] || die "no safety backup"
expect 0 ctl restore one --snapshot "$safety" --yes
has 'edited by a vandal' "$A/openclaw.json"
[[ -f $A/workspace/projects/later/x && -d $A/workspace/projects/p2/note-2.md && ! -e $A/workspace/projects/p1 ]] || die "not the vandal's state"
rst check >/dev/null 2>&1 || die "restic check"

step "a node that was renamed meanwhile, over the same connection"
expect 0 ctl node rename one other
echo changed >>"$A/.env"
expect 0 ctl restore other --snapshot "$old" --only env --yes
has applied
[[ $(rst snapshots --json --tag safety latest | jq -r '.[-1].hostname') == other ]] || die "the safety backup has the old name"
