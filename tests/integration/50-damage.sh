# Goal: damage of each kind of file in the repository is found and named; what it does not touch restores.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

A=$T/a/.openclaw
start_controller
node one "$A" "$T/a" --files 30
expect 0 ctl backup one
s1=$(newest one)
head -c 3000000 /dev/urandom >"$A/media/second.bin"
settle "$A"
expect 0 ctl backup one
s2=$(newest one)
node two "$T/b/.openclaw" "$T/b" --empty
expect 0 ctl backup two
s3=$(newest two)
expect 0 ctl verify --read-data
cp -a "$T/repo" "$T/whole"

flip() { # FILE: one bit of one byte in the middle
  chmod u+w "$1"
  python3 - "$1" <<'P'
import sys
with open(sys.argv[1], 'r+b') as f:
    d = f.read(); n = len(d) // 2
    f.seek(n); f.write(bytes([d[n] ^ 0x10]))
P
}
mend() { # FILE: as it was
  mkdir -p "$(dirname "$T/repo/$1")"
  rm -f "$T/repo/$1"
  cp -a "$T/whole/$1" "$T/repo/$1"
}
pack_of() { # BLOB: the pack that holds it
  rst find --pack "$1" 2>/dev/null | head -1
}
biggest() { (cd "$T/repo" && find data -type f -printf '%s %p\n' | sort -n | tail -1 | cut -d' ' -f2); }

step "a bit in a pack of data"
f=$(biggest)
flip "$T/repo/$f"
expect 14 ctl verify --read-data
has "${f##*/}|$(basename "$f" | cut -c1-8)"
if rst check --read-data >/dev/null 2>&1; then die "restic sees nothing wrong: this damage is none"; fi
expect 0 ctl verify "$s3" # of another node, not in that pack
mend "$f"
expect 0 ctl verify --read-data

step "a bit in a pack of folders alone"
for i in $(rst list index); do rst cat index "$i"; done 2>/dev/null |
  jq -rs '[.[].packs[] | select(all(.blobs[]; .type == "tree"))] | .[] | .id + " " + (.blobs | length | tostring)' >"$T/packs"
p=$(sort -k2n "$T/packs" | tail -1 | cut -d' ' -f1)
[[ ${#p} == 64 ]] || die "no pack of folders alone"
f=data/${p:0:2}/$p
flip "$T/repo/$f"
expect 14 ctl verify --read-data
has "${p:0:8}"; has '/.* is affected'
hurt=$(grep -c 'is affected' "$T/out")
if rst check --read-data >/dev/null 2>&1; then die "restic sees nothing wrong: this damage is none"; fi
expect 0 ctl verify "$s3"
expect 0 ctl restore two --yes # of another node
for s in "$s1" "$s2"; do
  got=0; ctl verify "$s" >"$T/out" 2>&1 </dev/null || got=$?
  [[ $got == 0 || $got == 14 ]] || { cat "$T/out"; die "exit $got"; }
  [[ $got == 0 ]] || break
done
[[ $got == 14 ]] || die "$hurt places are affected, and no backup of the node is"
has 'is affected'
before=$(state_of "$A" | sha256sum)
if ctl restore one --snapshot "$s" --yes >"$T/out" 2>&1 </dev/null; then
  has 'missing or damaged in the repository.*stays as it is' # it costs a section
else
  has 'missing or damaged in the repository' # or all, when it was a folder on the way to the sections
  [[ $(state_of "$A" | sha256sum) == "$before" ]] || die "a refused restore changed something"
fi
mend "$f"
expect 0 ctl verify --read-data
expect 0 ctl restore one --snapshot "$s2" --yes
rm -rf "$T/whole"; cp -a "$T/repo" "$T/whole"

for kind in index snapshots; do
  step "a bit in a file of $kind/"
  f=$kind/$(ls "$T/repo/$kind" | head -1)
  flip "$T/repo/$f"
  expect 14 ctl verify --read-data
  has "$(basename "$f" | cut -c1-8)"
  mend "$f"
  expect 0 ctl verify
done

step "a pack that is gone"
f=$(biggest)
rm -f "$T/repo/$f"
expect 14 ctl verify
has "$(basename "$f" | cut -c1-8)"
expect 0 ctl verify "$s3"
step "and a backup now sends again what it held"
expect 0 ctl backup one --reread
expect 0 ctl verify latest:one
# restic looks where the first index says, until told to forget lost packs
rst repair index >/dev/null 2>&1 || rst rebuild-index >/dev/null 2>&1 || die "restic repair index"
expect 14 ctl verify --read-data
has 'meta.json' # the lost one of the older backup; no node can send that again
expect 0 ctl verify latest:one
rst restore "$(newest one)" --target "$T/r" >/dev/null
(cd "$T/r" && sha256sum --quiet -c verify/SHA256SUMS)
assemble "$T/r" "$T/back"
same_state "$T/back$A" "$A" || die "the node's backup after the loss"

step "config and keys: the controller does not start, says why, and makes no new repository"
stop_pid "$controller"
for f in config "keys/$(ls "$T/repo/keys" | head -1)"; do
  flip "$T/repo/$f"
  before=$(find "$T/repo" -type f | sort | sha256sum)
  expect 1 timeout 60 "$OCM_BIN/ocm-controller" --config "$T/controller.conf"
  has 'damaged|config|key|password'
  [[ $(find "$T/repo" -type f | sort | sha256sum) == "$before" ]] || die "files came or went"
  mend "$f"
done
mv "$T/repo/config" "$T/config.away"
expect 1 timeout 60 "$OCM_BIN/ocm-controller" --config "$T/controller.conf"
[[ ! -e $T/repo/config ]] || die "a new repository was made over an old one"
mv "$T/config.away" "$T/repo/config"
start_controller
wait_for 20 connected one
expect 0 ctl backup one
expect 0 ctl verify latest:one
