# Goal: the tree keeps its own rules: formatted, no long file, nothing at the top that does not belong there.
set -euo pipefail
top=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
cd "$top"
bad=0
complain() { echo "$*"; bad=1; }
files() { if git rev-parse --git-dir >/dev/null 2>&1; then git ls-files; else find . -type f ! -path './build*' -printf '%P\n'; fi; }

for f in *; do
  case $f in agent | controller | proto | common | tests | deploy | CMakeLists.txt | README.md | LICENSE | build | build-*) ;;
    *) complain "at the top: $f" ;;
  esac
done
while read -r f; do
  [[ -f $f ]] || continue
  case $f in *.c | *.h | *.sh | *.py | *.md | *.cmake | *.txt | *.proto | tests/lib/* | deploy/*)
    n=$(wc -l <"$f"); ((n <= 900)) || complain "$f has $n lines" ;;
  esac
  case $f in
    *.c | *.h) head -1 "$f" | grep -q 'SPDX-License-Identifier: MIT' || complain "$f: no licence in line 1" ;;
    tests/integration/*.sh | tests/e2e/*.sh) head -3 "$f" | grep -qi '^# goal' || complain "$f: its first lines have no goal" ;;
  esac
done < <(files)
files | grep -E '\.[ch]$' | while read -r f; do [[ -f $f ]] && echo "$f"; done >/tmp/ocm-house.$$
trap 'rm -f /tmp/ocm-house.$$' EXIT
# formatted: by the version of clang-format that is here, as .clang-format says
xargs -a /tmp/ocm-house.$$ clang-format --dry-run 2>&1 | grep 'warning:' | sed 's/:.*//' | sort | uniq -c | sort -rn >/tmp/ocm-house.$$.f || true
if [[ -s /tmp/ocm-house.$$.f ]]; then cat /tmp/ocm-house.$$.f; complain "not as clang-format has it"; fi
rm -f /tmp/ocm-house.$$.f
# every script is one that bash can read
while read -r f; do
  [[ -f $f ]] && head -1 "$f" | grep -q bash || [[ $f == *.sh ]] || continue
  bash -n "$f" || complain "$f"
done < <(files | grep -vE '\.[a-z]+$|^tests/data' ; files | grep '\.sh$')
exit $bad
