# Goal: a snapshot written by somebody who has the repository and means harm is refused in one line, or costs only what
# it cannot be trusted with: nothing is written outside the target's folders, and a refusal leaves them as they were.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

A=$T/a/www/openclaw B=$T/b/home/jo/.openclaw
start_controller
node one "$A" "$T/a/home" --files 10
node two "$B" "$T/b/home/jo" --empty
expect 0 ctl backup one
outside=$T/outside
mkdir "$outside"; echo 'not yours' >"$outside/file"
one=$(ctl --json node show one | jq -r .node.id)
all() { state_of "$A"; state_of "$B"; listing "$outside"; listing "$T/a/home"; find "$T" -maxdepth 4 -path "$T/x" -prune -o \( -name 'evil*' -o -name '.ocm-stage*' \) -print; }

# nodes of a tree
evil='{"name":"evil","type":"file","mode":420,"text":"evil"}'
file() { printf '{"name":"%s","type":"file","mode":%s,"text":"%s"}' "$1" "${3:-420}" "$2"; }
dir() { printf '{"name":"%s","type":"dir","mode":448,"nodes":[%s]}' "$1" "$2"; }
link() { printf '{"name":"%s","type":"symlink","mode":511,"linktarget":"%s"}' "$1" "$2"; }
special() { printf '{"name":"%s","type":"%s","mode":438,"device":2049}' "$1" "$2"; }

# snapshot MEDIA [PATH] [OTHER] [PATH]: a section media (and one other) with these nodes; its id in $snap
section() { printf '{"name":"%s","area":"data","state":"complete","roots":[{"at":"data/%s","path":"%s"}]}' "$1" "$1" "$2"; }
snapshot() {
  local sections text
  sections=$(section media "${2-$A}")${3:+,$(section other "${4:-$A}")}
  text=$(jq -nc --arg state "$A" --arg home "$T/a/home" --argjson s "[$sections]" \
    '{format: 1, era: "sqlite", facts: {"state.dir": $state, "user.home": $home}, sections: $s} | tojson')
  printf '[%s,{"name":"meta.json","type":"file","mode":384,"text":%s}]' \
    "$(dir data "$(dir media "$1")${3:+,$(dir other "$3")}")" "$text" >"$T/tree"
  snap=$("$OCM_BIN/hostile_snapshot" "$T/repo" "$T/controller/repository.password" "$T/cache" "$one" one <"$T/tree") ||
    die "hostile_snapshot"
}

# refused PATTERN COMMAND...: in one line, and nothing has changed
bounded() { timeout 60 "$OCM_BIN/ocmctl" --socket "$T/run/ocm.sock" "$@"; }
refused() {
  local pattern=$1 got=0
  shift
  bounded "$@" >"$T/out" 2>&1 </dev/null || got=$?
  [[ $got != 0 && $got != 124 ]] || { cat "$T/out"; die "exit $got: $*"; }
  grep '^ocmctl: ' "$T/out" >"$T/line" || { cat "$T/out"; die "no line: $*"; }
  [[ $(wc -l <"$T/line") == 1 ]] || { cat "$T/out"; die "not one line: $*"; }
  has "$pattern" "$T/line"
  all | cmp -s - "$T/before" || { all | diff "$T/before" - || true; die "changed: $*"; }
  echo "$1: $(cut -c1-150 "$T/line")"
}
everywhere() { # PATTERN: neither back to its node nor to another
  refused "$1" restore one --snapshot "$snap" --yes
  refused "$1" migrate one two --clone --snapshot "$snap" --yes
}
export_is_safe() { # what comes out of it, tar writes into its folder, even when told to trust it
  rm -rf "$T/x" "$T/x.tar.zst"; mkdir "$T/x"
  expect 0 bounded export "$snap" "$T/x.tar.zst"
  tar --zstd -tPf "$T/x.tar.zst" >"$T/names"
  hasnt '(^|/)\.\.(/|$)|^/' "$T/names"
  tar -C "$T/x" --zstd -xPf "$T/x.tar.zst"
}
all >"$T/before"

