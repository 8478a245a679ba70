# Goal: a node that is removed with --uninstall has nothing of the agent left that its user may remove, is told what
# is left to others, and its OpenClaw is untouched; an agent that is away or too old is revoked all the same.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

# as deploy/bootstrap.sh puts things for a user; the tools that it would ask are ours
mkdir -p "$T/tools"
cat >"$T/tools/crontab" <<X
#!/bin/sh
case \$1 in -l) cat "$T/crontab" ;; *) cp "\$1" "$T/crontab" ;; esac
X
printf '#!/bin/sh\necho "$*" >>%s\n' "$T/systemctl.log" >"$T/tools/systemctl"
chmod 755 "$T"/tools/*
export PATH=$T/tools:$PATH

user_agent() { # NAME HOME [KEEPER]: installed for that user, connected; the pid of it, or of what keeps it, in ${agent[NAME]}
  local conf=$2/.config/ocm/agent-$1.conf
  mkdir -p "$2/.config/ocm" "$2/.local/bin" "$2/.local/lib/ocm" "$2/.config/systemd/user/default.target.wants"
  [[ -e $2/.local/bin/ocm-agent ]] || cp "$OCM_BIN/ocm-agent" "$2/.local/bin/ocm-agent"
  sed -n "/^keeper() {/,/^KEEP\$/p" "$top/deploy/bootstrap.sh" | sed '1,2d; $d' >"$2/.local/lib/ocm/ocm-agent-keep"; echo unit >"$2/.config/systemd/user/ocm-agent@.service"
  ln -sf ../ocm-agent@.service "$2/.config/systemd/user/default.target.wants/ocm-agent@$1.service"
  [[ -d $2/.openclaw ]] || "$top/deploy/sample-node" "$2/.openclaw" "$2" 18789 --files 20
  printf '[agent]\nstate_dir = %s\n[openclaw]\nhome = %s\n' "$2/.local/state/ocm-agent/$1" "$2" >"$conf"
  ctl --json node token "$1" | jq -r .token | HOME=$2 "$2/.local/bin/ocm-agent" --config "$conf" join --controller "127.0.0.1:$JOIN_PORT" --name "$1" 2>>"$T/agent-$1.log"
  if [[ -n ${3:-} ]]; then
    HOME=$2 sh "$2/.local/lib/ocm/ocm-agent-keep" "$2/.local/bin/ocm-agent" "$conf" "$2/.local/state/ocm-agent/$1" 2>>"$T/agent-$1.log" </dev/null &
  else
    HOME=$2 "$2/.local/bin/ocm-agent" --config "$conf" run 2>>"$T/agent-$1.log" </dev/null &
  fi
  agent[$1]=$!
  pids+=("$!")
  wait_for 20 connected "$1" || die "$1 did not connect"
}
snapshots() { ctl --json list "$1" | jq '.snapshots | length'; }

start_controller
H=$T/h
step "two agents of one user, the second kept as cron does it"
printf '0 0 * * * true\n@reboot keep # ocm-agent one\n@reboot keep # ocm-agent two\n@reboot keep # ocm-agent one-more\n' >"$T/crontab"
user_agent one "$H"
user_agent two "$H" keeper
grep -q '^while' "$H/.local/lib/ocm/ocm-agent-keep" || die "no keeper in deploy/bootstrap.sh"
expect 0 ctl backup one two
node=$(listing "$H/.openclaw" | sha256sum)

step "the first goes, what both need stays"
expect 0 ctl node remove one --uninstall --yes
has 'removed: .*/agent-one\.conf'
has 'its backups stay'
s=0; wait "${agent[one]}" || s=$?
[[ $s == 3 ]] || die "it ended with status $s"
[[ ! -e $H/.local/state/ocm-agent/one && ! -e $H/.config/ocm/agent-one.conf ]] || die "left: $(find "$H/.local/state" "$H/.config/ocm")"
[[ -e $H/.local/bin/ocm-agent && -e $H/.config/systemd/user/ocm-agent@.service ]] || die "taken from the second"
printf '0 0 * * * true\n@reboot keep # ocm-agent two\n@reboot keep # ocm-agent one-more\n' | diff - "$T/crontab" || die "crontab"
[[ $(snapshots one) == 1 ]] || die "its backups"
ctl node list >"$T/out"; hasnt '^one '
expect 0 ctl backup two

step "with the second goes the rest; OpenClaw is as it was"
expect 0 ctl node remove two --uninstall --yes
wait_for 10 eval '! kill -0 "${agent[two]}"' || die "it is kept alive"
left=$(find "$H" -path "$H/.openclaw" -prune -o \( -type f -o -type l \) ! -name mcp-notes -print) # the sample node's own
[[ -z $left ]] || die "left: $left"
[[ $(listing "$H/.openclaw" | sha256sum) == "$node" ]] || die "OpenClaw's state is another"
has 'daemon-reload' "$T/systemctl.log"
rst check >"$T/out" 2>&1 || { cat "$T/out"; die "restic check"; }

step "a config of root's: what is left to root is said"
"$top/deploy/sample-node" "$T/r/.openclaw" "$T/r" 18789 --empty
mkdir -p "$T/r/.config/ocm"; echo moved >"$T/r/.config/ocm/gateway-0a1b2c3d.fence"
agent_conf root "$T/r"
join_agent root; start_agent root
expect 0 ctl node remove root --uninstall --yes
has 'left to you: as root: systemctl disable --now ocm-agent@root\.service'
has "left to you: as root: rm -rf $T/agent-root.conf"
has 'left to you: rm .*/gateway-0a1b2c3d\.fence'
[[ -e $T/r/.config/ocm/gateway-0a1b2c3d.fence ]] || die "the fence was taken away"
[[ ! -e $T/agent-root/node.pem ]] || die "the key is still there"
[[ -e $T/agent-root.conf ]] || die "root's file was removed"

step "one that is away is revoked, and what is to be done by hand is said"
agent_conf away "$T/r"
join_agent away; start_agent away
stop_pid "${agent[away]}"
wait_for 10 eval '! connected away'
expect 3 ctl node remove away --uninstall --yes
has 'ocm-agent --config FILE uninstall'
has 'away is removed'
HOME=$T/r "$OCM_BIN/ocm-agent" --config "$T/agent-away.conf" run 2>>"$T/agent-away.log" </dev/null & p=$!; pids+=("$p")
wait_for 15 grep -q 'not accepted' "$T/agent-away.log"
stop_pid "$p"
step "and the hand does it"
HOME=$T/r "$OCM_BIN/ocm-agent" --config "$T/agent-away.conf" uninstall >"$T/out" 2>&1 </dev/null
has "removed: $T/agent-away\$"
[[ ! -e $T/agent-away ]] || die "the state is still there"

step "an interrupted restore has to be settled first"
agent_conf busy "$T/r"
join_agent busy
echo '{}' >"$T/agent-busy/apply-j0.journal"
expect 1 "$OCM_BIN/ocm-agent" --config "$T/agent-busy.conf" uninstall
has 'not settled'
[[ -e $T/agent-busy/node.pem ]] || die "the key went all the same"

step "one from before: revoked, and left where it is"
A0=$OCM_BIN/../test-agents/0.0.9/ocm-agent
[[ -x $A0 ]] || die "no agent from before in $(dirname "$OCM_BIN"): build all of it"
agent_conf before "$T/r"
AGENT=$A0 join_agent before; AGENT=$A0 start_agent before
expect 3 ctl node remove before --uninstall --yes
has 'does not know how'
[[ -e $T/agent-before/node.pem ]] || die "it was removed"
