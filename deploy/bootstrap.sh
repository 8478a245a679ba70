#!/bin/sh
# SPDX-License-Identifier: MIT
# bootstrap.sh - puts the OCM agent on this machine, mends and upgrades it, takes it away again. One POSIX
# script without needs: `ocmctl node add` runs it over SSH, and it works alone.
#
#   bootstrap.sh detect              what is here, as key=value lines; changes nothing
#   bootstrap.sh install [OPTIONS]   the token of `ocmctl node token` on standard input
#   bootstrap.sh remove [--instance NAME]...   all of ours without a name; OpenClaw is left alone
#   bootstrap.sh log --instance NAME           the agent's last lines
#
#   --controller HOST[:PORT]  where to join (needed unless this agent has joined)
#   --name NAME               the node's name (default: the host's)
#   --agent FILE              the agent's program; - : on standard input, behind the token's line.
#                             Default: ocm-agent-ARCH beside this script, else the one that is installed
#   --sha256 HEX[,HEX...]     it must have one of these checksums
#   --mode system|user|cron   default: system for root; else user, or cron where there is no systemd
#   --user NAME               the user of OpenClaw (default: whoever has one here, or yourself)
#   --state DIR               its state folder (default: ~/.openclaw)
#   --instance NAME           this agent's name on the machine (default: the user's)
#   --rejoin                  join anew although this agent has joined already
#   --dry-run                 print what would be done
#
# Run again it repairs or upgrades: what is right is left alone, an edited agent-NAME.conf is kept. When a
# step fails, all that was made is taken away and the agent that was there runs on.
set -u
umask 022
LC_ALL=C
export LC_ALL
unset CDPATH
nl='
'

say() { printf '%s\n' "$*"; }
die() {
  printf 'bootstrap: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }
uid=$(id -u) || exit 1
me=$(id -un 2>/dev/null || say "$uid")

# ---- what is here ----

passwd_of() { # USER: its line
  if have getent; then getent passwd "$1"; else grep "^$1:" /etc/passwd; fi 2>/dev/null | head -n 1
}
home_of() { passwd_of "$1" | cut -d: -f6; }
uid_of() { id -u "$1" 2>/dev/null; }

init_system() {
  if [ -d /run/systemd/system ]; then say systemd; elif [ -d /run/openrc ]; then say openrc; else say other; fi
}

libc_kind() {
  if ls /lib/ld-musl-* >/dev/null 2>&1; then say musl; elif ls /lib*/ld-linux* /lib/*/ld-linux* >/dev/null 2>&1; then say glibc; else say none; fi
}

# Which way to root: root, nopasswd, password (a member of a group that usually may), maybe, no
sudo_kind() {
  if [ "$uid" = 0 ]; then
    say root
  elif ! have sudo; then
    say no
  elif sudo -n true >/dev/null 2>&1 </dev/null; then
    say nopasswd
  elif id -Gn | tr ' ' '\n' | grep -Eqx 'sudo|wheel|admin'; then
    say password
  else
    say maybe
  fi
}

sha256_of() {
  if have sha256sum; then
    sha256sum "$1"
  else
    openssl dgst -sha256 -r "$1"
  fi 2>/dev/null | cut -d' ' -f1 | grep -Ex '[0-9a-f]{64}'
}

agent_version() { "$1" --version 2>/dev/null </dev/null | sed -n 's/^ocm-agent \([0-9A-Za-z.+~-]*\)$/\1/p' | head -n 1; }

# What it calls itself in the config: the version that wrote it last
openclaw_version() {
  sed -n 's/.*"lastTouchedVersion"[ ]*:[ ]*"\([0-9A-Za-z.+-]*\)".*/\1/p' "$1/openclaw.json" 2>/dev/null | head -n 1
}

is_state() {
  [ -e "$1/openclaw.json" ] || [ -e "$1/gateway.yaml" ] || [ -e "$1/gateway.yml" ] || [ -e "$1/state/openclaw.sqlite" ] ||
    [ -e "$1/clawdbot.json" ]
}

unit_env() { # NAME FILE: of an Environment= in a unit
  sed -n "s/^Environment=\"\{0,1\}$1=\([^\"]*\)\"\{0,1\}[ ]*\$/\1/p" "$2" 2>/dev/null | tail -n 1
}

states=0
seen=$nl
# one_state USER HOME DIR PROFILE UNIT
one_state() {
  case $3 in *"$nl"* | '') return ;; esac
  case $seen in *"$nl$3$nl"*) return ;; esac
  is_state "$3" || return 0
  seen=$seen$3$nl
  states=$((states + 1))
  say "state$states.user=$1"
  say "state$states.home=$2"
  say "state$states.dir=$3"
  say "state$states.profile=$4"
  say "state$states.unit=$5"
  say "state$states.version=$(openclaw_version "$3")"
}

