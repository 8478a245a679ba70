# Goal: the Debian packages on a fresh host: installed, in use by several OpenClaw states of one machine, installed
# over themselves, removed and purged; the repository outlives all of it. And lintian has no complaint.
. "$(dirname "$(readlink -f "$0")")/../lib/hosts.sh"

build=$(dirname "$OCM_BIN")/packages-build debs=$OCM_CACHE/debs-$LAB_SUITE
step "packages"
export CCACHE_DIR=${CCACHE_DIR:-$OCM_CACHE/ccache}
mkdir -p "$build" "$debs/partial"
{ cmake -S "$top" -B "$build" -G Ninja -DOCM_BUILD=release -DOCM_TESTS=OFF -DCMAKE_C_COMPILER_LAUNCHER=ccache &&
  cmake --build "$build" --target package; } >"$T/package.out" 2>&1 || { tail -40 "$T/package.out"; die "no packages"; }
packages=$(echo "$build"/packages/{ocm-controller,ocm-agent,ocmctl}_*.deb)
[[ $(wc -w <<<"$packages") == 3 && $packages != *'*'* ]] || die "not three packages: $packages"

step "lintian, and pages that man can read"
# shellcheck disable=SC2086
lintian --allow-root --tag-display-limit 0 --fail-on error,warning $packages || die "lintian"
for page in "$top"/deploy/man/*.8 "$build"/deploy/*.conf.5; do
  man --warnings -l "$page" >"$T/page" 2>"$T/page.err" </dev/null
  [[ ! -s $T/page.err ]] || { cat "$T/page.err"; die "$page"; }
done
for program in ocm-agent ocm-controller; do # each option and command of the help stands in the manual
  man -l "$top/deploy/man/$program.8" 2>/dev/null | col -b >"$T/page"
  for word in $("$OCM_BIN/$program" --help | grep -oE -- '--[a-z-]+' | sort -u); do
    grep -qe "$word" "$T/page" || die "$program.8 lacks $word"
  done
done
for name in agent controller; do # and each key of the example in its page
  man -l "$build/deploy/ocm-$name.conf.5" 2>/dev/null | col -b >"$T/page"
  for key in $(sed -n 's/^#\{0,1\} *\([a-z_]*\) = .*/\1/p' "$top/deploy/examples/$name.conf" | sort -u); do
    grep -qE "^ +$key\b" "$T/page" || die "ocm-$name.conf.5 lacks $key"
  done
done

step "a fresh host, the packages that ours need"
lab up pk </dev/null || die "no host"
root=$(lab root pk)
on() { lab run pk "$@" </dev/null; }
fetch() {
  # shellcheck disable=SC2086
  apt-get -qq -o "Dir::State::status=$root/var/lib/dpkg/status" -o "Dir::Cache::archives=$debs" -o APT::Sandbox::User=root \
    install -y --download-only --no-install-recommends $packages >"$T/apt.out" 2>&1
}
fetch || { apt-get update -qq >>"$T/apt.out" 2>&1; fetch; } || { cat "$T/apt.out"; die "no dependencies"; }
mkdir -p "$root/opt/debs" "$root/opt/ocm"
apt-get -qq -o "Dir::State::status=$root/var/lib/dpkg/status" --print-uris --no-install-recommends install $packages 2>/dev/null |
  awk '{ print $2 }' | while read -r f; do [[ ! -e $debs/$f ]] || cp "$debs/$f" "$root/opt/debs/"; done
rm -f "$root"/opt/debs/ocm*.deb
on bash -c 'dpkg -i /opt/debs/*.deb' >"$T/dpkg.out" 2>&1 || { tail "$T/dpkg.out"; die "dependencies"; }
# shellcheck disable=SC2086
cp $packages "$root/opt/ocm/"
cp "$top/deploy/install.sh" "$root/opt/install.sh"
rm -f "$root/etc/apt/sources.list"

step "install"
on /opt/install.sh --packages /opt/ocm --agent >"$T/out" 2>&1 || { cat "$T/out"; die "install.sh"; }
has 'State: active'; has 'ocmctl kit'
on systemctl is-enabled -q ocm-controller || die "not enabled"
[[ -z $(on dpkg --verify ocm-controller ocm-agent ocmctl) ]] || die "dpkg --verify: $(on dpkg --verify)"
[[ $(on stat -c '%U %a' /var/lib/ocm/repository.password /var/lib/ocm/repository | sort -u | tr '\n' ' ') == 'ocm 600 ocm 700 ' ]] || die "modes: $(on ls -l /var/lib/ocm)"
on bash -c 'cd /usr/lib/ocm/agents && sha256sum --quiet -c SHA256SUMS && ./ocm-agent-$(uname -m) --version' || die "agents"
octl() { on ocmctl "$@"; }