for name in .. "$outside/evil" ../../../outside/evil; do
  step "the name '$name'"
  snapshot "$(dir media "$(file "$name" evil)")"
  everywhere 'a name that no file can have|no section can be restored'
  refused 'a name that no file can have' files "$snap" data/media/media
  refused 'a name that no file can have' cat "$snap" data/media/media/evil
  refused 'a name that no file can have|broke off' export "$snap" "$T/evil.tar.zst"
  expect 14 bounded verify "$snap"
  has 'data/media/media is affected'
done

step "a link out of the root, and a file below it"
snapshot "$(dir media "$(link out "$outside"),$(dir out "$evil")")"
everywhere 'no section can be restored|stands twice'
refused 'stands twice|broke off' export "$snap" "$T/evil.tar.zst"
snapshot "$(dir media "$(dir out "$evil"),$(link out ../../../outside)")"
everywhere 'no section can be restored|stands twice'
step "the same, with the link in another section"
snapshot "$evil" "$A/out" "$(link out "$outside")" "$A"
everywhere '.'
snapshot "$evil" "$A/media/out" "$(dir media "$(link out ../../../../outside)")" "$A"
everywhere '.'
export_is_safe

step "names that are not in order"
snapshot "$(dir media "$(file b b),$(file a a)")"
everywhere 'order|no section can be restored'

step "roots elsewhere"
for path in /etc "$A/../../../outside" / relative; do
  snapshot "$evil" "$path"
  everywhere 'nothing is left|root|outside'
done

step "a few small trees that name 10^15 folders"
snapshot '{"name":"media","type":"dir","mode":448,"bomb":5}'
refused 'more than 4000000 entries' restore one --snapshot "$snap" --yes
refused 'entries|broke off' export "$snap" "$T/evil.tar.zst"
[[ ! -e $T/evil.tar.zst ]] || die "an export that failed left a file"
expect 0 bounded files "$snap" data/media
bounded diff latest:one "$snap" >"$T/out" 2>&1 </dev/null || [[ $? != 124 ]] || die "diff without end"
bounded verify "$snap" >"$T/out" 2>&1 </dev/null || [[ $? != 124 ]] || die "verify without end"
all | cmp -s - "$T/before" || die "changed"

step "devices, FIFOs, sockets: left out, and said"
snapshot "$(dir media "$(special a-block dev),$(special b-char chardev),$(special c-fifo fifo),$evil,$(special f-socket socket)")"
export_is_safe
[[ -z $(find "$T/x" \( -type b -o -type c -o -type p -o -type s \)) ]] || die "special files in the archive"
expect 0 ctl restore one --snapshot "$snap" --plan
has 'block device is not restored'; has 'character device is not'; has 'FIFO is not'; has 'socket is not'
expect 0 ctl restore one --snapshot "$snap" --yes
[[ $(cat "$A/media/evil") == evil && $(find "$A/media" -mindepth 1 | wc -l) == 1 ]] || die "more than the file"

step "a link out of the root alone is text; what is restored later does not go through it"
snapshot "$(dir media "$(link out "$outside")")"
export_is_safe
expect 0 ctl restore one --snapshot "$snap" --plan
has 'points out of its root'
expect 0 ctl restore one --snapshot "$snap" --yes
[[ $(readlink "$A/media/out") == "$outside" && $(cat "$outside/file") == 'not yours' ]] || die "the link"
snapshot "$(dir media "$(dir out "$evil,$(file file mine)")")"
expect 0 ctl restore one --snapshot "$snap" --yes
[[ ! -L $A/media/out && -f $A/media/out/evil && $(cat "$outside/file") == 'not yours' && ! -e $outside/evil ]] || die "through the link"

step "setuid and setgid stay with their node"
snapshot "$(dir media "$(file tool '#!/bin/sh' $((8#755 | 1 << 23 | 1 << 22)))")"
expect 0 ctl migrate one two --clone --snapshot "$snap" --plan
has 'without its setuid'
expect 0 ctl migrate one two --clone --snapshot "$snap" --yes
[[ $(stat -c %a "$B/media/tool") == 755 ]] || die "mode $(stat -c %a "$B/media/tool") on another node"

[[ ! -e /tmp/evil && ! -e $T/evil && ! -e $outside/evil ]] || die "written outside"
step "and the node's own backups are as good as before"
expect 0 ctl backup one
expect 0 ctl verify latest:one
expect 0 ctl restore one --yes