states_of() { # USER HOME
  [ -d "$2" ] || return 0
  for unit in "$2"/.config/systemd/user/openclaw-gateway*.service; do
    [ -e "$unit" ] || continue
    base=$(basename "$unit" .service)
    profile=${base#openclaw-gateway}
    profile=${profile#-}
    dir=$(unit_env OPENCLAW_STATE_DIR "$unit")
    [ -n "$dir" ] || dir=$2/.openclaw${profile:+-$profile}
    one_state "$1" "$2" "$dir" "$profile" "$base"
  done
  one_state "$1" "$2" "$2/.openclaw" '' ''
  for dir in "$2"/.openclaw-*; do
    [ -d "$dir" ] || continue
    one_state "$1" "$2" "$dir" "${dir##*/.openclaw-}" ''
  done
  one_state "$1" "$2" "$2/.clawdbot" '' ''
}

system_units() {
  for unit in /etc/systemd/system/openclaw*.service /usr/lib/systemd/system/openclaw*.service; do
    [ -e "$unit" ] || continue
    user=$(sed -n 's/^User=//p' "$unit" | tail -n 1)
    [ -n "$user" ] || user=root
    home=$(home_of "$user")
    dir=$(unit_env OPENCLAW_STATE_DIR "$unit")
    one_state "$user" "$home" "${dir:-$home/.openclaw}" '' "$(basename "$unit" .service)"
  done
}

# Everybody's, as far as we may look
all_states() {
  states_of "$me" "${HOME:-$(home_of "$me")}"
  system_units
  [ "$uid" = 0 ] || return 0
  if have getent; then getent passwd; else cat /etc/passwd; fi | cut -d: -f1,6 >"$work/users"
  while IFS=: read -r user home; do
    case $home in '' | / | /proc | /dev | /nonexistent | /usr/sbin | /bin | /sbin) continue ;; esac
    states_of "$user" "$home"
  done <"$work/users"
}

# ---- where things go: by scope (system or user) ----

paths_of() { # system|user
  if [ "$1" = system ]; then
    bin=/usr/local/bin/ocm-agent
    keep=/usr/local/lib/ocm/ocm-agent-keep
    conf_dir=/etc/ocm
    state_base=/var/lib/ocm-agent
    unit_dir=/etc/systemd/system
  else
    bin=$HOME/.local/bin/ocm-agent
    keep=$HOME/.local/lib/ocm/ocm-agent-keep
    conf_dir=$HOME/.config/ocm
    state_base=$HOME/.local/state/ocm-agent
    unit_dir=$HOME/.config/systemd/user
  fi
}
scope_here() { if [ "$uid" = 0 ]; then say system; else say user; fi; }
unit_name() { say "ocm-agent@$1.service"; }

conf_value() { # FILE SECTION KEY
  awk -v s="[$2]" -v k="$3" '$0 == s { on = 1; next } /^\[/ { on = 0 }
    on && index($0, "=") { n = $0; sub(/[ \t]*=.*/, "", n); v = $0; sub(/^[^=]*=[ \t]*/, "", v); if (n == k) print v }' "$1" 2>/dev/null | tail -n 1
}

as_user() { # COMMAND...: as the user of OpenClaw
  if [ "$user" = "$me" ]; then "$@"; elif have runuser; then runuser -u "$user" -- "$@"; else
    # shellcheck disable=SC2016
    su -s /bin/sh "$user" -c '"$0" "$@"' -- "$@"
  fi
}

sysctl_() { # systemctl for this scope
  if [ "$scope" = system ]; then systemctl "$@"; else systemctl --user "$@"; fi
}

user_bus() {
  [ -n "${XDG_RUNTIME_DIR:-}" ] || XDG_RUNTIME_DIR=/run/user/$uid
  [ -n "${DBUS_SESSION_BUS_ADDRESS:-}" ] || DBUS_SESSION_BUS_ADDRESS=unix:path=$XDG_RUNTIME_DIR/bus
  export XDG_RUNTIME_DIR DBUS_SESSION_BUS_ADDRESS
}

lingers() { [ -e "/var/lib/systemd/linger/$1" ]; }
# from standard input: busybox opens the file as that user
crontab_of() { if [ "$1" = "$me" ]; then crontab -; else crontab -u "$1" -; fi <"$2"; }
crontab_drop() { if [ "$1" = "$me" ]; then crontab -r; else crontab -u "$1" -r; fi; }
crontab_list() { if [ "$1" = "$me" ]; then crontab -l; else crontab -u "$1" -l; fi 2>/dev/null; }

running_as() { # INSTANCE MODE: yes or no
  if [ "$2" = cron ]; then keeper_pid "$1" >/dev/null; else sysctl_ is-active -q "$(unit_name "$1")" 2>/dev/null; fi &&
    say yes || say no
}
mode_of() { # INSTANCE: how it was installed
  if [ -e "$(state_dir_of "$1")/keeper" ]; then say cron; else say "$scope"; fi
}
state_dir_of() {
  dir=$(conf_value "$conf_dir/agent-$1.conf" agent state_dir)
  say "${dir:-$state_base/$1}"
}
keeper_pid() { # INSTANCE
  pid=$(cat "$(state_dir_of "$1")/keeper.pid" 2>/dev/null) || return 1
  case $pid in '' | *[!0-9]*) return 1 ;; esac
  tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q ocm-agent-keep || return 1
  say "$pid"
}