step "three states of two users"
on useradd --create-home --shell /bin/bash second
install -m 755 "$top/deploy/sample-node" "$root/opt/sample-node"
# state USER NAME DIR PORT: a sample node and its agent, an instance of its own
state() {
  local token
  on runuser -u "$1" -- /opt/sample-node "$3" "/home/$1" "$4" --data "/home/$1/data-$2" --files 20 || die "sample node $2"
  echo "of $2" >"$root$3/workspace/whose.md"
  on chown "$1:" "$3/workspace/whose.md"
  printf '[agent]\nstate_dir = /var/lib/ocm-agent/%s\n[openclaw]\nhome = /home/%s\nstate_dir = %s\n' "$2" "$1" "$3" >"$root/etc/ocm/agent-$2.conf"
  [[ $1 == "$2" ]] || { mkdir -p "$root/etc/systemd/system/ocm-agent@$2.service.d"
    printf '[Service]\nUser=%s\n' "$1" >"$root/etc/systemd/system/ocm-agent@$2.service.d/user.conf"; }
  on install -d -o "$1" -g "$1" -m 700 "/var/lib/ocm-agent/$2"
  token=$(octl --json node token "$2" | jq -r .token)
  lab run pk runuser -u "$1" -- ocm-agent --config "/etc/ocm/agent-$2.conf" join --controller 127.0.0.1:7702 --name "$2" <<<"$token" >"$T/out" 2>&1 ||
    { cat "$T/out"; die "$2 did not join"; }
  on systemctl enable -q --now "ocm-agent@$2" || { host_log pk; die "agent $2"; }
}
state claw claw /home/claw/.openclaw 28789
state claw work /home/claw/.openclaw-work 28989
state second second /home/second/.openclaw 29189
names="claw second work"
online() { [[ $(octl --json node list | jq -r '[.nodes[] | select(.connected) | .name] | sort | join(" ")') == "$names" ]]; }
wait_for 20 online || { octl node list; die "not connected"; }
octl backup --all >"$T/out" 2>&1 || { cat "$T/out"; die "backup"; }
for n in $names; do
  [[ $(octl --json list "$n" | jq -r '.snapshots[0].state') == complete ]] || die "$n: $(octl show "latest:$n")"
  octl files "latest:$n" -r >"$T/files"
  whose=$(grep -oE '[^ ]*/whose\.md' "$T/files")
  [[ $(wc -l <<<"$whose") == 1 && $(octl cat "latest:$n" "$whose") == "of $n" ]] || die "$n holds: $whose"
done
before=$(cd "$root/home" && find . -type f ! -name '*.log' -print0 | sort -z | xargs -0 sha256sum | sha256sum)

step "installed over themselves: as it was, connected again"
echo '# edited' >>"$root/etc/ocm/controller.conf"
pids_before=$(on systemctl show -P MainPID ocm-controller ocm-agent@claw ocm-agent@work | tr '\n' ' ')
on bash -c 'dpkg -i /opt/ocm/*.deb' >"$T/dpkg.out" 2>&1 </dev/null || { cat "$T/dpkg.out"; die "upgrade"; }
grep -q '# edited' "$root/etc/ocm/controller.conf" || die "the edited configuration was replaced"
wait_for 30 online || { octl node list; die "not connected"; }
for p in $pids_before; do
  [[ $p != 0 ]] || die "a service had no process"
  on test ! -e "/proc/$p" || die "process $p was not started again"
done
octl backup claw >"$T/out" 2>&1 || { cat "$T/out"; die "backup"; }

step "removed, and purged"
on dpkg --remove ocm-agent ocm-controller ocmctl >"$T/dpkg.out" 2>&1 || { cat "$T/dpkg.out"; die "remove"; }
for u in ocm-controller ocm-agent@claw ocm-agent@work; do on systemctl is-active -q "$u" && die "$u still runs"; done
[[ -e $root/etc/ocm/controller.conf && -e $root/var/lib/ocm-agent/claw/identity.conf ]] || die "remove took a configuration"
keep=$(cd "$root/var/lib/ocm" && find . -type f ! -path './catalog*' ! -path '*cache*' -print0 | sort -z | xargs -0 sha256sum)
touch "$root/var/lib/ocm-agent/second/apply-test.journal" # as of a restore that was cut
on dpkg --purge ocm-agent ocm-controller ocmctl >"$T/out" 2>&1 || { cat "$T/out"; die "purge"; }
has 'stay in /var/lib/ocm'; has 'journal stays in /var/lib/ocm-agent'
[[ ! -e $root/etc/ocm/controller.conf && -e $root/var/lib/ocm-agent/second/apply-test.journal ]] || die "what purge left"
(cd "$root/var/lib/ocm" && sha256sum --quiet -c <<<"$keep") || die "purge took something of /var/lib/ocm"
restic --no-cache -r "$root/var/lib/ocm/repository" --password-file "$root/var/lib/ocm/repository.password" check --read-data >"$T/out" 2>&1 || { cat "$T/out"; die "restic"; }
[[ $(cd "$root/home" && find . -type f ! -name '*.log' -print0 | sort -z | xargs -0 sha256sum | sha256sum) == "$before" ]] || die "OpenClaw's files changed"

step "installed again: the backups are there"
on /opt/install.sh --packages /opt/ocm --agent >"$T/out" 2>&1 || { cat "$T/out"; die "install.sh"; }
[[ $(octl --json list claw | jq '.snapshots | length') == 2 ]] || { octl list; die "backups"; }
rm "$root/var/lib/ocm-agent/second/apply-test.journal"
on dpkg --purge ocm-agent >"$T/out" 2>&1 || { cat "$T/out"; die "purge"; }
[[ ! -e $root/var/lib/ocm-agent ]] || die "purge left the agents' keys"
step done
