# Goal: an exported archive needs only tar and sha256sum; imported it is the same backup; hostile archives are refused.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
A=$T/a/.openclaw
node one "$A" "$T/a" --files 50
setfattr -n user.note -v kept "$A/workspace/AGENTS.md"
touch -d '1999-12-31 23:59:59.123456789 UTC' "$A/workspace/MEMORY.md"
expect 0 ctl backup one
snap=$(newest one)

step "export, and plain tools"
expect 0 ctl export "$snap" "$T/one.tar.zst"
expect 1 ctl export "$snap" "$T/one.tar.zst" # it exists
ctl export "$snap" - >"$T/two.tar.zst"
mkdir "$T/x"
tar -C "$T/x" --zstd --xattrs -xpf "$T/one.tar.zst"
root=$T/x; [[ -e $root/meta.json ]] || root=$(dirname "$(find "$T/x" -maxdepth 2 -name meta.json)")
(cd "$root" && sha256sum --quiet -c verify/SHA256SUMS)
rst restore "$snap" --target "$T/r" >/dev/null
same_tree "$T/r/config" "$root/config" && same_tree "$T/r/data" "$root/data" || die "the archive is not the backup"

step "import, for another node"
node two "$T/b/.openclaw" "$T/b" --empty
expect 0 ctl import "$T/one.tar.zst" --node two
got=$(newest two)
rst restore "$got" --target "$T/i" >/dev/null
same_tree "$T/r/config" "$T/i/config" && same_tree "$T/r/data" "$T/i/data" || die "the import is not the backup"
(cd "$T/i" && sha256sum --quiet -c verify/SHA256SUMS)
expect 0 ctl verify "$got"
rst check --read-data >/dev/null 2>&1 || die "restic check"

step "archives that lie"
count=$(ctl --json list | jq '.snapshots | length')
python3 - "$T" <<'P'
import hashlib, io, os, sys, tarfile
T = sys.argv[1]
def make(name, *members): # with sums that fit, so that nothing else is wrong with it
    sums = ''.join(f'{hashlib.sha256(d).hexdigest()}  {m}\n' for m, d in members if isinstance(m, str))
    with tarfile.open(f'{T}/{name}.tar', 'w', format=tarfile.PAX_FORMAT) as t:
        for m, data in (*members, ('verify/SHA256SUMS', sums.encode())):
            ti = tarfile.TarInfo(m) if isinstance(m, str) else m
            ti.size = len(data); t.addfile(ti, io.BytesIO(data))
def special(name, kind, link=''):
    ti = tarfile.TarInfo(name); ti.type = kind; ti.linkname = link; return ti
meta = ('meta.json', b'{"format":1}')
make('good', meta, ('config/gateway/a', b'1'), (special('config/gateway/l', tarfile.SYMTYPE, '/tmp'), b''))
make('dots', meta, ('config/../../../../tmp/evil', b'x'))
make('absolute', meta, ('/etc/evil', b'x'))
make('device', meta, (special('config/gateway/dev', tarfile.CHRTYPE), b''))
make('through', meta, (special('config/gateway', tarfile.SYMTYPE, '/tmp'), b''), ('config/gateway/evil', b'x'))
make('hardlink', meta, (special('config/gateway/h', tarfile.LNKTYPE, '/etc/passwd'), b''))
make('twice', meta, ('config/gateway/a', b'1'), ('config/gateway/a', b'1'))
open(f'{T}/noise.tar', 'wb').write(os.urandom(100000))
P
lies() { # ARCHIVE PATTERN: refused for that reason
  local got=0
  zstd -q "$T/$1.tar" -o "$T/$1.tar.zst"
  ctl import "$T/$1.tar.zst" --node two >"$T/out" 2>&1 </dev/null || got=$?
  echo "$1: $(tail -1 "$T/out" | cut -c1-120)"
  [[ $got != 0 ]] || die "$1 was imported"
  [[ $got -lt 100 ]] || die "$1: exit $got"
  has "$2"
}
lies dots 'no plain path'
lies absolute 'no plain path'
lies device 'devices, pipes and sockets'
lies through 'evil is below no folder'
lies hardlink 'a hard link to no file'
lies twice 'twice'
lies noise 'this is no .tar.zst of ours'
zstd -q "$T/good.tar" -o "$T/good.tar.zst"
expect 0 ctl import "$T/good.tar.zst" --node two # or they were refused for what they have in common
count=$((count + 1))
head -c $(($(stat -c %s "$T/one.tar.zst") / 2)) "$T/one.tar.zst" >"$T/half.tar.zst"
expect 14 ctl import "$T/half.tar.zst" --node two
python3 - "$T/one.tar.zst" "$T/bad.tar.zst" <<'P'
import sys
d = bytearray(open(sys.argv[1], 'rb').read()); d[len(d) // 2] ^= 1; open(sys.argv[2], 'wb').write(d)
P
got=0; ctl import "$T/bad.tar.zst" --node two >"$T/out" 2>&1 </dev/null || got=$?
[[ $got != 0 ]] || die "an archive with a flipped bit was imported"
step "a bomb"
# 8 GiB of zeros in less than a MiB
python3 - "$T/bomb.tar" <<'P'
import tarfile, sys
ti = tarfile.TarInfo('data/media/zeros'); ti.size = 8 << 30
open(sys.argv[1], 'wb').write(ti.tobuf(tarfile.GNU_FORMAT))
P
(cat "$T/bomb.tar"; head -c 1500000000 /dev/zero) | zstd -q -T2 >"$T/bomb.tar.zst"
before=$(du -sb "$T/repo" | cut -f1)
got=0; timeout 60 "$OCM_BIN/ocmctl" --socket "$T/run/ocm.sock" import "$T/bomb.tar.zst" --node two >"$T/out" 2>&1 </dev/null || got=$?
[[ $got != 0 && $got != 124 ]] || die "the bomb: exit $got"
(($(du -sb "$T/repo" | cut -f1) - before < 50000000)) || die "the bomb filled the repository"
[[ ! -e /tmp/evil && ! -e /etc/evil ]] || die "written outside"
[[ $(ctl --json list | jq '.snapshots | length') == "$count" ]] || die "a snapshot of a bad archive"
expect 0 ctl verify