instances() {
  for conf in "$conf_dir"/agent-*.conf; do
    [ -e "$conf" ] || continue
    name=${conf##*/agent-}
    say "${name%.conf}"
  done
}

detect() {
  scope=$(scope_here)
  [ "$scope" = system ] || user_bus
  paths_of "$scope"
  say ocm=1
  say "host=$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)"
  say "uid=$uid"
  say "user=$me"
  say "home=${HOME:-}"
  say "arch=$(uname -m)"
  say "kernel=$(uname -r)"
  say "libc=$(libc_kind)"
  say "os=$(. /etc/os-release 2>/dev/null && say "${PRETTY_NAME:-$ID}")"
  say "init=$(init_system)"
  say "sudo=$(sudo_kind)"
  say "linger=$(if lingers "$me"; then say yes; else say no; fi)"
  say "user_manager=$(if [ -S "/run/user/$uid/systemd/private" ]; then say yes; else say no; fi)"
  say "cron=$(if have crontab; then say yes; else say no; fi)"
  set -- ${SSH_CONNECTION:-}
  say "ssh_client=${1:-}"
  if [ -x "$bin" ]; then
    say "agent=$bin"
    say "agent_version=$(agent_version "$bin")"
    say "agent_sha256=$(sha256_of "$bin")"
  fi
  n=0
  for name in $(instances); do
    n=$((n + 1))
    dir=$(state_dir_of "$name")
    mode=$(mode_of "$name")
    say "instance$n.name=$name"
    say "instance$n.mode=$mode"
    say "instance$n.home=$(conf_value "$conf_dir/agent-$name.conf" openclaw home)"
    say "instance$n.state=$(conf_value "$conf_dir/agent-$name.conf" openclaw state_dir)"
    say "instance$n.node_id=$(conf_value_plain "$dir/identity.conf" node_id)"
    say "instance$n.running=$(running_as "$name" "$mode")"
  done
  all_states
  say end=1
}
conf_value_plain() { sed -n "s/^$2 = //p" "$1" 2>/dev/null | head -n 1; }

# ---- installing: what is changed is noted, so that a failure takes it back ----

made=$nl     # paths that were not there
replaced=$nl # paths whose old content is kept as PATH.ocm-old
undo_needed=

act() { # COMMAND...: do it, or say it
  if [ -n "$dry" ]; then
    say "would: $*"
  else
    "$@" || die "failed: $*"
  fi
}

note_made() { [ -e "$1" ] || made=$nl$1$made; }
keep_old() {
  if [ -e "$1" ] && [ ! -e "$1.ocm-old" ]; then
    cp -p "$1" "$1.ocm-old" || die "$1 cannot be copied"
    replaced=$nl$1$replaced
  else
    note_made "$1"
  fi
}

make_dir() { # DIR MODE [OWNER]
  if [ -d "$1" ]; then return 0; fi
  parent=$(dirname "$1")
  [ -d "$parent" ] || make_dir "$parent" 755 "${3:-}"
  note_made "$1"
  act mkdir -m "$2" "$1"
  if [ -n "${3:-}" ] && [ "$3" != "$me" ]; then act chown "$3:" "$1"; fi
}

# put FILE MODE: what stands in $work/put, atomically; nothing when it is the same already. (No pipe: a
# subshell would keep to itself what it changed.)
put() {
  if cmp -s "$work/put" "$1"; then return 0; fi
  if [ -n "$dry" ]; then
    say "would: write $1"
    return 0
  fi
  make_dir "$(dirname "$1")" 755
  keep_old "$1"
  cp "$work/put" "$1.ocm-new" && chmod "$2" "$1.ocm-new" && mv -f "$1.ocm-new" "$1" || die "$1 cannot be written"
  changed=yes
}

undo() {
  [ -n "$undo_needed" ] || return 0
  undo_needed=
  stop_instance "$instance" "$mode" >/dev/null 2>&1
  printf %s "$made" | while IFS= read -r path; do
    [ -z "$path" ] || rm -rf -- "$path"
  done
  printf %s "$replaced" | while IFS= read -r path; do
    [ -z "$path" ] || mv -f -- "$path.ocm-old" "$path"
  done
  rm -f -- "$bin.ocm-new" "$keep.ocm-new"
  if [ -s "$old_crontab" ]; then crontab_of "$user" "$old_crontab"; elif [ -n "$old_crontab" ]; then crontab_drop "$user"; fi >/dev/null 2>&1
  if [ "$mode" != cron ]; then
    sysctl_ daemon-reload >/dev/null 2>&1
  fi
  if [ "$was_running" = yes ]; then start_instance "$instance" >/dev/null 2>&1; fi
}

commit() {
  undo_needed=
  printf %s "$replaced" | while IFS= read -r path; do
    [ -z "$path" ] || rm -f -- "$path.ocm-old"
  done
}

# ---- the units; the first is deploy/systemd/ocm-agent@.service but for the program's place ----

system_unit() {
  cat <<'UNIT'
# ocm-agent@NAME reads /etc/ocm/agent-NAME.conf; its user stands in ocm-agent@NAME.service.d/user.conf
[Unit]
Description=OCM agent of the OpenClaw node %i
Documentation=man:ocm-agent(8)
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=/usr/local/bin/ocm-agent --config /etc/ocm/agent-%i.conf run
User=%i
Restart=always
RestartPreventExitStatus=3
RestartSec=2
WatchdogSec=60
TimeoutStopSec=120

StateDirectory=ocm-agent/%i
StateDirectoryMode=0700
UMask=0077
LimitCORE=0

CapabilityBoundingSet=
AmbientCapabilities=
NoNewPrivileges=yes
ProtectSystem=full
PrivateDevices=yes
PrivateMounts=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RemoveIPC=no
LockPersonality=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
RestrictNamespaces=yes
RestrictRealtime=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallFilter=@chown sched_setaffinity setpriority
SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
UNIT
}

user_unit() {
  cat <<'UNIT'
[Unit]
Description=OCM agent of the OpenClaw node %i
Documentation=man:ocm-agent(8)
StartLimitIntervalSec=0

[Service]
Type=notify
NotifyAccess=main
ExecStart=%h/.local/bin/ocm-agent --config %h/.config/ocm/agent-%i.conf run
Restart=always
RestartPreventExitStatus=3
RestartSec=2
WatchdogSec=60
TimeoutStopSec=120
UMask=0077
LimitCORE=0
NoNewPrivileges=yes

[Install]
WantedBy=default.target
UNIT
}

keeper() {
  cat <<'KEEP'
#!/bin/sh
# ocm-agent-keep AGENT CONF STATE_DIR - keeps one ocm-agent running where no service manager does: started
# by cron at boot, once. TERM ends both.
agent=$1 conf=$2 dir=$3 child=
pid=$(cat "$dir/keeper.pid" 2>/dev/null)
case $pid in '' | *[!0-9]*) ;; *)
  if [ "$pid" != $$ ] && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -q ocm-agent-keep; then exit 0; fi ;;
