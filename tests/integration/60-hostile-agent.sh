# Goal: an agent that joined as it should and then misbehaves ends, with one clear line, its own connection or job and
# nothing else: another node's backups go on meanwhile and the repository stays clean.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

A=$T/a/.openclaw
start_controller
stop_pid "$controller"
printf '[nodes]\nsilence = 8s\n' >>"$T/controller.conf"
start_controller
node one "$A" "$T/a" --files 50
expect 0 ctl backup one
for n in evil mute; do mkdir "$T/$n"; agent_conf "$n" "$T/$n"; join_agent "$n"; done
evil() { timeout 90 "$OCM_BIN/hostile_agent" "$T/agent-${who:-evil}" "$@" </dev/null; }

step "the node one is backed up all the time"
(
  while [[ ! -e $T/enough ]]; do
    head -c 1000000 /dev/urandom >"$A/media/new.bin"
    ctl backup one >>"$T/one.out" 2>&1 </dev/null || { tail -3 "$T/one.out" >"$T/one.failed"; break; }
    echo x >>"$T/one.count"
  done
) </dev/null >/dev/null 2>&1 &
pids+=($!) # ends by itself, with the controller at the latest

# lines FILTER: what the controller has said since `mark`, for people who look after it
loud='ocm-controller (warn|error): '
mark() { at=$(wc -l <"$T/controller.log"); }
lines() { tail -n "+$((at + 1))" "$T/controller.log" | grep -E "$1" | grep -v 'node=\(one\|mute\)\|asking for all' || true; }
one_line() { # PATTERN FILTER
  lines "$2" >"$T/lines"
  [[ $(wc -l <"$T/lines") == 1 ]] || { cat "$T/lines"; die "not one line of the controller ($2)"; }
  has "$1" "$T/lines"
}

# connection WAY PATTERN: the connection ends for that reason, which both ends are told
connection() {
  mark
  evil "$1" >"$T/evil.out" 2>&1 || { cat "$T/evil.out"; die "$1"; }
  has "^error .*: .*$2" "$T/evil.out"; has '^closed' "$T/evil.out"; hasnt '^alive' "$T/evil.out"
  wait_for 5 ended "$2"
  one_line "$2" "$loud"
  echo "$1: $(cut -d' ' -f3- "$T/lines")"
}
ended() { [[ -n $(lines "$1") ]]; }

# conversation WAY PATTERN: only that ends
conversation() {
  mark
  evil "$@" >"$T/evil.out" 2>&1 || { cat "$T/evil.out"; die "$1"; }
  has "^error .*: .*$2" "$T/evil.out"; has '^alive' "$T/evil.out"
  one_line "$2" "$loud"
  echo "$1: $(cut -d' ' -f3- "$T/lines")"
}

# start WAY [ARGUMENT]: in the background, until it is there
start() {
  wait_for 10 eval '! connected evil'
  mark
  evil "$@" >"$T/evil.out" 2>&1 & pid=$!
  pids+=("$pid")
  wait_for 10 connected evil
}

# backup PATTERN WAY [ARGUMENT]: the backup fails for that reason, the connection stays
backup() {
  local pattern=$1 got=0
  shift
  start "$@"
  ctl backup evil >"$T/out" 2>&1 </dev/null || got=$?
  [[ $got != 0 ]] || { cat "$T/evil.out"; die "$1: the backup ended well"; }
  has "$pattern" "$T/out"
  wait "$pid" || { cat "$T/evil.out"; die "$1"; }
  has "^error .*: .*$pattern" "$T/evil.out"; has '^alive' "$T/evil.out"
  wait_for 5 ended 'kind=backup'
  one_line "$pattern" "$loud"
  echo "$1: $(cut -d' ' -f3- "$T/lines" | sed 's/job=[^ ]* //')"
  [[ $(ctl --json list evil 2>/dev/null | jq '.snapshots | length') == 0 ]] || die "$1 got a snapshot"
}

step "one that never answers: a backup has its deadline"
who=mute evil mute >"$T/mute.out" 2>&1 & mute=$!
wait_for 10 connected mute
ctl backup mute >"$T/mute.job" 2>&1 </dev/null & mute_job=$!
step "and one that never says hello"
mark; silent_at=$at
evil silent >"$T/silent.out" 2>&1 & silent=$!
pids+=("$mute" "$mute_job" "$silent")

