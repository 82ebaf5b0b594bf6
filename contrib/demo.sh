#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# demo.sh - what standin does, on real traffic, in two minutes (Debian 12, root)
#
#   sh contrib/demo.sh                installs what is missing, builds, shows
#   sh contrib/demo.sh --no-install   without looking for packages
#   sh contrib/demo.sh --forget       as if it had never run before
#
# Three network namespaces are a client, a gateway and a server. Nothing outside of them is
# touched, and everything is gone when this ends, also when it is interrupted - but for one file,
# build/demo-state.db: there standin remembers what the application's starts needed, for the next run.
# The same seven points are tests with assertions in reg-tests/netns/.
cd "$(dirname "$0")/.." || exit 2

install=1
for a in "$@"; do
	case $a in
	--no-install) install= ;;
	--forget) rm -f build/demo-state.db* ;;
	*) sed -n 's/^# \{0,1\}//; 5,9p' contrib/demo.sh >&2; exit 2 ;;
	esac
done
if [ "$(id -u)" -ne 0 ]; then
	echo "The demo makes network namespaces and firewall rules in them: run it as root." >&2
	exit 2
fi
if [ -n "$install" ]; then
	echo "Packages (sh contrib/deps.sh --demo) ..."
	sh contrib/deps.sh --demo || exit 1
fi
if [ -z "${STANDIN-}" ]; then
	echo "Building (make) ..."
	make -s -j"$(getconf _NPROCESSORS_ONLN)" all tools || exit 1
fi

set -- # lib.sh looks at $0 only
. reg-tests/netns/lib.sh
began=$(date +%s)
wrong=0

point() {
	printf '\n%s\n' "$*"
}
say() {
	printf '   %s\n' "$*"
}
# expect WHAT GOT WANTED: says that it is so, or counts
expect() {
	if [ "$2" = "$3" ]; then
		say "yes: $1"
	else
		say "NO: $1 (saw '$2' where '$3' should be)"
		wrong=$((wrong + 1))
	fi
}
bail() {
	say "NO: $*"
	standin_says
	exit 1
}
mib() {
	awk -v b="$1" 'BEGIN { printf "%.1f MiB", b / 1048576 }'
}
# what lib.sh calls when a start fails
not_ok() {
	bail "$*"
}
ok() {
	:
}

hosts_and_daemon() {
	point "1. Three hosts: a client, a gateway, a server"
	hosts_up
	big_file 200m
	sites a.example b.example
	nginx_up
	say "client  $C4, $C6"
	say "server  $S4, $S6, nginx on ports 80 and 443"
	say "gateway in between; it routes, and runs: standin -f conf/demo.cfg"
	cp conf/demo.cfg "$T/demo.cfg"
	standin_up
	say "steering put in by the daemon itself: $(gw_rules | grep -c .) rules in the mangle table of IPv4 and IPv6"
	for addr in $S4 $S6; do
		said=$(on client "$tools/httpka" $addr 80 /plain)
		expect "the client reaches $addr through it" "$(word status "$said")" 200
	done
}

forwarded() {
	point "2. Forwarded: 200 MB that no rule cares about"
	for addr in $S4 $S6; do
		talk_to $addr
		said=$(talk /download)
		say "over $addr: $(word ms "$said") ms; the daemon saw $(flow_by true .packets) packets," \
			"then the kernel carried the rest (show flow: $(flow_by true .state))"
		expect "sha256 equal" "$(word sha256 "$said")" "$big_sum"
		expect "the daemon saw less than 20 packets of it" "$(flow_by true '.packets < 20')" true
		talk_end
	done
}