esac
umask 077
OCM_AGENT_KEPT=yes # says that what ends is started again
export OCM_AGENT_KEPT
echo $$ >"$dir/keeper.pid" || exit 1
trap '[ -z "$child" ] || { kill -TERM "$child" 2>/dev/null; wait "$child"; }; rm -f "$dir/keeper.pid"; exit 0' TERM INT
trap '' HUP
while :; do
  if [ "$(wc -c <"$dir/agent.log" 2>/dev/null || echo 0)" -gt 1000000 ]; then mv -f "$dir/agent.log" "$dir/agent.log.1"; fi
  "$agent" --config "$conf" run >>"$dir/agent.log" 2>&1 </dev/null &
  child=$!
  wait "$child"
  [ $? != 3 ] || break # it was uninstalled
  child=
  sleep 5 &
  wait $!
done
rm -f "$dir/keeper.pid"
KEEP
}

cron_line() { say "@reboot /bin/sh $keep $bin $conf_dir/agent-$1.conf $state_dir >/dev/null 2>&1 # ocm-agent $1"; }

start_instance() {
  case $mode in
    cron)
      as_user sh -c 'if command -v setsid >/dev/null 2>&1; then setsid "$@"; else nohup "$@"; fi >/dev/null 2>&1 </dev/null &' \
        sh /bin/sh "$keep" "$bin" "$conf_dir/agent-$1.conf" "$state_dir"
      i=0
      while [ $i -lt 50 ]; do
        keeper_pid "$1" >/dev/null && return 0
        i=$((i + 1))
        sleep 0.1 2>/dev/null || sleep 1
      done
      return 1
      ;;
    *)
      sysctl_ daemon-reload && sysctl_ enable -q "$(unit_name "$1")" && sysctl_ restart "$(unit_name "$1")"
      ;;
  esac
}

