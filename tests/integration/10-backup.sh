# Goal: what restic restores from a backup is the node, in every era, and the second backup reads nothing.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

A=$T/a/www/server/openclaw B=$T/b/home/jo/.openclaw C=$T/c/openclaw-yaml
start_controller
node sq "$A" "$T/a/www/home"
node fi "$B" "$T/b/home/jo" --era files
mkdir -p "$C"/{credentials,cron,sessions,memory,workspace} "$T/c/home"
printf '# the gateway\ngateway:\n  port: 18789   # behind nginx\n  state: %s\n' "$C" >"$C/gateway.yaml"
printf 'agents:\n  - id: main\n    workspace: %s/workspace\n' "$C" >"$C/agents.yaml"
printf 'token: abc\n' >"$C/credentials/telegram.yaml"
printf 'jobs: []\n' >"$C/cron/jobs.yaml"
printf 'KEY=1\n' >"$C/.env"
printf '{"a":1}\n' >"$C/sessions/s.jsonl"
printf 'm\n' >"$C/memory/m.md"; echo w >"$C/workspace/AGENTS.md"
agent_conf ya "$T/c/home" "state_dir = $C" "layout = yaml"
join_agent ya
start_agent ya

step "things that are easily lost"
edge=$A/workspace/projects/edge
noted=$edge/read-only.txt
[[ $(id -u) == 0 ]] || noted=$A/workspace/AGENTS.md # an ordinary user's restic gives a read-only file none
setfattr -n user.note -v 'with blanks and ünïcode' "$noted"
setfattr -n user.bin -v 0x00ff01 "$edge/empty"
touch -d '1999-12-31 23:59:59.123456789 UTC' "$edge/empty"; touch -h -d '2001-01-01 UTC' "$edge/link"
mkdir -m 1770 "$edge/sticky"; mkdir -m 500 "$edge/closed"; touch -d '2010-10-10' "$edge/sticky" "$edge/closed" "$edge"
ln "$edge/read-only.txt" "$A/workspace/second-name"
head -c 9000000 /dev/urandom >"$A/media/big.bin"
truncate -s 3M "$A/media/zeros"

for n in sq fi ya; do
  step "backup of $n"
  expect 0 ctl backup "$n"
  has complete
  rst restore "$(newest "$n")" --target "$T/restored-$n" >/dev/null
  (cd "$T/restored-$n" && sha256sum --quiet -c verify/SHA256SUMS)
  (cd "$T/restored-$n" && find . -type f ! -path './verify/*' -printf '%P\n' | sort) >"$T/all"
  diff <(cut -c67- "$T/restored-$n/verify/SHA256SUMS" | sort) "$T/all" || die "SHA256SUMS of $n does not list all files"
  assemble "$T/restored-$n" "$T/back-$n"
done
step "restored is what was"
same_state "$T/back-sq$A" "$A" || die "sqlite era"
same_state "$T/back-fi$B" "$B" || die "files era"
same_state "$T/back-ya$C" "$C" || die "yaml era"
[[ $(jq -r .era "$T/restored-sq/meta.json") == sqlite && $(jq -r .era "$T/restored-fi/meta.json") == files &&
  $(jq -r .era "$T/restored-ya/meta.json") == yaml ]] || die "eras"

step "restic's opinion of the repository"
rst check --read-data >"$T/out" 2>&1 || { cat "$T/out"; die "restic check"; }
[[ $(rst snapshots --json | jq length) == 3 ]] || die "snapshots"
[[ $(rst snapshots --json | jq -r '.[].hostname' | sort | tr '\n' ' ') == 'fi sq ya ' ]] || die "host names"
rst ls latest --host sq >"$T/out"; has '^/config/gateway/openclaw.json$'; has '^/meta.json$'
expect 0 ctl verify --read-data

step "a second backup reads nothing"
settle "$A"
result sq >/dev/null # this one may still read what was young in the first
r=$(result sq)
own=$(($(rst dump "$(newest sq)" /meta.json | wc -c) + $(rst dump "$(newest sq)" /verify/SHA256SUMS | wc -c)))
[[ $(jq .bytes_read <<<"$r") -le $own ]] || die "read more than the $own bytes of meta.json and SHA256SUMS: $r"
[[ $(jq .files <<<"$r") -gt 200 && $(jq -r .state <<<"$r") == complete ]] || die "$r"
one=$(rst ls --json "$(newest sq)" | jq -c 'select(.path? and (.path | startswith("/config") or startswith("/data")))' | wc -l)
[[ $one -gt 200 ]] || die "the cached backup lists $one entries"
r=$(result sq --reread)
[[ $(jq .bytes_read <<<"$r") -gt 9000000 ]] || die "not read: $r"

step "a commit that is only in the -wal is noticed"
db=$A/state/openclaw.sqlite
coproc writer { sqlite3 "$db" 2>&1; }
echo "UPDATE cron_jobs SET name='changed-in-wal' WHERE job_id LIKE '%0001'; SELECT 'done';" >&"${writer[1]}"
pid_of_writer=$writer_PID
read -r -t 10 _ <&"${writer[0]}" || die "no writer"
[[ -s $db-wal ]] || die "the change is not in the -wal"
before=$(stat -c '%Y %Z %s' "$db")
expect 0 ctl backup sq
expect 0 ctl cat latest:sq config/cron/rows/cron_jobs.jsonl
has changed-in-wal
rst dump "$(newest sq)" /config/state/state/openclaw.sqlite >"$T/copy.sqlite"
[[ $(sqlite3 "$T/copy.sqlite" "SELECT count(*) FROM cron_jobs WHERE name='changed-in-wal'") == 1 ]] || die "not in the copy"
[[ $(stat -c '%Y %Z %s' "$db") == "$before" ]] || die "the live database was touched"
exec {writer[1]}>&-
wait "$pid_of_writer" 2>/dev/null || true

step "parts"
whole=$(ctl --json node show fi | jq -c .last_backup)
r=$(result fi --only gateway --only cron)
[[ $(jq -r .state <<<"$r") == selected ]] || die "a selection looks complete: $r"
[[ $(jq -c '[.sections[] | select(.files > 0) | .name] | sort' <<<"$r") == '["cron","gateway"]' ]] || die "--only: $r"
r=$(result fi --no-data)
[[ $(jq -r .state <<<"$r") == selected && $(ctl --json list fi | jq -r '.snapshots[0].state') == selected ]] || die "a selection looks complete: $r"
[[ $(ctl --json node show fi | jq -c .last_backup) == "$whole" ]] || die "a selection counts as the node's last backup"
[[ $(jq '[.sections[] | select(.area == "data") | .files] | add' <<<"$r") == 0 ]] || die "--no-data: $r"
[[ $(jq '[.sections[] | select(.area == "config") | .files] | add' <<<"$r") -gt 3 ]] || die "--no-data: $r"
expect 10 ctl backup nobody
expect 1 ctl backup fi --only nonsense
has 'no section'

step "extra and exclude of agent.conf"
mkdir -p "$T/b/srv/notes" "$B/workspace/build"; echo n >"$T/b/srv/notes/n.txt"; echo b >"$B/workspace/build/b.o"
agent_conf fi "$T/b/home/jo" "state_dir = $B" '[extra]' "path = notes=$T/b/srv/notes" '[exclude]' 'path = data/workspace/*/build'
stop_pid "${agent[fi]}"
start_agent fi
expect 0 ctl backup fi
expect 0 ctl files latest:fi data -r
has 'extra/notes/n.txt'; hasnt 'b\.o'; has 'AGENTS.md'