promoted_and_demoted() {
	point "3. Promoted and demoted: one keep-alive connection, only /inspect is taken through L7"
	: >"$T/nginx/access.log"
	talk_to $S4
	for path in /plain /inspect /plain /inspect /plain; do
		said=$(talk $path)
		wait_for 2 flow_settled
		say "$path: status $(word status "$said"), the server saw X-Standin: $(nginx_log | tail -n 1 | sed 's/.* x="\([^"]*\)".*/\1/');" \
			"flow is $(flow_by true .state), promotions $(flow_by true .promotions), demotions $(flow_by true .demotions)," \
			"sequence deltas $(flow_by true .delta_c2s)/$(flow_by true .delta_s2c)"
		expect "body equal" "$(word sha256 "$said")" "$(sha_of <"$T/www$path")"
	done
	talk_end
	expect "the connection never broke" "$(word result "$talk_said")" ok
	expect "the server saw one connection" "$(nginx_log | cut -d' ' -f1 | sort -u | grep -c .)" 1
	expect "both /inspect had the header, and only they" "$(nginx_log | grep -c '/inspect.*x="inspected"') $(nginx_log | grep -c 'x="inspected"')" "2 2"
}
in_mid_transfer() {
	point "4. In mid-transfer: 200 MB, promoted and demoted by the stats socket while they run"
	for addr in $S4 $S6; do
		capture_on client server
		rm -f "$T/get.log"
		spawn get client "$tools/httpka" $addr 80 /limited
		get=$spawn_pid
		cycle 0.2
		wait "$get"
		capture_off
		said=$(cat "$T/get.log")
		say "over $addr: promoted and demoted $cycles times in $(word ms "$said") ms;" \
			"longest stall $(word gap_ms "$said") ms (the server itself sends in bursts some ms apart)"
		expect "it happened more than twice" "$([ "$cycles" -gt 2 ] && echo yes)" yes
		expect "sha256 equal" "$(word sha256 "$said")" "$big_sum"
		for host in client server; do
			wire=$("$tools/pcapsum" "$T/$host.pcap")
			say "the $host's wire: $wire"
			expect "one handshake, no reset" "$(word syn "$wire") $(word synack "$wire") $(word rst "$wire")" "1 1 0"
		done
	done
}

# site NAME ADDR: fetches /plain, sets $status and $issued_to
site() {
	said=$(on client curl -sv --max-time 10 --cacert "$T/tls/ca.pem" --resolve "$1:443:$2" -o "$T/body" \
		-w 'status=%{http_code}\n' "https://$1/plain" 2>&1)
	status=$(word status "$said")
	issued_to=$(printf '%s\n' "$said" | sed -n 's/.*subject: O *= *\([^;]*\);.*/\1/p')
}

by_name() {
	point "5. By name: two TLS sites on one address, told apart by their ClientHello"
	: >"$T/nginx/access.log"
	for name in a.example b.example; do
		site $name $S4
		say "https://$name/plain: status $status, certificate of: $issued_to," \
			"the server saw X-Standin: $(nginx_log | tail -n 1 | sed 's/.* x="\([^"]*\)".*/\1/')"
	done
	site a.example "[$S6]"
	expect "a.example is forwarded: the server's own certificate" "$issued_to" server
	site b.example "[$S6]"
	expect "b.example is decrypted at the gateway, with a certificate of ours" "$issued_to" gateway
	expect "and gets the header, a.example does not" \
		"$(nginx_log | sed -n 's/.* x="\([^"]*\)".*/\1/p' | tr '\n' ' ')" "- site-b - site-b "
}

# limits PID
limits() {
	echo "memory $(mib "$(cgroup_memory "$1")"), cpu $(cgroup_cpu "$1" | awk '{ printf "%.2f", $1 / $2 }'), pids $(cgroup_pids "$1")"
}

application() {
	point "6. Application: a primary, a standby of measured size, and SIGKILL under load"
	mkdir -p build
	DEMO_STATE=$PWD/build/demo-state.db
	[ -e "$DEMO_STATE" ] && remembered=1 || remembered=
	gateway_pid=$standin_pid
	app_up
	say "a second daemon: standin -f conf/demo-app.cfg"
	if [ -n "$remembered" ]; then
		say "remembered from earlier runs: $(ctl show sizing json | jq -r '.[0] | "\(.starts) starts, minimum \(.minimum.memory / 1048576 * 10 | round / 10) MiB (\(.basis))"')"
	else
		say "first run: nothing is remembered, the primary's start is measured now"
	fi
	wait_for 60 app_ready || bail "primary and standby are not ready: $(ctl show app)"
	primary=$(instance primary .pid) standby=$(instance standby .pid)
	say "primary  $primary: $(limits "$primary")"
	say "standby  $standby: $(limits "$standby")   <- from $(ctl show sizing json | jq -r '.[0].starts') starts"
	before=$(cgroup_memory "$standby")
	expect "the standby is smaller" "$([ "$before" -lt "$(cgroup_memory "$primary")" ] && echo yes)" yes
	say "8 keep-alive connections ask through the frontend for 6 s; after 2 s: kill -KILL $primary"
	said=$(on gw "$tools/load" -n 8 -t 6 -i X-Instance -k "$primary" -K 2000 127.0.0.1 8080 '/search?q=socket')
	say "requests $(word requests "$said"), failed $(word failed "$said"), connections lost $(word closed "$said");" \
		"first answer of the standby after $(word takeover_ms "$said") ms"
	expect "no request failed" "$(word failed "$said")" 0
	say "standby  $standby, now the primary: $(limits "$standby")"
	expect "raised in place" "$([ "$(cgroup_memory "$standby")" -gt "$before" ] && echo yes)" yes
	wait_for 30 app_ready || bail "no new standby: $(ctl show app)"
	say "new standby $(instance standby .pid): $(limits "$(instance standby .pid)")"
	expect "another process" "$([ "$(instance standby .pid)" != "$standby" ] && echo yes)" yes
	stop "$standin_pid" TERM 15
	standin_pid=$gateway_pid
	SOCK=$T/standin.sock
}

reload_rules() {
	point "7. Reload: a rule is changed while a download and a keep-alive connection run"
	: >"$T/nginx/access.log"
	talk_to $S4
	talk /inspect >/dev/null
	rm -f "$T/get.log"
	spawn get client "$tools/httpka" $S6 80 /limited
	get=$spawn_pid
	sleep 0.5
	sed -i 's/X-Standin inspected/X-Standin renewed/' "$T/demo.cfg"
	say "conf: set-header X-Standin inspected -> renewed; kill -USR2 $standin_pid"
	reload
	talk /inspect >/dev/null
	expect "the same connection met the old rule, then the new one" \
		"$(nginx_log | sed -n 's/.*inspect.* x="\([a-z]*\)".*/\1/p' | tr '\n' ' ')" "inspected renewed "
	echo "    nonsense" >>"$T/demo.cfg"
	reload
	say "a bad file: $(grep "nonsense" "$T/standin.log" | tail -n 1)"
	expect "it changed nothing" "$(word status "$(talk /inspect)") $(nginx_log | tail -n 1 | sed 's/.* x="\([^"]*\)".*/\1/')" "200 renewed"
	talk_end
	expect "the keep-alive connection never broke" "$(word result "$talk_said")" ok
	wait "$get"
	expect "the download went on, sha256 equal" "$(word sha256 "$(cat "$T/get.log")")" "$big_sum"
}

hosts_and_daemon
forwarded
promoted_and_demoted
in_mid_transfer
by_name
application
reload_rules
stop "$standin_pid" TERM 15
standin_pid=
say "standin has ended"
expect "it took its rules away" "$(gw_rules)" ""

echo
if [ "$wrong" -eq 0 ]; then
	echo "All as it should be, in $(($(date +%s) - began)) s. Run it again: the standby's size is remembered."
else
	echo "$wrong things were not as they should be."
	standin_says
fi
exit $((wrong > 0))