stop_instance() { # INSTANCE MODE
  case $2 in
    cron)
      pid=$(keeper_pid "$1") || return 0
      kill -TERM "$pid"
      i=0
      while [ $i -lt 100 ] && kill -0 "$pid" 2>/dev/null; do
        i=$((i + 1))
        sleep 0.1 2>/dev/null || sleep 1
      done
      kill -KILL "$pid" 2>/dev/null
      ;;
    *)
      sysctl_ disable -q "$(unit_name "$1")" 2>/dev/null
      sysctl_ stop "$(unit_name "$1")" 2>/dev/null
      sysctl_ reset-failed "$(unit_name "$1")" 2>/dev/null
      ;;
  esac
  return 0
}

# Is what runs not the program that is installed now? (Of several agents each is installed for itself.)
runs_another() {
  if [ "$mode" = cron ] || [ -e "$state_dir/upgrade.conf" ]; then return 1; fi
  exe=$(readlink "/proc/$(sysctl_ show -p MainPID --value "$(unit_name "$instance")")/exe")
  [ -n "$exe" ] && [ "$exe" != "$bin" ]
}

log_of() { # INSTANCE
  if [ "$mode" = cron ]; then
    tail -n 20 "$state_dir/agent.log" 2>/dev/null
  elif [ "$scope" = system ]; then
    journalctl -u "$(unit_name "$1")" -n 20 --no-pager -o cat 2>/dev/null
  else
    journalctl --user -u "$(unit_name "$1")" -n 20 --no-pager -o cat 2>/dev/null ||
      systemctl --user status -n 20 --no-pager "$(unit_name "$1")" 2>/dev/null
  fi
}

# ---- install ----

# A user's services end with its last login unless they linger; whether a user may ask for that is the
# administrator's choice
may_linger() { lingers "$me" || loginctl enable-linger "$me" 2>/dev/null; }

choose_mode() {
  init=$(init_system)
  scope=$(scope_here)
  if [ -z "$mode" ]; then
    if [ "$init" != systemd ]; then
      mode=cron
    elif [ "$scope" = system ]; then
      mode=system
    elif [ -n "$dry" ] || may_linger; then
      mode=user
    else
      mode=cron
    fi
  fi
  case $mode in
    system)
      [ "$uid" = 0 ] || die "--mode system needs root (or sudo)"
      [ "$init" = systemd ] || die "--mode system needs systemd, here is $init: use --mode cron"
      ;;
    user)
      [ "$uid" != 0 ] || die "--mode user is for a user, not for root"
      [ -n "$dry" ] || may_linger || die "services of $me would end with the login: have an administrator run loginctl enable-linger $me, or use --mode cron"
      [ "$init" = systemd ] || die "--mode user needs systemd, here is $init: use --mode cron"
      ;;
    cron) have crontab || die "there is neither a lingering systemd nor cron to keep an agent running" ;;
    *) die "--mode is system, user or cron" ;;
  esac
}

