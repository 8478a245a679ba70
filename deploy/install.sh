#!/bin/bash
# install.sh - install the controller of OCM and ocmctl on this Debian or Ubuntu machine, and say what comes next.
#
#   install.sh [--packages DIR] [--agent]
#
#   --packages DIR   the folder of the *.deb files; without it they are built from this tree
#   --agent          the agent's package too, when OpenClaw runs on this machine as well
#
# Run again it upgrades. What is in /etc/ocm and /var/lib/ocm stays as it is.
set -euo pipefail
top=$(dirname "$(dirname "$(readlink -f "$0")")")
packages='' agent=''
fail() { echo "install: $*" >&2; exit 1; }
while (($#)); do
  case $1 in
    --packages) packages=${2:?--packages needs a folder}; shift 2 ;;
    --agent) agent=1; shift ;;
    *) sed -n '2,9s/^# \{0,1\}//p' "$0"; [[ $1 == -h || $1 == --help ]] && exit 0; exit 2 ;;
  esac
done
command -v apt-get >/dev/null || fail "this machine has no apt-get; build by hand as README.md tells"
[[ $(id -u) == 0 ]] || fail "needs root: sudo $0"

if [[ -z $packages ]]; then
  "$top/deploy/install-deps" packages
  build=${BUILD_DIR:-$top/build}
  archs=()
  # elsewhere the libraries of the other architecture have another source
  [[ $(. /etc/os-release; echo "$ID") == debian ]] || archs=("-DOCM_AGENT_ARCHS=$(uname -m)")
  echo "building the packages in $build"
  mkdir -p "$build"
  { cmake -S "$top" -B "$build" -G Ninja -DOCM_BUILD=release -DOCM_TESTS=OFF -DCMAKE_C_COMPILER_LAUNCHER=ccache "${archs[@]}" &&
    cmake --build "$build" --target package; } >"$build/package.log" 2>&1 || { tail -30 "$build/package.log" >&2; fail "see $build/package.log"; }
  packages=$build/packages
fi

debs=()
for name in ocmctl ocm-controller ${agent:+ocm-agent}; do
  # the newest of the versions that are there
  deb=$(find "$packages" -maxdepth 1 -name "${name}_*_$(dpkg --print-architecture).deb" | sort -V | tail -1)
  [[ -n $deb ]] || fail "no $name package for $(dpkg --print-architecture) in $packages"
  debs+=("$(readlink -f "$deb")")
done
log=$(mktemp); trap 'rm -f "$log"' EXIT
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --reinstall --no-install-recommends "${debs[@]}" </dev/null >"$log" 2>&1 ||
  { cat "$log" >&2; fail "apt-get did not install the packages"; }

state="not started: this machine has no systemd; start it with ocm-controller --config /etc/ocm/controller.conf as user ocm"
if [[ -d /run/systemd/system ]]; then
  for ((i = 0; i < 100; i++)); do ocmctl status >/dev/null 2>&1 && break; sleep 0.2; done
  state=$(systemctl is-active ocm-controller.service || true)
  [[ $state == active ]] || state="$state: see journalctl -u ocm-controller"
fi
cat <<X
ocm-controller $(ocm-controller --version | sed 's/.* //') is installed. State: $state

What comes next:
  1. /etc/ocm/controller.conf   where the repository lives, the name nodes know this machine by (advertise);
                                systemctl restart ocm-controller after a change
  2. ocmctl kit                 what must be kept elsewhere to read the backups when this machine is gone
  3. ports 7701 and 7702        nodes connect to them: open them in the firewall
  4. ocmctl node add USER@HOST  puts an agent on a machine over SSH and takes its first backup
                                or: ocmctl node token NAME, and on the node: ocm-agent join --controller $(hostname):7702
  5. ocmctl backup --all; ocmctl list; man ocmctl
X
