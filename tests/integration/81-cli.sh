# Goal: ocmctl keeps its word to scripts: exit codes, one JSON document, help, manual and completion of one table.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

step "without a controller"
expect 13 ctl status
expect 2 ctl
expect 2 ctl nonsense
expect 2 ctl backup --nonsense
expect 0 ctl --help
start_controller
node one "$T/a/.openclaw" "$T/a" --files 10

step "exit codes"
expect 0 ctl backup one
expect 10 ctl backup nobody
expect 10 ctl show ffffffff
expect 10 ctl job show j01zzzzzzzzzz
expect 10 ctl cat latest:one config/nothing
expect 2 ctl migrate one one --clone --move
expect 2 ctl restore one </dev/null
stop_pid "${agent[one]}"
wait_for 10 eval '! connected one'
expect 13 ctl backup one
start_agent one
expect 0 ctl backup one
id=$(newest one)
got=0; ctl diff "$id" "$(ctl --json list one | jq -r '.snapshots[1].id')" >"$T/out" 2>&1 || got=$?
((got <= 1)) || { cat "$T/out"; die "diff: exit $got"; }

step "--json is one document on standard output, whatever happens"
one_document() { # COMMAND...
  "$@" >"$T/json" 2>"$T/err" </dev/null || true
  jq -se 'length == 1' "$T/json" >/dev/null 2>&1 || { cat "$T/json"; die "not one document: $*"; }
  jq -e '(.schemaVersion // .error // .id // .state // .code) != null' "$T/json" >/dev/null || { head -5 "$T/json"; die "no version and no error: $*"; }
}
for c in status 'node list' 'node show one' 'node token' 'list' 'list one' "show $id" "files $id" 'job list' 'backup one' 'verify' \
  'version' 'restore one --plan' "diff $id latest:one"; do
  one_document ctl --json $c
done

step "a pipe that closes, no terminal, no colours"
{ ctl files "$id" -r || true; } | head -1 >/dev/null
ctl status | grep -q $'\e' && die "colours in a pipe"

step "one table: help, manual, completion"
commands=$(ctl --help | sed -n '/^Commands:/,/^$/s/^  \([a-z][a-z ]*[a-z]\)\( [A-Z[].*\| \{2,\}.*\)$/\1/p' | sort -u)
[[ $(wc -l <<<"$commands") -ge 20 ]] || { ctl --help; die "few commands in the help: $commands"; }
ctl man >"$T/man"; man --warnings -l "$T/man" >"$T/man.txt" 2>"$T/man.err" </dev/null
[[ ! -s $T/man.err ]] || { cat "$T/man.err"; die "the manual"; }
for s in bash zsh fish; do ctl completion "$s" >"$T/completion.$s"; done
bash -n "$T/completion.bash"
while read -r c; do
  expect 0 ctl $c --help
  grep -qF -- "${c##* }" "$T/man.txt" || die "$c is not in the manual"
  for s in bash zsh fish; do grep -qw -- "${c##* }" "$T/completion.$s" || die "$c is not in the completion of $s"; done
done <<<"$commands"

step "the API says what it has"
api() { curl -s --unix-socket "$T/run/ocm.sock" "$@"; }
api http://ocm/api/v1/openapi.json >"$T/openapi.json"
jq -e '.openapi and (.paths | length > 15)' "$T/openapi.json" >/dev/null || die "openapi.json"
jq -r '.paths | to_entries[] | select(.value.get) | .key' "$T/openapi.json" | grep -v events | while read -r p; do
  u=$(sed "s/{node}/one/; s/{snapshot}/$id/; s/{other}/$id/; s/{job}/none/" <<<"$p")
  code=$(api -o /dev/null -w '%{http_code}' "http://ocm$u")
  case $code in 200 | 400 | 404) ;; *) die "$p: $code" ;; esac
done
[[ $(api -o /dev/null -w '%{http_code}' http://ocm/api/v1/nothing) == 404 ]] || die "404"
[[ $(api -o /dev/null -w '%{http_code}' -X DELETE http://ocm/api/v1/status) == 405 ]] || die "405"
