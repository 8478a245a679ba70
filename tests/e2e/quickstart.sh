# Goal: deploy/quickstart runs green from a fresh copy of the tree, twice, with a real OpenClaw, and for an
# ordinary user.
. "$(dirname "$(readlink -f "$0")")/../lib/gateways.sh"

step "a copy of the tree"
mkdir "$T/tree"
if git -C "$top" rev-parse --git-dir >/dev/null 2>&1; then # what is committed or would be, never a build
  (cd "$top" && git ls-files -z -co --exclude-standard) | tar -C "$top" --null --ignore-failed-read -T - -cf - 2>/dev/null | tar -C "$T/tree" -xf -
else
  tar -C "$top" --exclude='./build*' -cf - . | tar -C "$T/tree" -xf -
fi
export BUILD_DIR=$T/tree/build
# objects of the last run of this test: the tree is at another place each time
export CCACHE_DIR=$OCM_CACHE/ccache CCACHE_BASEDIR=$T/tree CCACHE_NOHASHDIR=1
unset OCM_SOCKET

quickstart() { # LOG ARGS...
  local log=$1 start=$SECONDS; shift
  "$T/tree/deploy/quickstart" "$@" >"$log" 2>&1 </dev/null || { tail -40 "$log"; die "quickstart $*"; }
  echo "quickstart $*: $((SECONDS - start)) s"
}
settled() { ! pgrep -f "$T/tree/build/bin/ocm-" >/dev/null; }

step "the first run, with a build"
quickstart "$T/q1.txt" --dir "$T/q1"
has 'complete' "$T/q1.txt"; has '# done' "$T/q1.txt"
wait_for 15 settled || die "it left a process behind"
[[ $(restic --no-cache -r "$T/q1/repository" --password-file "$T/q1/controller/repository.password" snapshots --json | jq length) -ge 3 ]] || die "its repository"
rm -rf "$T/q1"

step "the second run"
quickstart "$T/q2.txt" --dir "$T/q2"
wait_for 15 settled || die "it left a process behind"
rm -rf "$T/q2"

step "with a real OpenClaw"
openclaw_bin >/dev/null # installed with the cache of the tests
at_end 'for g in "$T"/q3/*/gateway; do [[ -x $g ]] && "$g" stop; done'
quickstart "$T/q3.txt" --openclaw --dir "$T/q3"
has 'ok +ready' "$T/q3.txt"; has 'ok +cron: 3 user jobs' "$T/q3.txt"
wait_for 15 settled || die "it left a process behind"
if "$T/q3/new-machine/gateway" status >/dev/null; then die "it left a gateway behind"; fi

if [[ $(id -u) == 0 ]]; then
  step "as an ordinary user"
  chmod 711 "$T"; chmod -R go+rX "$T/tree"
  mkdir -p "$T/user"; chown -R nobody: "$T/user" "$T/tree/build"
  runuser -u nobody -- env HOME="$T/user" TMPDIR="$T/user" CCACHE_DIR="$T/user/ccache" BUILD_DIR="$BUILD_DIR" \
    "$T/tree/deploy/quickstart" --dir "$T/user/q" >"$T/q4.txt" 2>&1 </dev/null || { tail -30 "$T/q4.txt"; die "quickstart as nobody"; }
  has '# done' "$T/q4.txt"
fi
