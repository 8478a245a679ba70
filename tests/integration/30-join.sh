# Goal: one token brings one node in, once, and only to the controller that made it; who is not on the list
# gets nothing.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
H=$T/h/home
"$top/deploy/sample-node" "$H/.openclaw" "$H" 18789 --empty
for n in one two race1 race2 late; do agent_conf "$n" "$H"; done
token() { ctl --json node token "$@" | jq -r .token; }
join() { "$OCM_BIN/ocm-agent" --config "$T/agent-$1.conf" join --controller "${3:-127.0.0.1:$JOIN_PORT}" --name "$1" <<<"$2" 2>&1; }

step "tokens that are none, and the wrong ones"
t=$(token one)
[[ $t =~ ^ocm1\.[0-9a-f]{64}\.[a-z2-7]{32}$ ]] || die "token: $t"
expect 1 join one ''
expect 1 join one 'ocm1.abc.def'
last=${t: -1}; other=a; [[ $last == a ]] && other=b
expect 1 join one "${t%?}$other"
has 'token'
flip=0; [[ ${t:5:1} == 0 ]] && flip=1
expect 1 join one "ocm1.$flip${t:6}"
has 'CA|certificate'
[[ ! -e $T/agent-one/identity.conf ]] || die "an identity after failed joins"
hasnt "${t##*.}" "$T/controller.log"

step "the right one, once"
join one "$t" >"$T/out" || { cat "$T/out"; die "join"; }
[[ $(stat -c %a "$T/agent-one/node.pem") == 600 && $(stat -c %a "$T/agent-one") == 700 ]] || die "modes"
expect 1 join two "$t"
has 'token'
start_agent one

step "two at once: exactly one"
t=$(token)
join race1 "$t" >"$T/r1" & p1=$!
join race2 "$t" >"$T/r2" & p2=$!
won=0
wait $p1 && won=$((won + 1)); wait $p2 && won=$((won + 1))
[[ $won == 1 ]] || { cat "$T/r1" "$T/r2"; die "$won joined with one token"; }

step "an expired one"
t=$(token late --ttl 10)
expires=$(($(date +%s) + 11))
step "meanwhile: unknown keys name their line"
printf '[agent]\nstate_dir = %s\nfrobnicate = 1\n' "$T/x" >"$T/bad.conf"
expect 2 "$OCM_BIN/ocm-agent" --config "$T/bad.conf" run
has 'bad.conf:3.*frobnicate'
{ cat "$T/controller.conf"; echo 'nonsense = 2'; } >"$T/bad2.conf"
expect 2 "$OCM_BIN/ocm-controller" --config "$T/bad2.conf"
has "bad2.conf:$(wc -l <"$T/bad2.conf").*nonsense"
step "and a controller that is not the token's is told nothing"
mv "$T/controller.conf" "$T/first.conf"; first_port=$JOIN_PORT
sed "s|$T/controller|$T/second|; s|$T/repo|$T/repo2|; s|ocm.sock|second.sock|" "$T/first.conf" >"$T/second.conf"
read -r a j < <(free_ports 2)
sed -i "s/^agents = .*/agents = $a/; s/^join = .*/join = $j/" "$T/second.conf"
"$OCM_BIN/ocm-controller" --config "$T/second.conf" 2>>"$T/second.log" </dev/null & second=$!
pids+=("$second")
wait_for 20 "$OCM_BIN/ocmctl" --socket "$T/run/second.sock" status
t2=$(token two)
expect 1 join two "$t2" "127.0.0.1:$j"
has 'CA|certificate'
hasnt "${t2##*.}" "$T/second.log"
expect 0 join two "$t2" # it was not spent by that
step "nor does an agent's certificate of another CA open the agents' port"
sed "s/^port = .*/port = $a/" "$T/agent-two/identity.conf" >"$T/id"; cp "$T/agent-two/identity.conf" "$T/id.good"
cp "$T/id" "$T/agent-two/identity.conf"
"$OCM_BIN/ocm-agent" --config "$T/agent-two.conf" run 2>"$T/agent-two.log" </dev/null & p=$!; pids+=("$p")
wait_for 15 grep -qE 'ended|refused|certificate' "$T/agent-two.log"
hasnt 'info: connected' "$T/agent-two.log"
stop_pid "$p"; cp "$T/id.good" "$T/agent-two/identity.conf"
stop_pid "$second"; mv "$T/first.conf" "$T/controller.conf"
openssl s_client -connect "127.0.0.1:$AGENT_PORT" -tls1_2 </dev/null >"$T/out" 2>&1 || true
hasnt '^Verification: OK' # and a stranger without a certificate learns no more than its name
wait_for 15 eval '(( $(date +%s) >= expires ))'
expect 1 join late "$t"
has 'expired|token'

step "the controller restarts: the agents come back by themselves"
start_agent two
stop_pid "$controller"
start_controller
wait_for 20 connected one
wait_for 20 connected two

step "a wrong repository password is said, and nothing is touched"
stop_pid "$controller"
cp "$T/controller/repository.password" "$T/pw"
echo wrong >"$T/controller/repository.password"
expect 1 timeout 60 "$OCM_BIN/ocm-controller" --config "$T/controller.conf"
has 'password'
cp "$T/pw" "$T/controller/repository.password"
rst check >/dev/null 2>&1 || die "restic check"
start_controller
wait_for 20 connected two

step "a removed node: its connection ends, it is not let in again, another goes on"
expect 0 ctl node remove two --yes
wait_for 10 grep -qE 'removed|not accepted' "$T/agent-two.log"
wait_for 10 eval '! connected two'
stop_pid "${agent[two]}"; : >"$T/agent-two.log"
"$OCM_BIN/ocm-agent" --config "$T/agent-two.conf" run 2>>"$T/agent-two.log" </dev/null & p=$!; pids+=("$p")
wait_for 15 grep -q 'not accepted' "$T/agent-two.log"
hasnt 'info: connected' "$T/agent-two.log"
stop_pid "$p"
expect 10 ctl backup two
wait_for 20 connected one || die "the other node was cut off" # the controller has only just started
expect 0 ctl backup one

step "and is welcome again with a new token"
rm -rf "$T/agent-two"
expect 0 join two "$(token two)"
start_agent two
expect 0 ctl backup two

if [[ $(id -u) == 0 ]]; then # for a host name of its own
  step "of a name's addresses the one that answers is found"
  printf '::1 dual\n127.0.0.2 dual\n127.0.0.1 dual\n' >"$T/hosts"
  beside() { exec unshare -m --propagation private bash -c 'mount --bind "$1" /etc/hosts && shift && exec "$@"' - "$T/hosts" "$@"; }
  agent_conf dual "$H"
  token dual | beside "$OCM_BIN/ocm-agent" --config "$T/agent-dual.conf" join --controller "dual:$JOIN_PORT" --name dual >"$T/out" 2>&1 || { cat "$T/out"; die "join"; }
  has 'host = dual' "$T/agent-dual/identity.conf"
  beside "$OCM_BIN/ocm-agent" --config "$T/agent-dual.conf" run 2>>"$T/agent-dual.log" </dev/null & pids+=("$!")
  wait_for 20 connected dual || die "not connected"
fi
