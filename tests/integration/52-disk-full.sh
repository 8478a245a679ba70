# Goal: a full disk, the repository's or the target's, is said before or when it is met, and costs nothing.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"
need_root # to mount small file systems

small() { # DIR MIB
  mkdir -p "$1"
  mount -t tmpfs -o "size=$2m" ocm-test "$1" 2>/dev/null || skip "cannot mount a tmpfs here"
  at_end "umount -l '$1'"
}
small "$T/repo" 60
FREE_FLOOR=4M
start_controller
A=$T/a/.openclaw
node one "$A" "$T/a" --files 20
expect 0 ctl backup one
first=$(newest one)
rst restore "$first" --target "$T/first" >/dev/null

step "the repository's disk gets full in a backup"
head -c 90000000 /dev/urandom >"$A/media/big.bin"
expect 1 ctl backup one
has 'space|full|free'
[[ $(newest one) == "$first" ]] || die "a snapshot without room for it"
rst check >"$T/out" 2>&1 || { cat "$T/out"; die "restic check"; }
rst restore "$first" --target "$T/again" >/dev/null
same_tree "$T/first" "$T/again" || die "the earlier backup"
expect 0 ctl verify
(($(df --output=avail -B1 "$T/repo" | tail -1) >= 3000000)) || die "the floor was used up"
step "with room again it goes on"
mount -o remount,size=300m "$T/repo"
expect 0 ctl backup one

step "the target's disk gets full in an apply"
small "$T/b" 40
node two "$T/b/home/.openclaw" "$T/b/home" --empty
before=$(state_of "$T/b/home/.openclaw" | sha256sum)
expect 1 ctl migrate one two --clone --yes --snapshot "$(newest one)"
has 'space|full'
[[ $(state_of "$T/b/home/.openclaw" | sha256sum) == "$before" ]] || die "the target is another"
[[ -z $(find "$T/b" -name '.ocm-stage*') ]] || die "a stage was left on the full disk"
step "with room again it goes"
mount -o remount,size=300m "$T/b"
expect 0 ctl migrate one two --clone --yes --snapshot "$(newest one)"
cmp "$A/media/big.bin" "$T/b/home/.openclaw/media/big.bin"