step "frames and messages that end the connection"
connection garbage 'malformed'
has 'address=127.0.0.1:[0-9]+ .*before Hello' "$T/lines"
connection greeting-long 'greeting of 102400 bytes'
connection hello-twice 'unexpected Hello'
hasnt $'\x1b' "$T/controller.log"; hasnt '^error: forged' "$T/controller.log" # names that it gave itself
connection frame-long 'the limit is 16777216'
connection frame-kind 'unknown kind 99'
connection message-broken 'malformed'
connection message-odd 'unexpected message'
connection stream-without-message 'does not begin with a message'
connection stream-of-the-other 'never opened'
mark
evil frame-cut >"$T/evil.out" 2>&1
wait_for 5 ended 'node=evil disconnected: the connection was cut'

step "conversations that nobody asked for"
conversation conversation-odd 'cannot begin with Facts'
conversation offer-odd "offer of a backup for 'because'"
conversation offer-unasked 'a job that does not work on this node'
mark
evil streams-crowd >"$T/evil.out" 2>&1
has '^error busy: 8 conversations' "$T/evil.out"; has '^alive' "$T/evil.out"
[[ $(lines 'conversation refused: 8 conversations' | wc -l) == 1 ]] || die "40 streams, and as many lines"
mark
evil streams-many >"$T/evil.out" 2>&1
has '^error protocol: too many streams' "$T/evil.out"
wait_for 5 ended 'disconnected: too many streams'

step "blobs"
backup 'other content than its id says' blob-hash
backup 'parcel ends inside a blob' parcel-cut
backup 'does not decompress' blob-bomb
backup '67108864 bytes .* over the limits' blob-large

