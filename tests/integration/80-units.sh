# Goal: the systemd units are valid and tight.
set -euo pipefail
top=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
T=$(mktemp -d "${TMPDIR:-/tmp}/ocm-units.XXXXXX")
trap 'rm -rf "$T"' EXIT
bad=0
cp "$top"/deploy/systemd/*.service "$T"/
exposure() { # UNIT LIMIT
  local e
  e=$(systemd-analyze security --offline=true --no-pager "$T/$1" 2>/dev/null | sed -n 's/.*Overall exposure level for .*: \([0-9.]*\).*/\1/p')
  echo "$1: exposure ${e:-unknown}, at most $2"
  awk -v e="${e:-10}" -v l="$2" 'BEGIN { exit !(e <= l) }' || bad=1
}
exposure ocm-controller.service 2.0
exposure ocm-agent@.service 3.0
# the programs need not be installed where this runs
mkdir -p "$T/bin"; for p in ocm-controller ocm-agent ocmctl; do printf '#!/bin/sh\n' >"$T/bin/$p"; chmod 755 "$T/bin/$p"; done
sed -i -E "s#=(/usr)?(/local)?/s?bin/ocm#=$T/bin/ocm#" "$T"/*.service
mv "$T/ocm-agent@.service" "$T/ocm-agent@daemon.service"
for u in ocm-controller.service ocm-agent@daemon.service; do
  systemd-analyze verify --man=no "$T/$u" >"$T/out" 2>&1 || { cat "$T/out"; bad=1; }
  if grep -E "ocm.*(Unknown|Invalid|Failed to parse|ignoring)" "$T/out"; then bad=1; fi
done
for f in "$top"/deploy/systemd/*sysusers* "$top"/deploy/sysusers*/* ; do
  [[ -f $f ]] || continue
  systemd-sysusers --dry-run "$f" >"$T/out" 2>&1 || { cat "$T/out"; bad=1; }
done
for f in "$top"/deploy/systemd/*tmpfiles* "$top"/deploy/tmpfiles*/*; do
  [[ -f $f ]] || continue
  mkdir -p "$T/root/etc"; grep -hE '^(root|ocm)?' /etc/passwd >"$T/root/etc/passwd"; cp /etc/group "$T/root/etc/group"
  systemd-tmpfiles --root="$T/root" --create "$f" >"$T/out" 2>&1 || true
  if grep -iE 'syntax|unknown|invalid' "$T/out" | grep -v 'Failed to resolve user'; then bad=1; fi
done
exit $bad
