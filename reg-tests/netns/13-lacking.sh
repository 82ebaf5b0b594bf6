#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A host that does not give what a gateway needs - privilege, parts of the kernel, a free queue or port -
# is told about in words that help; standin ends with status 1 and leaves nothing behind.
. "$(dirname "$0")/lib.sh"
hosts_up
cp "$top/conf/demo.cfg" "$T/gw.cfg"
sites b.example
DEMO_DIR=$T
export DEMO_DIR
cp "$STANDIN" "$tools/lacks" "$T/" # where other users may read them
standin=$T/$(basename "$STANDIN")
liberal=/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal
chmod 777 "$T"

# refuses WHAT PATTERN COMMAND...: the start fails so, and nothing is left
refuses() {
	what=$1 pattern=$2
	shift 2
	said=$(cd / && on gw timeout 60 "$@" 2>&1)
	is "$what: status" "$?" 1
	has "$what: it is told" "$said" "ALERT.*($pattern)"
	is "$what: no firewall rule" "$(gw_rules)" "$rules"
	is "$what: no routing rule" "$(on gw ip rule; on gw ip -6 rule)" "$(on server ip rule; on server ip -6 rule)"
	is "$what: sysctls as they were" "$(on gw cat $liberal)" "$was"
	is "$what: no stats socket, nothing else" "$(ls "$T"/*.sock 2>/dev/null)" ""
}
rules=
was=$(on gw cat $liberal)

refuses "an ordinary user" "CAP_NET_RAW|CAP_NET_ADMIN" \
	setpriv --reuid nobody --regid nogroup --clear-groups "$standin" -f "$T/gw.cfg"
# not everywhere there are any: not in a chroot, for one
! unshare -U true 2>/dev/null ||
	refuses "root in a user namespace" "CAP_NET_RAW|CAP_NET_ADMIN" unshare -U "$standin" -f "$T/gw.cfg"
refuses "root without CAP_NET_ADMIN" "queue 0: .*CAP_NET_ADMIN" \
	setpriv --bounding-set=-net_admin "$standin" -f "$T/gw.cfg"
refuses "root without CAP_NET_RAW" "raw sockets: .*CAP_NET_RAW" \
	setpriv --bounding-set=-net_raw "$standin" -f "$T/gw.cfg"
refuses "a kernel without packet queues" "netfilter socket: .*CONFIG_NETFILTER_NETLINK_QUEUE" \
	"$T/lacks" netfilter "$standin" -f "$T/gw.cfg"
ip -n "$ID-gw" link set lo down
refuses "lo is down" "lo is down" "$standin" -f "$T/gw.cfg"
ip -n "$ID-gw" link set lo up
on gw sysctl -qw net.ipv4.conf.all.src_valid_mark=1
refuses "src_valid_mark" "src_valid_mark" "$standin" -f "$T/gw.cfg"
on gw sysctl -qw net.ipv4.conf.all.src_valid_mark=0

# a port that somebody has: found when the gateways are prepared already
{
	cat "$top/conf/demo.cfg"
	printf 'frontend taken\n    mode tcp\n    bind :8080\n    default_backend be_bytes\n'
} >"$T/gw.cfg"
spawn taken gw python3 -c "import socket, time
s = socket.create_server(('', 8080)); print('ready', flush=True); time.sleep(60)"
wait_for 10 grep -q ready "$T/taken.log"
refuses "a port in use" "8080" "$standin" -f "$T/gw.cfg"
stop "$spawn_pid"
cp "$top/conf/demo.cfg" "$T/gw.cfg"

# a kernel that lacks less is no hindrance
for thing in ipv6 pidfd; do
	spawn standin gw "$T/lacks" $thing "$standin" -f "$T/gw.cfg"
	standin_pid=$spawn_pid
	wait_for 20 standin_settled
	runs "it starts without $thing" standin_answers
	standin_down
done

# a queue that another process has, which goes on undisturbed
spawn other gw "$standin" -f "$T/gw.cfg"
other=$spawn_pid
standin_pid=$other
wait_for 20 standin_settled
sed "s,standin.sock,second.sock," "$top/conf/demo.cfg" >"$T/second.cfg"
rules=$(gw_rules) was=1
said=$(on gw timeout 60 "$standin" -f "$T/second.cfg" 2>&1)
is "a queue in use: status" "$?" 1
has "a queue in use: it is told" "$said" "ALERT.*queue 0: .*another process"
is "a queue in use: the rules of whose it is stay" "$(gw_rules)" "$rules"
runs "a queue in use: whose it is works on" standin_answers
is "a queue in use: no stats socket of the second" "$(ls "$T/second.sock" 2>/dev/null)" ""

# a successor for a gateway (-sf, -st): the running process takes its configuration, and the connections go on
nginx_up
talk_to $S4
talk /inspect >/dev/null
rules_have() {
	gw_rules | grep -q -- "$1"
}
for how in sf st; do
	for queue in 0 1; do
		sed "s/^gateway demo/&\\n    queue $queue/" "$T/second.cfg" >"$T/third.cfg"
		said=$(on gw timeout 60 "$standin" -f "$T/third.cfg" -$how "$other" 2>&1)
		is "-$how, queue $queue: status" "$?" 0
		has "-$how, queue $queue: it is told who runs" "$said" "process $other runs with this configuration"
		runs "-$how, queue $queue: the rules follow" wait_for 10 rules_have "queue-num $queue"
		has "-$how, queue $queue: a request meanwhile" "$(talk /inspect)" 'status=200'
	done
done
talk_end
has "its connection went on, to its end" "$talk_said" 'responses=5 result=ok'
finish