choose_user() {
  if [ -z "$user" ] && [ -n "$state" ]; then
    user=$(ls -ld "$state" 2>/dev/null | awk '{ print $3 }')
  fi
  if [ -z "$user" ] && [ "$uid" = 0 ]; then
    all_states | sed -n 's/^state[0-9]*\.user=//p' | sort -u >"$work/owners"
    user=$(cat "$work/owners")
    [ -n "$user" ] || die "no OpenClaw state is here: give --user"
    case $user in
      *"$nl"*) die "several users have OpenClaw here: give --user (one of: $(tr '\n' ' ' <"$work/owners"))" ;;
    esac
  fi
  [ -n "$user" ] || user=$me
  passwd_of "$user" >/dev/null || die "no user '$user' is here"
  [ -n "$(uid_of "$user")" ] || die "no user '$user' is here"
  [ "$user" = "$me" ] || [ "$uid" = 0 ] || die "to install for $user be root"
  home=$(home_of "$user")
  [ "$user" != "$me" ] || [ "$uid" = 0 ] || home=$HOME
  if [ -z "$instance" ]; then
    instance=$user
    [ -z "$state" ] || [ "$state" = "$home/.openclaw" ] || instance=$user-$(basename "$state")
    instance=$(say "$instance" | sed 's/\.openclaw-//' | tr 'A-Z_.' 'a-z--' | tr -cd 'a-z0-9-\n')
  fi
  case $instance in '' | -* | *[!a-z0-9-]*) die "--instance '$instance': use a-z, 0-9 and -" ;; esac
}

# Root's agent for the same OpenClaw would make another node of it
not_twice() {
  if [ "$state" = "$home/.openclaw" ]; then own=; else own=$state; fi
  for conf in /etc/ocm/agent-*.conf; do
    [ "$(conf_value "$conf" openclaw home)" = "$home" ] && [ "$(conf_value "$conf" openclaw state_dir)" = "$own" ] || continue
    die "root has installed an agent for this OpenClaw already ($conf): log in as root, or with sudo"
  done
}

# The program: from where, and is it the one that was promised?
choose_agent() {
  arch=$(uname -m)
  here=$(dirname "$0")
  if [ -z "$agent" ]; then
    if [ -f "$here/ocm-agent-$arch" ]; then
      agent=$here/ocm-agent-$arch
    elif [ -x "$bin" ]; then
      agent=$bin
    elif have ocm-agent; then
      agent=$(command -v ocm-agent)
    else
      die "no agent: put ocm-agent-$arch beside this script, or give --agent FILE"
    fi
  fi
  if [ "$agent" = - ]; then
    cat >"$work/agent" || die "no agent on standard input"
    agent=$work/agent
  fi
  [ -f "$agent" ] || die "$agent is not there"
  new_sum=$(sha256_of "$agent") || die "no program here computes a SHA-256"
  if [ -n "$sha256" ]; then
    case ,$sha256, in
      *",$new_sum,"*) ;;
      *) die "$agent has checksum $new_sum, which is not the one that was promised: it was damaged or replaced on its way; nothing was changed" ;;
    esac
  fi
}

