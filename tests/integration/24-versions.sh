# Goal: a target whose OpenClaw is older than the state's stops the plan, one that is newer is a warning, and one that
# has none gets the state without a start.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
A=$T/a/www/server/openclaw
node src "$A" "$T/a/www/home" --files 10 # written by 2026.9.6
expect 0 ctl backup src
snap=$(newest src)
schema=$(ask "$A/state/openclaw.sqlite" 'PRAGMA user_version')

# target NAME VERSION [SCHEMA]: a node with an installation of that version, as far as an agent looks at it
target() {
  local p
  "$top/deploy/sample-node" "$T/$1/.openclaw" "$T/$1" "$(free_ports 1)" --empty
  mkdir -p "$T/$1/lib"
  printf '{"name":"openclaw","version":"%s","openclaw":{"schemaVersions":{"state":%s}}}\n' "$2" "${3:-$schema}" >"$T/$1/lib/package.json"
  printf '#!/bin/sh\necho "nothing here calls this" >&2; exit 9\n' >"$T/$1/lib/openclaw.mjs"; chmod 755 "$T/$1/lib/openclaw.mjs"
  agent_conf "$1" "$T/$1" "state_dir = $T/$1/.openclaw" "bin = $T/$1/lib/openclaw.mjs" '[gateway]' 'control = manual'
  join_agent "$1"
  start_agent "$1"
}
clone() { ctl migrate src "$1" --clone --snapshot "$snap" "${@:2}"; }
stopped() { # NAME PATTERN: the plan says why, the deed is refused, nothing is changed
  local before
  before=$(state_of "$T/$1/.openclaw" | sha256sum)
  clone "$1" --plan >"$T/out" 2>&1 </dev/null || true
  has "$2"
  ctl --json migrate src "$1" --clone --snapshot "$snap" --plan >"$T/plan" 2>/dev/null </dev/null || true
  jq -e '[.. | .warnings? // empty | .[]? | select(.code == "version" and .blocking)] | length > 0' "$T/plan" >/dev/null ||
    { jq -c '[.. | .warnings? // empty]' "$T/plan"; die "no blocking warning"; }
  expect 1 clone "$1" --yes
  has "$2"; has 'nothing was done'
  [[ $(state_of "$T/$1/.openclaw" | sha256sum) == "$before" ]] || die "$1 was changed"
}

step "an older one"
target older 2026.5.1
stopped older 'written by OpenClaw 2026.9.6, this node has 2026.5.1'
has 'npm install -g openclaw@2026.9.6'
target beta 2026.9.5-beta.1
stopped beta 'this node has 2026.9.5-beta.1'

step "one of the same version that reads older databases only"
target schema 2026.9.6 $((schema - 1))
stopped schema "schema $schema, OpenClaw 2026.9.6 of this node reads up to $((schema - 1))"

step "a newer one: said, and done"
target newer 2027.1.2 $((schema + 3))
expect 0 clone newer --plan
has 'written by OpenClaw 2026.9.6, this node has 2027.1.2'; has 'doctor'
expect 0 clone newer --yes
[[ -d $T/newer/.openclaw/workspace/projects ]] || die "not there"
hasnt "$T/a" "$T/newer/.openclaw/openclaw.json"

step "the same one: no word of it"
target same 2026.9.6
expect 0 clone same --plan
hasnt 'written by OpenClaw'

step "none"
node none "$T/none/.openclaw" "$T/none" --empty
expect 0 clone none --plan
has 'no OpenClaw is installed on this node'; has 'npm install -g openclaw@2026.9.6'
