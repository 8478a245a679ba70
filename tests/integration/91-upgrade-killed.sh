# Goal: an upgrade that is cut anywhere, by a kill of the agent, the watcher or the controller, ends with a node that
# is connected: with the former agent until all of the new one is there, with the one that works afterwards.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"
. "$here/upgrade.sh"

start_controller
WAIT=4s
old_agent one
package next 1.1.0 "$A2"
package now 1.0.0 "$A1"
# one that is long in coming, and one that is long in saying its version
{ script 1.2.0 'exit 1'; echo exit; head -c 150000000 /dev/zero; } >"$T/long.sh"; package long 1.2.0 "$T/long.sh"
sed 's/^if /sleep 6; if /' < <(script 1.2.1 'exit 1') >"$T/slow.sh"; package slow 1.2.1 "$T/slow.sh"
script 1.2.2 'exit 1' >"$T/crash.sh"; package crash 1.2.2 "$T/crash.sh"
script 1.2.3 'exec sleep 60' >"$T/mute.sh"; package mute 1.2.3 "$T/mute.sh"

begin() { job=$(ctl --json node upgrade one --from "$(pkg "$1")" --detach 2>/dev/null | jq -r .job); }
ended() { local s; s=$(ctl --json job show "$job" | jq -r .job.state); [[ $s != running && $s != queued ]]; }
job_says() { wait_for "${2:-60}" ended && ctl job show "$job" >"$T/out" && has "$1"; }
coming() { [[ -e $T/agent-one/bin/incoming ]]; }
at_once() { local i; for ((i = 0; i < 20000; i++)); do if "$@"; then return 0; fi; done; die "waited in vain for: $*"; }
restart() { AGENT=$A1 start_agent one; }
clean() { # VERSION: it runs, nothing of an upgrade is on its way
  wait_for 30 runs one "$1" || die "$2: agent $(version_of one), $(cat "$T/agent-one/upgrade.conf")"
  [[ ! -e $T/agent-one/upgrade.conf ]] || wait_for 20 settled one || die "$2: $(cat "$T/agent-one/upgrade.conf")"
  wait_for 10 alone one || die "$2: $(agent_pids one)"
}

step "the agent is killed while the binary comes"
begin long; at_once coming; end_agents one KILL
job_says 'failed'
restart; clean 1.0.0 "killed while it came"
! coming || die "half a binary was left"
[[ ! -e $T/agent-one/upgrade.conf ]] || die "a trial without a binary"

step "the controller is killed while the binary comes"
begin long; at_once coming; kill -KILL "$controller"; wait "$controller" 2>/dev/null || true
start_controller
job_says 'restarted'
clean 1.0.0 "controller killed"
wait_for 20 eval '! coming' || die "half a binary was left"

step "the job is cancelled while the binary comes"
begin long; at_once coming; ctl job cancel "$job" >/dev/null 2>&1
job_says 'cancel'
clean 1.0.0 "cancelled"

step "the agent is killed when all is there, before it has its name"
begin slow; wait_for 40 pgrep -f "$T/agent-one/bin/incoming --version"
end_agents one KILL
for p in $(pgrep -f "$T/agent-one/bin/incoming"); do kill -KILL "$p"; done
restart; clean 1.0.0 "killed before the rename"
job_says 'came back as 1.0.0'
# and what a kill behind the rename leaves: a copy that nothing names
echo left >"$T/agent-one/bin/ocm-agent-9.9.9-00000000"

step "the next upgrade goes, and takes what was left away"
upgrade 0 one --from "$(pkg next)"
clean 1.1.0 "after all that"
[[ $(ls "$T/agent-one/bin") == ocm-agent-1.1.0-* ]] || die "left: $(ls "$T/agent-one/bin")"

step "named but never executed: the next start does it"
upgrade 0 one --from "$(pkg now)" --allow-downgrade
clean 1.0.0 "down again"
end_agents one
c=$(cd "$T/agent-one/bin" && ls -d ocm-agent-1.0.0-*); cp "$A2" "$T/agent-one/bin/ocm-agent-1.1.0-x"
sha=$(sha256sum <"$A2" | cut -d' ' -f1)
sed -i "s/^current = .*/current = ocm-agent-1.1.0-x/; s/^version = .*/version = 1.1.0/; s/^previous = .*/previous = $c/
  s/^previous_version = .*/previous_version = 1.0.0/; s/^previous_sha256 = .*/previous_sha256 = $(state_line one sha256)/
  s/^sha256 = .*/sha256 = $sha/; s/^trial = .*/trial = yes/" "$T/agent-one/upgrade.conf"
restart; clean 1.1.0 "named but never executed"

step "the new agent and the watcher are killed before it is heard: the next start tries it again, three times at most"
upgrade 0 one --from "$(pkg now)" --allow-downgrade
clean 1.0.0 "down again"
begin mute; wait_for 30 eval '[[ $(state_line one trial) == yes && $(state_line one attempts) == 1 ]]'
wait_for 10 pgrep -f -- "$T/agent-one.conf watch-upgrade"
end_agents one KILL
for p in $(pgrep -f "$T/agent-one/bin/"); do kill -KILL "$p"; done
for n in 2 3; do
  "$A1" --config "$T/agent-one.conf" run </dev/null 2>>"$T/agent-one.log" & p=$!
  wait_for 10 eval "[[ \$(state_line one attempts) == $n ]]" || die "attempt $n: $(cat "$T/agent-one/upgrade.conf")"
  wait_for 10 pgrep -f -- "$T/agent-one.conf watch-upgrade"
  for w in $(pgrep -f -- "$T/agent-one.conf watch-upgrade"); do kill -KILL "$w"; done
  kill -KILL $p; wait $p 2>/dev/null || true
done
restart; clean 1.0.0 "after three attempts"
job_says 'put back.*3 times'

step "under a service manager the watcher leaves the starting to it"
manager() { # as systemd: again and again, with its socket
  while [[ ! -e $T/stop ]]; do
    NOTIFY_SOCKET=$T/run/notify "$A1" --config "$T/agent-one.conf" run </dev/null 2>>"$T/agent-one.log" || true
    sleep 0.3
  done
}
end_agents one
manager & m=$!; pids+=("$m")
at_end 'touch "$T/stop"'
wait_for 20 runs one 1.0.0
upgrade fails one --from "$(pkg crash)"
has '3 times'
[[ $(outcome one) == put-back ]] || die "$(outcome one)"
clean 1.0.0 "crashes under a manager"
upgrade fails one --from "$(pkg mute)"
has 'did not reach the controller within 4 s'
clean 1.0.0 "silence under a manager"
upgrade 0 one --from "$(pkg next)"
clean 1.1.0 "at last"
expect 0 ctl backup one
touch "$T/stop"
end_agents one

step "the controller is gone when the new agent comes: it goes back, and is upgraded later"
restart
upgrade 0 one --from "$(pkg now)" --allow-downgrade
clean 1.0.0 "down again"
begin next
wait_for 30 eval '[[ $(state_line one version) == 1.1.0 ]]'; kill -KILL "$controller"; wait "$controller" 2>/dev/null || true
wait_for 30 eval '[[ $(state_line one trial) == no ]]'
start_controller
wait_for 30 connected one
case $(version_of one) in
  1.0.0) wait_for 10 eval 'grep -q "upgrade put back" "$T/controller.log"' || die "not told"
    upgrade 0 one --from "$(pkg next)" ;;
  1.1.0) ;; # it was heard before the kill
esac
clean 1.1.0 "the controller was gone"
