#!/bin/bash
# Goal: deploy/bootstrap.sh works alone: it finds OpenClaw, installs for a user by cron, is run again without effect,
# takes back what a failed run did, and removes all of it; busybox reads it, too. Its unit is the shipped one.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"
script=$top/deploy/bootstrap.sh

step "one unit in two places"
words() { sed -n '/^\[Unit\]/,$p' | sed '/^#/d; /^$/d'; }
diff <(words <"$top/deploy/systemd/ocm-agent@.service") \
  <(sed -n "/^system_unit() {/,/^UNIT/p" "$script" | sed '/^UNIT$/d' | words | sed 's|=/usr/local/bin/|=/usr/bin/|') ||
  die "deploy/bootstrap.sh holds another unit than deploy/systemd/ocm-agent@.service: change both (programs are in /usr/local/bin there)"
"$OCM_BIN/ocmctl" node script | cmp - "$script" || die "ocmctl has another script"

start_controller
# root would install for the whole machine: be somebody else
chmod 711 "$T"
H=$T/jo W=$T/bin
mkdir -p "$H" "$W" "$T/tmp"
cat >"$W/crontab" <<X
#!/bin/sh
case \$1 in
  -l) [ -e "$T/tmp/crontab" ] && cat "$T/tmp/crontab" ;;
  -r) rm -f "$T/tmp/crontab" ;;
  -) cat >"$T/tmp/crontab" ;;
esac
X
chmod 755 "$W/crontab"
install -m 755 "$OCM_BIN/ocm-agent" "$W/agent"
"$top/deploy/sample-node" "$H/.openclaw" "$H" 18789 --files 5
echo "# mine" >"$T/tmp/crontab"
someone=()
if [[ $(id -u) == 0 ]]; then
  chown -R nobody: "$H" "$T/tmp"
  someone=(setpriv --reuid=nobody --clear-groups --)
fi
as() { # SHELL ARGS...: the script, run by that shell; its shell may have two words
  local shell=$1; shift
  # shellcheck disable=SC2086
  (cd / && "${someone[@]}" env -i HOME="$H" PATH="$W:/usr/bin:/bin" TMPDIR="$T/tmp" ASAN_OPTIONS=detect_leaks=0 $shell "$script" "$@")
}
at_end 'for f in "$H"/.local/state/ocm-agent/*/keeper.pid; do [[ ! -e $f ]] || kill "$(cat "$f")"; done'
picture() { (cd "$T" && find jo tmp ! -path 'jo/.openclaw/tmp*' -printf '%p %y %m %u %l\n' | sort; find jo tmp -type f ! -path 'jo/.openclaw/tmp*' -print0 | sort -z | xargs -0 sha256sum); }
token() { ctl --json node token "$1" | jq -r .token; }
picture >"$T/before"

shells=(dash)
if command -v busybox >/dev/null; then shells+=("busybox sh"); fi
n=0
for shell in "${shells[@]}"; do
  n=$((n + 1))
  step "$shell: detect"
  as "$shell" detect >"$T/out" || { cat "$T/out"; die detect; }
  has "^state1.dir=$H/.openclaw$"; has '^arch='; has '^state1.version=2026'; has '^end=1'
  picture | diff "$T/before" - || die "detect changed something"

  step "$shell: failures leave nothing"
  install=(install --agent "$W/agent" --mode cron --controller "127.0.0.1:$JOIN_PORT" --name "node-$n" --instance jo)
  as "$shell" "${install[@]}" --dry-run >"$T/out" 2>&1 </dev/null || { cat "$T/out"; die "dry run"; }
  has 'would: install'; has 'would: ocm-agent join'
  expect 1 as "$shell" "${install[@]}" --sha256 "$(printf '0%.0s' {1..64})"; has 'not the one that was promised'
  expect 1 as "$shell" "${install[@]}"; has 'no join token'
  as "$shell" "${install[@]}" <<<"ocm1.nonsense" >"$T/out" 2>&1 && die "joined with nonsense"
  has 'joining failed'
  expect 1 as "$shell" "${install[@]}" --user nobody-at-all; has "no user"
  expect 1 as "$shell" "${install[@]}" --colour blue; has "unknown option"
  picture | diff "$T/before" - || die "a failed installation left something"

  # busybox has a crontab of its own, which is not ours to write
  [[ $shell != busybox* ]] || continue

  step "$shell: install, again, with another program"
  sum=$(sha256sum "$W/agent" | cut -d' ' -f1)
  token "node-$n" | as "$shell" "${install[@]}" --sha256 "$sum" >"$T/out" 2>&1 || { cat "$T/out"; die install; }
  has '^changed=yes'; has "^node_name=node-$n"
  wait_for 20 connected "node-$n" || { cat "$H"/.local/state/ocm-agent/jo/agent.log; die "not connected"; }
  [[ $(stat -c %a "$H/.local/state/ocm-agent/jo") == 700 ]] || die "mode"
  grep -q '^# mine' "$T/tmp/crontab" && [[ $(wc -l <"$T/tmp/crontab") == 2 ]] || die "crontab"
  cp "$H/.local/state/ocm-agent/jo/identity.conf" "$T/identity"
  as "$shell" "${install[@]}" >"$T/out" 2>&1 </dev/null || { cat "$T/out"; die again; }
  has '^changed=no'
  cp "$W/agent" "$T/tmp/other"; printf 'x' >>"$T/tmp/other"
  as "$shell" "${install[@]}" --agent "$T/tmp/other" >"$T/out" 2>&1 </dev/null || { cat "$T/out"; die upgrade; }
  has '^changed=yes'
  cmp -s "$T/tmp/other" "$H/.local/bin/ocm-agent" && cmp "$T/identity" "$H/.local/state/ocm-agent/jo/identity.conf" || die "upgrade"
  wait_for 20 connected "node-$n"
  # one that does not run: the other goes on
  printf '#!/bin/sh\nexit 1\n' >"$T/tmp/broken"
  expect 1 as "$shell" "${install[@]}" --agent "$T/tmp/broken"; has 'does not run on this machine'
  cmp -s "$T/tmp/other" "$H/.local/bin/ocm-agent" || die "not taken back"
  wait_for 20 connected "node-$n"
  as "$shell" detect >"$T/out"; has '^instance1.name=jo'; has '^instance1.mode=cron'; has '^instance1.running=yes'
  rm "$T/tmp/other" "$T/tmp/broken"

  step "$shell: the agent is started again, and removed"
  pkill -KILL -P "$(cat "$H/.local/state/ocm-agent/jo/keeper.pid")" || die "no agent below its keeper"
  wait_for 20 connected "node-$n"
  pid=$(cat "$H/.local/state/ocm-agent/jo/keeper.pid")
  as "$shell" remove >"$T/out" 2>&1 || { cat "$T/out"; die remove; }
  wait_for 10 bash -c "! kill -0 $pid" || die "the keeper lives"
  picture | diff "$T/before" - || die "remove left or took something"
done
