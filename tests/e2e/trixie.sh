#!/bin/bash
# Goal: OCM builds on Debian 13 (mbedTLS 3.6) with what deploy/install-deps installs there, and the unit
# tests of base, net, data, repository and adaptation pass: a newer SQLite, locked in. The system and
# ccache's folder are kept in the test cache.
set -euo pipefail
top=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
[[ $(id -u) == 0 ]] || { echo "needs root"; exit 77; }
cd /
cache=${OCM_CACHE:-/var/cache/ocm-tests}/build-trixie root=$cache/root
boxes="base net repo adapt" # data's tests stand with its users
step() { echo "== $* ($SECONDS s)"; }
mkdir -p "$cache"
exec 9>"$cache/lock"; flock 9

# in_root COMMAND: in the chroot, with mounts and processes that end with it
in_root() {
  # shellcheck disable=SC2016
  R=$root unshare --mount --pid --fork --kill-child --uts bash -c '
    mount --make-rprivate /; mount -t proc proc "$R/proc"; mount -t tmpfs none "$R/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=0666 devpts "$R/dev/pts"
    mount -t tmpfs -o mode=1777 none "$R/tmp"; mount -t tmpfs none "$R/run"
    exec chroot "$R" /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
      CCACHE_DIR=/ccache CCACHE_MAXSIZE=400M DEBIAN_FRONTEND=noninteractive bash -euc "$1"' _ "$1" 9>&-
}

if [[ ! -e $cache/complete ]]; then
  step "the base system"
  if [[ ! -x $root/usr/bin/apt-get || -d $root/debootstrap ]]; then
    rm -rf --one-file-system "$root"
    debootstrap --variant=minbase --include=ca-certificates trixie "$root" >"$cache/debootstrap.log" 2>&1 ||
      { tail -5 "$cache/debootstrap.log"; exit 1; }
  fi
  cp /etc/resolv.conf "$root/etc/resolv.conf"
  touch "$cache/complete"
fi

step "deploy/install-deps, and the tests' tools"
install -D -m 755 "$top/deploy/install-deps" "$root/src-deps/install-deps"
in_root '
  /src-deps/install-deps build
  tools="libcmocka-dev restic openssl jq python3 attr"
  dpkg-query -W -f "\${db:Status-Status}\n" $tools 2>&1 | grep -qv "^installed$" || exit 0
  apt-get update -qq && apt-get install -y -qq --no-install-recommends $tools >/dev/null'
# names of the further tools of install-deps, so that tests/run starts here too
in_root '
  eval "$(sed -n "/^test=/,/\"\$/p" /src-deps/install-deps)"
  for p in $test npm; do apt-cache show "$p" >/dev/null 2>&1 || { echo "no package $p"; exit 1; }; done'

step "copy the tree"
rm -rf --one-file-system "$root/src" "$root/build"
mkdir -p "$root/src"
tar -C "$top" --exclude=.git --exclude='./build*' -cf - . | tar -C "$root/src" -xf -

step "build"
in_root '
  cmake -S /src -B /build -G Ninja -DOCM_BUILD=debug -DCMAKE_C_COMPILER_LAUNCHER=ccache >/build.log 2>&1 || { cat /build.log; exit 1; }
  nice ninja -k 0 -C /build ocm-controller ocm-agent ocmctl '"$(for b in $boxes; do printf 'tests/unit/%s/all ' "$b"; done)"' >/build.log 2>&1 ||
    { grep -v "^\[" /build.log | tail -120; exit 1; }
  ccache -s | grep -i "hits" | head -1'

step "programs run, with mbedTLS 3"
in_root '
  for p in ocm-controller ocm-agent ocmctl; do /build/bin/$p --version || [ $p = ocmctl ]; done
  /build/bin/ocmctl --help >/dev/null
  dpkg-query -W libmbedtls-dev | tee /dev/stderr | grep -q "3\.6"' || { echo "FAILED: not mbedTLS 3.6"; exit 1; }

step "unit tests"
for b in $boxes; do
  in_root "ctest --test-dir /build/tests/unit/$b -L unit -j2 --no-tests=error --output-on-failure >/ctest.log 2>&1 ||
    { grep -v Passed /ctest.log | tail -60; exit 1; }; tail -4 /ctest.log | head -2"
done
rm -rf --one-file-system "$root/build" "$root/src"
step done
