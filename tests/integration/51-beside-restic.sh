# Goal: restic and the controller use one repository: each reads what the other wrote, prune and locks included.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

mkdir -p "$T/controller" "$T/files"
(umask 077; echo 'a password of ours' >"$T/controller/repository.password")
echo 'of restic' >"$T/files/a.txt"; ln -s a.txt "$T/files/link"; head -c 2000000 /dev/urandom >"$T/files/b.bin"
rst init >/dev/null
rst backup "$T/files" --host laptop >/dev/null
theirs=$(rst snapshots --json | jq -r '.[0].id')

step "a repository that restic made"
start_controller
A=$T/a/.openclaw
node one "$A" "$T/a" --files 30
expect 0 ctl backup one
expect 0 ctl files "$theirs" -r; has 'a\.txt'
ctl cat "$theirs" "${T#/}/files/a.txt" >"$T/out"; has '^of restic$'
ctl cat "$theirs" "${T#/}/files/b.bin" | cmp - "$T/files/b.bin"
expect 0 ctl verify --read-data
rst check --read-data >/dev/null 2>&1 || die "restic check"
rst restore "$theirs" --target "$T/r" >/dev/null
same_tree "$T/files" "$T/r$T/files"

step "prune by restic between two backups"
head -c 4000000 /dev/urandom >"$A/media/gone.bin"
expect 0 ctl backup one
old=$(newest one)
rm "$A/media/gone.bin"
expect 0 ctl backup one
rst forget "$old" --prune >"$T/out" 2>&1 || { cat "$T/out"; die "restic forget --prune"; }
expect 0 ctl backup one
expect 0 ctl verify --read-data
rst check --read-data >/dev/null 2>&1 || die "restic check after prune"
expect 10 ctl show "$old"
cp "$A/workspace/projects/p0/photo.png" "$A/media/gone.bin" # a name and a content that were known once
expect 0 ctl backup one --reread
rst check --read-data >/dev/null 2>&1 || die "restic check after the backup"

step "an exclusive lock of restic"
# restic itself holds it: stopped in the middle of a prune
restic --no-cache -r "$T/repo" --password-file "$T/controller/repository.password" forget --keep-last 1 --prune --max-unused 0 >/dev/null 2>&1 </dev/null & p=$!
pids+=("$p")
for ((i = 0; i < 2000; i++)); do
  [[ -n $(ls "$T/repo/locks") ]] && { kill -STOP "$p" 2>/dev/null; break; }
  sleep 0.005
done
if [[ -n $(ls "$T/repo/locks") ]] && kill -0 "$p" 2>/dev/null; then
  expect 11 ctl backup one
  has "lock.*$p|$p.*lock"
  kill -KILL "$p"; wait "$p" 2>/dev/null || true
  step "which is stale when its holder is dead"
  [[ -n $(ls "$T/repo/locks") ]] || die "restic took its lock along"
  expect 0 ctl backup one
  [[ -z $(ls "$T/repo/locks") ]] || die "locks are left"
else
  die "restic was not caught with its lock"
fi
rst check >/dev/null 2>&1 || die "restic check at the end"
