# Goal: agents are upgraded over their connections: only what was signed for them, newer unless asked, canary first,
# and one that does not come back puts the former one in its place; agents from before that go on as they are.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"
. "$here/upgrade.sh"

start_controller
old_agent one
package now 1.0.0 "$A1"
package next 1.1.0 "$A2"
installed=$(sha256sum <"$A1")

step "to a newer one, by a folder; what is installed stays as it is"
expect 0 ctl node upgrade one --from "$T/next"
has 'one +1\.0\.0 +1\.1\.0 +upgraded'
[[ $(version_of one) == 1.1.0 ]] || die "version: $(version_of one)"
[[ $(sha256sum <"$A1") == "$installed" ]] || die "the installed agent was changed"
wait_for 15 settled one
wait_for 10 alone one || die "a watcher is left"
[[ $(ls "$T/agent-one/bin") == ocm-agent-1.1.0-* ]] || die "bin: $(ls "$T/agent-one/bin")"
expect 0 ctl backup one
ctl node list >"$T/out"; has '1\.1\.0'

step "again: nothing to do; the controller has the package now"
upgrade 0 one
[[ $(outcome one) == current ]] || die "$(outcome one)"

step "after a restart the launcher starts the copy"
end_agents one
wait_for 10 eval '! connected one'
AGENT=$A1 start_agent one
runs one 1.1.0 || die "version: $(version_of one)"

step "an older one only by word, also from the copy"
upgrade fails one --from "$(pkg now)"
has 'older.*--allow-downgrade'
upgrade 0 one --from "$(pkg now)" --allow-downgrade
[[ $(outcome one) == upgraded ]] || die "$(outcome one)"
runs one 1.0.0 || die "version: $(version_of one)"
wait_for 15 settled one

step "signed by another key; altered on its way; not whole; for another machine"
"$OCM_BIN/ocm-release-sign" key "$T/other.key" >/dev/null
[[ $(stat -c %a "$T/other.key") == 600 ]] || die "mode of the key"
package other 1.1.0 "$A2" "$T/other.key"
upgrade fails one --from "$(pkg other)"
has 'not signed by'
upgrade 0 one --from "$(pkg next)" --detach
job=$(jq -r .job "$T/out.json"); wait_for 40 eval '[[ $(ctl --json job show "$job" | jq -r .job.state) == "done" ]]'
upgrade 0 one --from "$(pkg now)" --allow-downgrade
kept=$(echo "$T"/controller/packages/1.1.0-"$ARCH"-*)
cp "$kept" "$T/kept"
python3 - "$kept" <<'P'
import sys
f = open(sys.argv[1], 'r+b'); f.seek(-100, 2); b = f.read(1); f.seek(-100, 2); f.write(bytes([b[0] ^ 1]))
P
upgrade fails one
has 'not the one that was signed'
python3 - "$kept" "$T/kept" <<'P'
import sys
a = open(sys.argv[2], 'rb').read().replace(b'version = 1.1.0', b'version = 1.1.1', 1); open(sys.argv[1], 'wb').write(a)
P
upgrade fails one
has 'not signed by'
rm "$kept"
head -c 100000 "$(pkg next)" >"$T/short.package"
upgrade fails one --from "$T/short.package"
has 'not whole'
upgrade fails one --from "$A2"
has 'no package'
cp "$A2" "$T/ocm-agent-z80"; "$OCM_BIN/ocm-release-sign" sign "$KEY" 1.1.0 "$T/ocm-agent-z80" >/dev/null
upgrade 3 one --from "$T/ocm-agent-z80.package"
[[ $(outcome one) == no-package ]] || die "$(outcome one)"
runs one 1.0.0 && alone one || die "one is not what it was"
[[ $(ls "$T/agent-one/bin") == ocm-agent-1.0.0-* ]] || die "left in bin: $(ls "$T/agent-one/bin")"

step "one that ends at once is put back, and the job says so"
script 1.2.0 'exit 1' >"$T/crash.sh"; package crash 1.2.0 "$T/crash.sh"
upgrade fails one --from "$(pkg crash)"
[[ $(outcome one) == put-back ]] || die "$(outcome one)"
has 'ended before it reached the controller'
runs one 1.0.0 || die "version: $(version_of one)"
step "one that stays silent, too"
script 1.2.1 'exec sleep 300' >"$T/mute.sh"; package mute 1.2.1 "$T/mute.sh"
upgrade fails one --from "$(pkg mute)"
[[ $(outcome one) == put-back ]] || die "$(outcome one)"
has 'did not reach the controller within 3 s'
wait_for 10 alone one
expect 0 ctl backup one
step "and one that does not run on this machine is not even tried"
printf '\177ELF nothing' >"$T/elf.sh"; package elf 1.2.2 "$T/elf.sh"
upgrade fails one --from "$(pkg elf)"
runs one 1.0.0 || die "version: $(version_of one)"

step "canary first: two follow only when it is well"
old_agent two
old_agent three
upgrade fails --all --from "$(pkg crash)" --canary 1
[[ $(jq -r '[(.result // .job.result).nodes[].state] | sort | join(" ")' "$T/out.json") == "not-reached not-reached put-back" ]] || die "$(cat "$T/out.json")"
upgrade 0 --all --from "$T/next" --canary 1
for n in one two three; do runs $n 1.1.0 || die "$n: $(version_of $n)"; done

step "who is away is named, the others are done"
end_agents three
wait_for 10 eval '! connected three'
upgrade 3 --all --from "$(pkg now)" --allow-downgrade --canary 0
[[ $(outcome one) == upgraded && $(outcome two) == upgraded && $(outcome three) == away ]] || die "$(cat "$T/out.json")"
upgrade 0 one two --from "$(pkg next)"
wait_for 15 settled two

step "it waits for a job on the node"
head -c 30000000 /dev/urandom >"$T/two/.openclaw/media.bin"
b=$(ctl --json backup two --detach | jq -r '.jobs[0].job')
upgrade 0 two --from "$(pkg now)" --allow-downgrade
[[ $(ctl --json job show "$b" | jq -r .job.state) == 'done' ]] || die "the backup: $(ctl job show "$b")"
runs two 1.0.0 || die "version: $(version_of two)"

step "an installed agent that has become newer than the copy runs itself"
end_agents two
AGENT=$A2 start_agent two
runs two 1.1.0 || die "version: $(version_of two)"
[[ ! -e $T/agent-two/upgrade.conf ]] || die "the copy is still named"

step "an agent from before: backed up and restored as ever, left alone by upgrades"
AGENT=$A0 node four "$T/four/.openclaw" "$T/four" --files 20
at_end 'end_agents four'
expect 0 ctl backup four
r=$(newest four); rm -rf "$T/four/.openclaw/workspace"
AGENT=$A0 expect 0 ctl restore four --snapshot "$r" --yes --no-start
upgrade 3 four --from "$(pkg next)"
[[ $(outcome four) == too-old ]] || die "$(outcome four)"
runs four 0.0.9 || die "version: $(version_of four)"
