# Goal: a node's certificate is renewed over the live connection, and the new one is good at the next.
. "$(dirname "$(readlink -f "$0")")/../lib/ocm.sh"

start_controller
node one "$T/a/.openclaw" "$T/a" --empty
before=$(openssl x509 -in "$T/agent-one/node.pem" -noout -serial -enddate)
stop_pid "$controller"
# two thirds of ten years are more than is left of it: due at once, which means after a minute
printf '[nodes]\ncertificate_days = 3650\n' >>"$T/controller.conf"
start_controller
wait_for 20 connected one
wait_for 90 grep -q 'certificate renewed' "$T/agent-one.log" || die "not renewed"
after=$(openssl x509 -in "$T/agent-one/node.pem" -noout -serial -enddate)
[[ $before != "$after" ]] || die "the same certificate"
[[ $(stat -c %a "$T/agent-one/node.pem") == 600 ]] || die "its mode"
connected one || die "the connection did not outlive it"
stop_pid "${agent[one]}"
start_agent one
expect 0 ctl backup one