step "commits"
unknown=$(printf 'nobody has this' | sha256sum | cut -d' ' -f1)
theirs=$(rst snapshots --json --host one latest | jq -r '.[0].tree')
[[ ${#theirs} == 64 ]] || die "no tree of node one"
# all that it is told, but for the list of what it owns itself
answer() { sed "/^data /d; /waits for job/d; s/$1/ID/g; s/job=[^ ]*//g; s/^[^ ]*Z //" "$T/evil.out" "$T/out" "$T/lines"; }
backup 'names 1 blobs that were not sent' commit-id "$unknown"
has "^refused $unknown" "$T/evil.out"
answer "$unknown" >"$T/answer.unknown"
backup 'names 1 blobs that were not sent' commit-id "$theirs"
answer "$theirs" >"$T/answer.theirs"
diff "$T/answer.unknown" "$T/answer.theirs" || die "the refusal tells that somebody has it"
backup 'without a root' commit-short
five=$(printf 'five!' | sha256sum | cut -d' ' -f1)
file() { # NAME [CONTENT] [SIZE] [TYPE]: as a tree names it
  local t='"1999-12-31T23:59:59Z"'
  printf '{"name":"%s","type":"%s","mode":384,"mtime":%s,"atime":%s,"ctime":%s,"uid":0,"gid":0,"size":%s,"content":["%s"]}' \
    "$1" "${4:-file}" "$t" "$t" "$t" "${3:-5}" "${2:-$five}"
}
backup 'names 1 blobs that were not sent' commit-tree "[$(file a "$unknown")]"
answer "$unknown" >"$T/answer.unknown"
theirs_blob=$(sha256sum "$A/workspace/AGENTS.md" | cut -d' ' -f1)
rst list blobs >"$T/blobs"; has "^data $theirs_blob" "$T/blobs"
backup 'names 1 blobs that were not sent' commit-tree "[$(file a "$theirs_blob")]"
answer "$theirs_blob" >"$T/answer.theirs"
diff "$T/answer.unknown" "$T/answer.theirs" || die "the refusal tells that somebody has it"

step "trees"
for name in .. . '' a/b /etc/passwd ../../x 'a\u0000b'; do
  backup 'a name that no file can have' commit-tree "[$(file "$name")]"
done
backup 'a name stands twice' commit-tree "[$(file a),$(file a)]"
backup 'not in the order of names' commit-tree "[$(file b),$(file a)]"
backup 'says 6 bytes' commit-tree "[$(file a "$five" 6)]"
backup 'content of what is no file' commit-tree "[$(file a "$five" 5 symlink)]"
backup 'tree: ' commit-tree "[$(file a "$five" -1)]"
backup 'tree: ' commit-tree "[{\"name\":\"a\"}"
backup 'more than 4000000 entries' tree-bomb

step "words out of order"
backup 'Plan in the middle of a backup' order-odd
backup 'without a commit' early-end

step "what ends the connection in the middle of a backup"
torn() { # WAY PATTERN
  start "$1"
  job=$(ctl --json backup evil --detach | jq -r '.jobs[0].job // .jobs[0].id // .jobs[0]')
  wait "$pid" || { cat "$T/evil.out"; die "$1"; }
  has "^error protocol: .*$2" "$T/evil.out"; has '^closed' "$T/evil.out"
  wait_for 5 ended "disconnected: .*$2"
  ctl job cancel "$job" >/dev/null 2>&1 || true # it may wait for the node to come back
  wait_for 10 eval '[[ $(ctl --json job show "$job" | jq -r .job.state) =~ cancelled|failed ]]'
  echo "$1: $(lines 'disconnected' | cut -d' ' -f3-)"
}
torn credit-unused 'credit that was never used'
torn frame-after-end 'after the end of its stream'
torn overrun 'more data than the window allows'

step "blobs that its snapshot does not reach"
plan() { # PATTERN WAY [ARGUMENT]
  local pattern=$1 got=0
  shift
  start "$@"
  ctl migrate one evil --clone --plan --snapshot latest >"$T/out" 2>&1 </dev/null || got=$?
  [[ $got != 0 ]] || die "$1: a plan"
  wait "$pid" || { cat "$T/evil.out"; die "$1"; }
  has "$pattern" "$T/out"; has "^error .*: .*$pattern" "$T/evil.out"; has '^alive' "$T/evil.out"
  hasnt '^data' "$T/evil.out"
  wait_for 5 ended 'kind=plan'
  one_line "$pattern" "$loud"
  echo "$1: $(cut -d' ' -f3- "$T/lines" | sed 's/job=[^ ]* //')"
}
plan 'outside its snapshot' get-id "$unknown"
answer "$unknown" >"$T/answer.unknown"
plan 'outside its snapshot' get-id "$theirs_blob"
answer "$theirs_blob" >"$T/answer.theirs"
diff "$T/answer.unknown" "$T/answer.theirs" || die "the refusal tells that it is there"
plan 'Get of 30 bytes' get-odd

step "two commits: the first counts"
start commit-twice "[$(file a)]"
expect 0 ctl backup evil
wait "$pid"
[[ $(grep -c '^committed' "$T/evil.out") == 1 ]] || die "committed twice"
[[ $(ctl --json list evil | jq '.snapshots | length') == 1 ]] || die "two snapshots"

step "one that does not wait to hear of it: the snapshot is there, and so says the job"
start commit-gone "[$(file a),$(file b)]"
expect 0 ctl backup evil
wait "$pid"
[[ $(ctl --json list evil | jq '.snapshots | length') == 2 ]] || die "no snapshot, or one too many"
[[ $(ctl --json node show evil | jq -r '.node.last_backup | .state + .snapshot') == "complete$(newest evil)" ]] || die "the catalog does not know it"

step "those that said nothing"
wait "$mute_job" && die "a backup of nothing"
has 'said nothing for 8 s' "$T/mute.job"
wait "$mute"; has '^alive' "$T/mute.out"
wait "$silent"; has '^error timeout' "$T/silent.out"
at=$silent_at; ended 'before Hello: .*time' || die "no line of the silent one"

step "the other node"
touch "$T/enough"
connected one || die "node one was cut off"
[[ ! -e $T/one.failed ]] || { cat "$T/one.failed"; die "a backup of node one"; }
echo "$(wc -l <"$T/one.count") backups meanwhile"
(($(wc -l <"$T/one.count") > 5)) || die "only $(wc -l <"$T/one.count") backups of node one"
wait_for 30 eval '! ctl --json job list | jq -e ".jobs[] | select(.state == \"running\")"'
expect 0 ctl backup one
expect 0 ctl verify --read-data
rst check --read-data >"$T/out" 2>&1 || { cat "$T/out"; die "restic check"; }
rst restore "$(newest one)" --target "$T/r" >/dev/null
(cd "$T/r" && sha256sum --quiet -c verify/SHA256SUMS)
