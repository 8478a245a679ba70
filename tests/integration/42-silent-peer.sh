# Goal: a peer that goes silent without closing its connection is noticed by both ends, which come together again; a job
# that runs goes on then, and other nodes see nothing of it.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
stop_pid "$controller"
printf '[nodes]\nkeepalive = 1s\n' >>"$T/controller.conf"
start_controller
node one "$T/a/.openclaw" "$T/a" --empty
B=$T/b/.openclaw
"$top/deploy/sample-node" "$B" "$T/b" "$(free_ports 1)" --files 20
agent_conf two "$T/b" "state_dir = $B"
join_agent two

step "a wire between node two and the controller, which can be frozen"
relay=$(free_ports 1)
cat >"$T/relay.py" <<'P'
import os, select, socket, sys, threading, time
port, to, freeze = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
def carry(a, b):
    try:
        while True:
            select.select([a], [], [])
            while os.path.exists(freeze): time.sleep(0.05) # nothing is read, nothing is closed
            data = a.recv(65536)
            if not data: break
            b.sendall(data)
    except OSError: pass
    for s in a, b:
        try: s.shutdown(socket.SHUT_RDWR)
        except OSError: pass
s = socket.create_server(('127.0.0.1', port))
while True:
    a, _ = s.accept()
    while os.path.exists(freeze): time.sleep(0.05)
    b = socket.create_connection(('127.0.0.1', to))
    for x, y in (a, b), (b, a): threading.Thread(target=carry, args=(x, y), daemon=True).start()
P
python3 "$T/relay.py" "$relay" "$AGENT_PORT" "$T/freeze" </dev/null >/dev/null 2>"$T/relay.log" & pids+=($!)
sed -i "s/^port = .*/port = $relay/" "$T/agent-two/identity.conf"
start_agent two
expect 0 ctl backup two

noticed() { # both ends, since LINES of each log
  tail -n "+$(($1 + 1))" "$T/controller.log" | grep -q 'node=two disconnected: the peer does not answer any more' &&
    tail -n "+$(($2 + 1))" "$T/agent-two.log" | grep -q 'the peer does not answer any more'
}
silence() { # freeze until both have noticed
  local c a
  c=$(wc -l <"$T/controller.log"); a=$(wc -l <"$T/agent-two.log")
  touch "$T/freeze"
  expect 0 ctl backup one
  wait_for 60 noticed "$c" "$a" || die "not noticed: $(tail -2 "$T/controller.log" "$T/agent-two.log")"
  connected one || die "node one was cut off"
  rm "$T/freeze"
  wait_for 40 connected two
}

step "silence in the middle of a backup"
mkdir "$B/media/big"
for ((i = 0; i < 40; i++)); do head -c 2097152 /dev/urandom >"$B/media/big/$i.bin"; done
size=$(du -sb "$T/repo/data" | cut -f1)
job=$(ctl --json backup two --detach | jq -r '.jobs[0].job // .jobs[0].id // .jobs[0]')
wait_for 60 eval '(($(du -sb "$T/repo/data" | cut -f1) > size + 8000000))'
[[ $(ctl --json job show "$job" | jq -r .job.state) == running ]] || die "the backup ended too soon"
silence
wait_for 60 eval '[[ $(ctl --json job show "$job" | jq -r .job.state) == "done" ]]'
step "and afterwards"
expect 0 ctl backup two
expect 0 ctl verify latest:two
rst check >"$T/out" 2>&1 || { cat "$T/out"; die "restic check"; }