put_agent() {
  if [ "$agent" = "$bin" ] || [ "$(sha256_of "$bin" 2>/dev/null)" = "$new_sum" ]; then return 0; fi
  if [ -n "$dry" ]; then
    say "would: install $agent as $bin"
    return 0
  fi
  make_dir "$(dirname "$bin")" 755
  keep_old "$bin"
  cp "$agent" "$bin.ocm-new" && chmod 755 "$bin.ocm-new" || die "$bin cannot be written: $(df -P "$(dirname "$bin")" | tail -n 1)"
  [ -n "$(agent_version "$bin.ocm-new")" ] ||
    die "the agent does not run on this machine ($(uname -m), $(libc_kind)): $("$bin.ocm-new" --version 2>&1 </dev/null | head -n 1)"
  mv -f "$bin.ocm-new" "$bin" || die "$bin cannot be written"
  # a copy that came over the controller's connection would run in its place
  for conf in "$state_base"/*/upgrade.conf; do
    if [ -e "$conf" ]; then
      keep_old "$conf"
      rm -f "$conf"
    fi
  done
  if have restorecon; then restorecon "$bin" 2>/dev/null; fi
  changed=yes
}

agent_conf() {
  say "# written by bootstrap.sh; yours to edit, it is not written again"
  say "[agent]"
  say "state_dir = $state_dir"
  say "[openclaw]"
  say "home = $home"
  [ -z "$state" ] || [ "$state" = "$home/.openclaw" ] || say "state_dir = $state"
  case $gateway_unit in
    '' | openclaw-gateway) ;;
    *)
      say "[gateway]"
      say "unit = $gateway_unit"
      ;;
  esac
}

put_files() {
  make_dir "$state_base" 755
  make_dir "$state_dir" 700 "$user"
  conf=$conf_dir/agent-$instance.conf
  [ -e "$conf" ] || {
    agent_conf >"$work/put"
    put "$conf" 644
  }
  case $mode in
    system)
      system_unit >"$work/put"
      put "$unit_dir/ocm-agent@.service" 644
      printf '[Service]\nUser=%s\n' "$user" >"$work/put"
      put "$unit_dir/$(unit_name "$instance").d/user.conf" 644
      note_made "$unit_dir/multi-user.target.wants/$(unit_name "$instance")"
      ;;
    user)
      user_unit >"$work/put"
      put "$unit_dir/ocm-agent@.service" 644
      note_made "$unit_dir/default.target.wants/$(unit_name "$instance")"
      ;;
    cron)
      keeper >"$work/put"
      put "$keep" 755
      ;;
  esac
}

# The user's manager may just have been started by lingering
wait_for_manager() {
  [ -z "$dry" ] || return 0
  i=0
  while [ $i -lt 100 ]; do
    systemctl --user is-system-running >/dev/null 2>&1
    case $? in 0 | 1) [ -S "$XDG_RUNTIME_DIR/systemd/private" ] && return 0 ;; esac
    i=$((i + 1))
    sleep 0.1 2>/dev/null || sleep 1
  done
  die "the service manager of $user does not answer: log in once, or have an administrator run: loginctl enable-linger $user"
}

put_cron() {
  crontab_list "$user" >"$work/crontab.old"
  grep -v "# ocm-agent $instance\$" "$work/crontab.old" >"$work/crontab"
  cron_line "$instance" >>"$work/crontab"
  if cmp -s "$work/crontab" "$work/crontab.old"; then return 0; fi
  if [ -z "$dry" ]; then old_crontab=$work/crontab.old; fi
  act crontab_of "$user" "$work/crontab"
}

join() {
  joined=
  if [ -s "$state_dir/identity.conf" ] && [ -s "$state_dir/node.pem" ] && [ -s "$state_dir/ca.pem" ]; then joined=yes; fi
  if [ -n "$joined" ] && [ -z "$rejoin" ]; then return 0; fi
  if [ -n "$dry" ]; then
    say "would: ocm-agent join --controller $controller --name ${name:-HOSTNAME}"
    return 0
  fi
  [ -n "$controller" ] || die "where is the controller? give --controller HOST[:PORT]"
  [ -n "$token" ] || die "no join token came on standard input; make one with: ocmctl node token"
  for file in identity.conf node.pem ca.pem; do
    if [ -e "$state_dir/$file" ]; then keep_old "$state_dir/$file"; else note_made "$state_dir/$file"; fi
  done
  printf '%s\n' "$token" | as_user "$bin" --config "$conf_dir/agent-$instance.conf" join --controller "$controller" ${name:+--name "$name"} 2>"$work/join" ||
    die "joining failed: $(tail -n 1 "$work/join" | sed 's/^.*ocm-agent: //')"
  token=
  changed=yes
  say "joined=$(conf_value_plain "$state_dir/identity.conf" node_id)"
}

install_() {
  dry='' mode='' user='' state='' instance='' agent='' sha256='' controller='' name='' rejoin='' gateway_unit=''
  token='' changed='' old_crontab='' was_running=no
  while [ $# -gt 0 ]; do
    case $1 in
      --dry-run) dry=yes ;;
      --rejoin) rejoin=yes ;;
      --mode | --user | --state | --instance | --agent | --sha256 | --controller | --name | --gateway-unit)
        [ $# -gt 1 ] || die "$1 wants a value"
        eval "$(printf %s "${1#--}" | tr - _)=\$2"
        shift
        ;;
      *) die "unknown option '$1'; see the head of this script" ;;
    esac
    shift
  done
  if [ -z "$dry" ]; then
    if [ -t 0 ]; then say "The token of 'ocmctl node token' (empty when this agent has joined already):" >&2; fi
    IFS= read -r token || true
  fi
  state=${state%/}
  choose_mode
  [ "$scope" = system ] || user_bus
  paths_of "$scope"
  choose_user
  if [ "$scope" = user ] && [ ! -e "$conf_dir/agent-$instance.conf" ]; then not_twice; fi
  state_dir=$state_base/$instance
  if [ -e "$conf_dir/agent-$instance.conf" ]; then state_dir=$(state_dir_of "$instance"); fi
  choose_agent
  # from here on nothing stops half way: a connection that breaks is no reason
  trap '' HUP PIPE
  was_running=$(running_as "$instance" "$mode")
  [ -n "$dry" ] || undo_needed=yes
  put_agent
  put_files
  if [ "$mode" = cron ] && [ -z "$dry" ]; then : >"$state_dir/keeper"; fi
  join
  [ "$mode" != user ] || wait_for_manager
  [ "$mode" != cron ] || put_cron
  if [ -n "$dry" ]; then
    say "would: start $(unit_name "$instance") ($mode)"
    exit 0
  fi
  if [ "$mode" = cron ] && [ "$was_running" = yes ] && [ -n "$changed" ]; then stop_instance "$instance" cron; was_running=no; fi
  if [ "$was_running" = no ] || [ -n "$changed" ] || runs_another; then
    start_instance "$instance" || {
      log_of "$instance" >&2
      die "the agent does not start"
    }
  fi
  commit
  say "installed=$instance"
  say "mode=$mode"
  say "changed=${changed:-no}"
  say "agent_version=$(agent_version "$bin")"
  say "node_id=$(conf_value_plain "$state_dir/identity.conf" node_id)"
  say "node_name=$(conf_value_plain "$state_dir/identity.conf" node_name)"
}

# ---- remove ----

remove_one() {
  instance=$1
  state_dir=$(state_dir_of "$1")
  mode=$(mode_of "$1")
  user=$me
  if [ "$scope" = system ]; then
    user=$(ls -ld "$state_dir" 2>/dev/null | awk '{ print $3 }')
    [ -n "$user" ] || user=root
  fi
  if ls "$state_dir"/*.journal >/dev/null 2>&1; then
    die "$1: a restore of this node was interrupted and is not settled yet: start the agent once, then remove it"
  fi
  if [ -n "$dry" ]; then
    say "would: stop and remove the agent $1 ($mode), $conf_dir/agent-$1.conf and $state_dir"
    return 0
  fi
  stop_instance "$1" "$mode"
  if [ "$mode" = cron ]; then
    crontab_list "$user" | grep -v "# ocm-agent $1\$" >"$work/crontab"
    if [ -s "$work/crontab" ]; then
      crontab_of "$user" "$work/crontab"
    elif crontab_list "$user" >/dev/null; then
      crontab_drop "$user"
    fi
  fi
  rm -rf -- "$unit_dir/$(unit_name "$1").d"
  rm -f -- "$conf_dir/agent-$1.conf"
  case $state_dir in
    "$state_base"/?*) rm -rf -- "$state_dir" ;;
    *) say "left: $state_dir (it is not where this script puts things)" ;;
  esac
  say "removed=$1"
}

remove() {
  dry='' names=
  while [ $# -gt 0 ]; do
    case $1 in
      --dry-run) dry=yes ;;
      --instance)
        [ $# -gt 1 ] || die "--instance wants a value"
        names="$names $2"
        shift
        ;;
      *) die "unknown option '$1'" ;;
    esac
    shift
  done
  scope=$(scope_here)
  [ "$scope" = system ] || user_bus
  paths_of "$scope"
  [ -n "$names" ] || names=$(instances)
  for one in $names; do
    case $one in *[!a-z0-9-]*) die "--instance '$one': use a-z, 0-9 and -" ;; esac
    if [ ! -e "$conf_dir/agent-$one.conf" ]; then
      say "not here: $one"
      continue
    fi
    remove_one "$one"
  done
  if [ -n "$(instances)" ] || [ -n "$dry" ]; then return 0; fi
  rm -f -- "$bin" "$keep" "$unit_dir/ocm-agent@.service"
  rmdir "$(dirname "$keep")" "$conf_dir" "$state_base" 2>/dev/null
  if [ "$scope" = user ]; then (cd "$HOME" && rmdir -p .local/lib .config/systemd/user .config .local/state .local/bin 2>/dev/null); fi
  if [ "$(init_system)" = systemd ]; then sysctl_ daemon-reload 2>/dev/null; fi
  say "removed=agent"
}

show_log() {
  [ "${1:-}" = --instance ] && [ $# = 2 ] || die "log wants --instance NAME"
  scope=$(scope_here)
  [ "$scope" = system ] || user_bus
  paths_of "$scope"
  state_dir=$(state_dir_of "$2")
  mode=$(mode_of "$2")
  log_of "$2"
}

# ---- the command ----

command=${1:-help}
case $command in
  detect | install | remove | log) shift ;;
  *)
    sed -n '3,29s/^# \{0,1\}//p' "$0"
    [ "$command" = help ] || [ "$command" = --help ] || exit 2
    exit 0
    ;;
esac
work=$(mktemp -d "${TMPDIR:-/tmp}/ocm-work.XXXXXX") || die "no room for temporary files"
instance='' mode='' user='' old_crontab='' was_running=no dry=''
trap 'status=$?; undo; rm -rf -- "$work"; exit $status' EXIT
trap 'exit 130' INT TERM
case $command in
  detect) detect ;;
  install) install_ "$@" ;;
  remove) remove "$@" ;;
  log) show_log "$@" ;;
esac
