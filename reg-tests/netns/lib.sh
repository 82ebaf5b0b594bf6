# SPDX-License-Identifier: GPL-3.0-or-later
#
# lib.sh - three hosts, a web server, a gateway with standin, and ways to ask what happened
#
# Sourced by the tests beside it and by contrib/demo.sh. The hosts are network namespaces joined by
# veth pairs, with the offloads that veth has by default:
#
#	client  192.0.2.2     ---  gw  192.0.2.1    198.51.100.1     ---  server  198.51.100.2
#	        2001:db8:1::2          2001:db8:1::1  2001:db8:2::1               2001:db8:2::2
#
# Everything made here carries $ID in its name and ends with the script, however that ends:
# processes are started by spawn(), namespaces by hosts_up(), files live in $T.
#
# A test is written as
#
#	. "$(dirname "$0")/lib.sh"
#	hosts_up; nginx_up; standin_up "$top/conf/demo.cfg"
#	is "what should be so" "$(what it is)" "what it should be"
#	finish

set -u
LC_ALL=C
export LC_ALL
top=$(cd "$(dirname "$0")/../.." && pwd)
[ -e "$top/reg-tests/netns/lib.sh" ] || top=$(cd "$(dirname "$0")/.." && pwd)
BUILD=${BUILD:-$top/build/gcc}
STANDIN=${STANDIN:-$top/standin}
tools=$BUILD/tools
: "${STANDIN_TEST_ID:=standin-$$}"
export STANDIN_TEST_ID
ID=$STANDIN_TEST_ID
T=$(mktemp -d "${TMPDIR:-/tmp}/$ID.XXXX")
chmod 755 "$T"
SOCK=$T/standin.sock

C4=192.0.2.2 C6=2001:db8:1::2
S4=198.51.100.2 S6=2001:db8:2::2
G4=192.0.2.1 G6=2001:db8:1::1

#
# Findings
#

failed=0
ok() {
	echo "ok - $*"
}
not_ok() {
	failed=$((failed + 1))
	echo "not ok - $*"
}

# is WHAT GOT WANTED
is() {
	if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1: got '$2', wanted '$3'"; fi
}
# less WHAT GOT LIMIT, more WHAT GOT LIMIT: whole numbers, limits included
less() {
	if [ "${2:-x}" -le "$3" ] 2>/dev/null; then ok "$1 ($2 <= $3)"; else not_ok "$1: got '$2', wanted at most $3"; fi
}
more() {
	if [ "${2:-x}" -ge "$3" ] 2>/dev/null; then ok "$1 ($2 >= $3)"; else not_ok "$1: got '$2', wanted at least $3"; fi
}
# brief WHAT MS LIMIT: a time of at most LIMIT ms on a machine that has nothing else to do, more on a loaded one
# and with sanitizers
brief() {
	brief_limit=$(awk -v ms="$3" -v n="$(getconf _NPROCESSORS_ONLN)" -v san="${SAN-}" \
		'{ print int(ms * (1 + ($1 > n ? $1 / n : 0)) * (san ? 4 : 1)) }' /proc/loadavg)
	less "$1" "$2" "$brief_limit"
}
# has WHAT TEXT PATTERN, has_not: a grep -E pattern
has() {
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then ok "$1"; else not_ok "$1: no '$3' in: $2"; fi
}
has_not() {
	if printf '%s\n' "$2" | grep -Eq -- "$3"; then not_ok "$1: found '$3' in: $2"; else ok "$1"; fi
}
# runs WHAT COMMAND...: it ends with status 0
runs() {
	what=$1
	shift
	if said=$("$@" 2>&1); then ok "$what"; else not_ok "$what: $* ended with $?: $said"; fi
}
# skip WHY: the whole script
skip() {
	echo "skipped: $*"
	exit 77
}
finish() {
	standin_down
	[ "$failed" -eq 0 ] || standin_says
	exit $((failed > 0))
}
standin_says() {
	for l in "$T"/standin.log "$T"/app.log; do
		[ ! -s "$l" ] || { echo "-- $(basename "$l")"; tail -n 40 "$l"; }
	done
}

# wait_for SECONDS COMMAND...: until it succeeds, 20 times a second
wait_for() {
	tries=$(($1 * 20))
	shift
	while [ "$tries" -gt 0 ]; do
		"$@" >/dev/null 2>&1 && return 0
		tries=$((tries - 1))
		sleep 0.05
	done
	return 1
}

# word NAME TEXT: the first value of name=value in what one of the tools said
word() {
	printf '%s\n' "$2" | tr ' ' '\n' | sed -n "s/^$1=//p" | head -n 1
}

sha_of() {
	openssl dgst -sha256 -r | cut -d' ' -f1
}

#
# Processes and hosts
#

spawned=

# spawn NAME HOST COMMAND...: in the background, its words to $T/NAME.log, its pid in $spawn_pid
spawn() {
	spawn_name=$1 spawn_host=$2
	shift 2
	(exec nsenter --net="/run/netns/$ID-$spawn_host" "$@" </dev/null >>"$T/$spawn_name.log" 2>&1 9>&-) &
	spawn_pid=$!
	spawned="$spawned $spawn_pid"
}

# on HOST COMMAND...
on() {
	on_host=$1
	shift
	nsenter --net="/run/netns/$ID-$on_host" "$@"
}

# ended PID: this script's child ended. Whatever has that number now is somebody else's, and not to be signalled.
ended() {
	read -r stat 2>/dev/null <"/proc/$1/stat" || return 0
	set -- ${stat##*) }
	[ "$1" = Z ] || [ "$2" != $$ ]
}

# gone PID: no such process, whoever started it
gone() {
	[ ! -d "/proc/$1" ]
}

# stop PID [SIGNAL [SECONDS]]: returns its exit status; killed when it takes longer
stop() {
	ended "$1" || kill "-${2:-TERM}" "$1"
	wait_for "${3:-10}" ended "$1" || {
		kill -KILL "$1" 2>/dev/null
		echo "process $1 had to be killed" >&2
	}
	wait "$1" 2>/dev/null
}

# everything that runs, and the hosts; hosts_up may follow
hosts_down() {
	for pid in $spawned; do
		ended "$pid" || kill -TERM "$pid"
	done
	for pid in $spawned; do
		wait_for 10 ended "$pid" || kill -KILL "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	spawned=
	for ns in "/run/netns/$ID"-*; do
		[ -e "$ns" ] || continue
		rm -f "/run/standin/steer-$(stat -Lc %i "$ns")" # of a daemon that was killed
		ip netns del "${ns##*/}"
	done
}

cleanup() {
	trap '' INT TERM HUP
	trap - EXIT
	hosts_down
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# pair HOST DEV ADDR4 ADDR6 PEER DEV ADDR4 ADDR6 [WIRE]
pair() {
	if [ -n "${9-}" ]; then
		rm -f "$T/wire-$2.log"
		(exec "$tools/wire" $9 "$ID-$1" "$2" "$ID-$5" "$6" >"$T/wire-$2.log" 2>&1) &
		spawned="$spawned $!"
		wait_for 5 grep -q ready "$T/wire-$2.log" || skip "no tap devices: $(cat "$T/wire-$2.log")"
	else
		ip link add "$2" netns "$ID-$1" type veth peer name "$6" netns "$ID-$5" || skip "no veth"
	fi
	pair_end "$1" "$2" "$3" "$4" && pair_end "$5" "$6" "$7" "$8"
}
pair_end() {
	ip -n "$ID-$1" addr add "$3/24" dev "$2" &&
		ip -n "$ID-$1" addr add "$4/64" dev "$2" nodad &&
		ip -n "$ID-$1" link set "$2" up
}

# hosts_up [WIRE]: with the options of the tool `wire`, the client is at the end of such a one
hosts_up() {
	[ "$(id -u)" -eq 0 ] || skip "not root"
	for host in client gw server; do
		ip netns add "$ID-$host" || skip "no network namespaces"
		ip -n "$ID-$host" link set lo up
	done
	pair client eth0 $C4 $C6 gw lan0 $G4 $G6 "${1-}"
	pair server eth0 $S4 $S6 gw wan0 198.51.100.1 2001:db8:2::1
	ip -n "$ID-client" route add default via $G4
	ip -n "$ID-client" route add default via $G6
	ip -n "$ID-server" route add default via 198.51.100.1
	ip -n "$ID-server" route add default via 2001:db8:2::1
	on gw sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
	wait_for 5 hosts_ready
}
hosts_ready() {
	! ip -n "$ID-client" -6 addr show tentative | grep -q inet6 &&
		! ip -n "$ID-gw" -6 addr show tentative | grep -q inet6
}

#
# The server host
#

# big_file SIZE: $T/www/big, of bytes that look random; its sum in $big_sum
big_file() {
	mkdir -p "$T/www"
	head -c "$1" /dev/zero | openssl enc -aes-128-ctr -K 5 -iv 5 2>/dev/null >"$T/www/big"
	big_sum=$(sha_of <"$T/www/big")
}

# sites NAME...: a CA in $T/tls/ca.pem, and for each name a certificate and its key in $T/tls/NAME.pem;
# $T/tls/gw-NAME.pem is another one for that name, which the gateway shows when it looks inside
sites() {
	mkdir -p "$T/tls"
	(
		cd "$T/tls" || exit 1
		key="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout"
		openssl req -x509 $key ca.key -out ca.pem -subj "/CN=test authority" -days 30 2>/dev/null
		for site in "$@"; do
			for who in "" gw-; do
				printf 'subjectAltName=DNS:%s\n' "$site" >ext
				openssl req $key key -out req -subj "/O=$(echo "${who:-server}" | sed 's/^gw-/gateway/')/CN=$site" 2>/dev/null &&
					openssl x509 -req -in req -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 \
						-extfile ext -out crt 2>/dev/null &&
					cat crt key >"$who$site.pem"
			done
		done
		rm -f key req crt ext
	)
}

# nginx_up: on ports 80 and, when sites() was called, 443 of the server. Its log has one line for a
# request: connection serial number, request on it, request line, X-Standin header, host name
nginx_up() {
	mkdir -p "$T/www" "$T/nginx"
	echo "plain text, forwarded" >"$T/www/plain"
	echo "text that policy wants inspected" >"$T/www/inspect"
	{
		cat <<-EOC
			user root;
			worker_processes 1;
			pid $T/nginx/pid;
			error_log $T/nginx/error.log;
			events { worker_connections 1024; }
			http {
				log_format seen '\$connection \$connection_requests "\$request" x="\$http_x_standin" host="\$host"';
				access_log $T/nginx/access.log seen;
				client_body_temp_path $T/nginx/body;
				proxy_temp_path $T/nginx/proxy;
				fastcgi_temp_path $T/nginx/fastcgi;
				uwsgi_temp_path $T/nginx/uwsgi;
				scgi_temp_path $T/nginx/scgi;
				client_max_body_size 0;
				sendfile on;
				keepalive_timeout 60;
				keepalive_requests 100000;
				sendfile_max_chunk 128k;
				default_type application/octet-stream;
				server {
					listen 80 default_server;
					listen [::]:80 default_server;
					root $T/www;
					location / { try_files \$uri /plain; }
					location /put/ { dav_methods PUT; create_full_put_path on; }
					location /download { alias $T/www/big; }
					location = /limited { limit_rate 40m; alias $T/www/big; }
				}
		EOC
		for pem in "$T"/tls/[!g]*.example.pem; do
			[ -e "$pem" ] || continue
			site=$(basename "$pem" .pem)
			cat <<-EOC
				server {
					listen 443 ssl;
					listen [::]:443 ssl;
					server_name $site;
					ssl_certificate $pem;
					ssl_certificate_key $pem;
					root $T/www;
					location / { try_files \$uri /plain; }
				}
			EOC
		done
		echo "}"
	} >"$T/nginx/conf"
	spawn nginx server nginx -e "$T/nginx/error.log" -c "$T/nginx/conf" -g 'daemon off;'
	wait_for 10 on server "$tools/httpka" 127.0.0.1 80 /plain || {
		not_ok "nginx answers: $(cat "$T/nginx.log" "$T/nginx/error.log")"
		exit 1
	}
	: >"$T/nginx/access.log"
}
nginx_log() {
	cat "$T/nginx/access.log"
}

# ramp_up: ramp's server on port 7 of the server, and one that speaks first on port 25
ramp_up() {
	spawn ramp7 server "$tools/ramp" serve 7
	ramp7=$spawn_pid
	spawn ramp25 server "$tools/ramp" serve -b "220 ramp" 25
	wait_for 5 on server "$tools/ramp" call 127.0.0.1 7 1 1 &&
		wait_for 5 on server "$tools/ramp" call -b 127.0.0.1 25 1 1
}

#
# One connection of the client (or of $talk_host), kept open: talk_to ADDR [PORT], talk REQUEST, ..., talk_end
#

talk_host=client

talk_to() {
	rm -f "$T/talk.in"
	: >"$T/talk.out"
	mkfifo "$T/talk.in"
	(exec nsenter --net="/run/netns/$ID-$talk_host" "$tools/httpka" -T 20 "$1" "${2:-80}" \
		<"$T/talk.in" >"$T/talk.out" 2>&1) &
	talk_pid=$!
	spawned="$spawned $talk_pid"
	exec 9>"$T/talk.in"
}
# what httpka says of the response
talk() {
	talk_n=$(($(grep -c . "$T/talk.out") + 1))
	echo "$1" >&9
	wait_for 25 talk_answered
	sed -n "${talk_n}p" "$T/talk.out"
}
talk_answered() {
	grep -Eq "^(n=$talk_n |responses)" "$T/talk.out"
}
# closes it; what httpka says of it all, in $talk_said. Not from within $( ): the descriptor is this shell's
talk_end() {
	exec 9>&-
	wait "$talk_pid"
	talk_said=$(tail -n 1 "$T/talk.out")
}

#
# The gateway host
#

standin_pid=

# Parts of configurations, for $( ) in a test's own: what every one begins with; frontend fe_bytes, which carries a
# promoted connection's bytes as they are; backend origin, where promoted HTTP goes on to
cfg_base() {
	cat <<-EOC
		global
		    log stdout format raw local0 info
		    stats socket $SOCK level admin
		defaults
		    timeout connect 5s
		    timeout client 1m
		    timeout server 1m
	EOC
}
cfg_bytes() {
	cat <<-EOC
		frontend fe_bytes
		    mode tcp
		    default_backend bytes
		backend bytes
		    mode tcp
		    option transparent
	EOC
}
cfg_origin() {
	cat <<-EOC
		backend origin
		    mode http
		    option transparent
	EOC
}

# standin_up [ARGUMENT...]: standin in the gateway's namespace with these files, and $T/*.cfg when there
# are none. Configurations find the environment's $DEMO_DIR as the place for sockets and certificates.
standin_up() {
	DEMO_DIR=$T
	export DEMO_DIR
	[ -e "$T/tls/ca.pem" ] || sites b.example
	files=
	[ $# -gt 0 ] || for f in "$T"/*.cfg; do files="$files -f $f"; done
	spawn "$(basename "$SOCK" .sock)" gw "$STANDIN" $files "$@"
	standin_pid=$spawn_pid
	wait_for 20 standin_settled
	standin_answers || {
		not_ok "standin starts: $(cat "$T/$(basename "$SOCK" .sock).log")"
		exit 1
	}
}
standin_answers() {
	! ended "$standin_pid" && ctl show info >/dev/null 2>&1
}
standin_settled() {
	ended "$standin_pid" || standin_answers
}

# standin_down: ends it by SIGTERM; a bad exit status, or a rule or sysctl left behind, is a failure
standin_down() {
	[ -n "$standin_pid" ] || return 0
	stop "$standin_pid" TERM 15
	status=$?
	standin_pid=
	case $status in
	0 | 143) ok "standin ends when told to" ;;
	*) not_ok "standin ends when told to: exit status $status" ;;
	esac
	is "no firewall rule is left" "$(gw_rules)" ""
	is "no routing rule is left" "$(on gw ip rule; on gw ip -6 rule)" "$(on server ip rule; on server ip -6 rule)"
}
gw_rules() {
	for save in iptables-save ip6tables-save; do
		on gw $save -t mangle 2>/dev/null | grep '^-A'
	done
}

# ctl COMMAND...: to the stats socket
ctl() {
	"$tools/stctl" "$SOCK" "$@"
}

# flow_by FILTER FIELD: of the newest flow that a jq condition chooses, e.g. flow_by '.dst|endswith(":80")' .state
flow_by() {
	ctl show flow json | jq -r "[.[] | select($1)] | min_by(.age_ms) | $2"
}
# flow_is FILTER STATE: for wait_for
flow_is() {
	[ "$(flow_by "$1" .state)" = "$2" ]
}
no_flows() {
	[ "$(ctl show flow json | jq length)" = 0 ]
}
# cycle [PAUSE]: promotes the only flow into fe_bytes and demotes it, again and again until it is gone; how
# often it went both ways, in $cycles; what a command or a wait said that ended it, in $cycle_end. A connection
# that does not come to rest in time is refused, which is no fault: the next try may find it calmer.
cycle() {
	cycles=0 cycle_end=
	wait_for 5 flow_settled
	cycle_id=$(flow_by true .id)
	while [ -z "$cycle_end" ] && [ "$cycle_id" != null ]; do
		cycle_step flow_promoted promote fe_bytes || continue
		sleep "${1:-0.05}"
		until cycle_step flow_settled demote || [ -n "$cycle_end" ]; do :; done
		[ -n "$cycle_end" ] || cycles=$((cycles + 1))
		sleep "${1:-0.05}"
	done
}
# cycle_ramp AT_LEAST PAUSE ADDR C2S S2C: a ramp to port 7 of ADDR that is promoted and demoted all the while; another one
# if that was done too early for AT_LEAST times, at most five. How often in sum in $cycles, what ramp said in
# $said, its worst status in $ramped.
cycle_ramp() {
	cycled_before=0 ramped=0
	for try in 1 2 3 4 5; do
		rm -f "$T/ramp.log"
		spawn ramp client "$tools/ramp" call "$3" 7 "$4" "$5"
		call=$spawn_pid
		cycle "$2"
		wait "$call" || ramped=$?
		said=$(cat "$T/ramp.log")
		cycles=$((cycles + cycled_before))
		[ "$cycles" -lt "$1" ] && [ $ramped -eq 0 ] || break
		cycled_before=$cycles
	done
}
# cycle_step WHEN VERB [FRONTEND]: 0 when the flow got there; else $cycle_end says why there is no use in trying again
cycle_step() {
	said=$("$tools/stctl" -t 20000 "$SOCK" "$2" flow "$cycle_id" ${3-} 2>&1)
	case $said in
	'') wait_for 5 "$1" && return 0 ;;
	*busy* | *hold-timeout*) sleep 0.1; return 1 ;;
	esac
	cycle_end="${said:-$2, but $(flow_by true .state)}"
	return 1
}
flow_promoted() {
	flow_is true promoted
}
# at L3, and not on its way to anywhere; a demoted one without deltas is watched
flow_settled() {
	case $(flow_by true .state) in watched | translated) ;; *) return 1 ;; esac
}
# reload: by signal, and time for it to be done (a bad file never says so on the stats socket)
reload() {
	kill -USR2 "$standin_pid"
	sleep 0.5
}
# gateway FIELD: e.g. gateway .packets
gateway() {
	ctl show gateway json | jq -r ".[0] | $1"
}

#
# Applications (conf/demo-app.cfg)
#

# app_up [ARGUMENT...]: standin with the demo's application, remembering its starts in $DEMO_STATE. $SOCK is
# its stats socket from then on.
app_up() {
	DEMO_STATE=${DEMO_STATE:-$T/state/standin.db}
	export DEMO_STATE
	mkdir -p "$(dirname "$DEMO_STATE")"
	install -m 755 "$top/contrib/demo-app.py" "$T/demo-app.py"
	SOCK=$T/app.sock
	standin_up "$@" -f "$top/conf/demo-app.cfg"
}
# app FIELD: e.g. app .failovers
app() {
	ctl show app json | jq -r ".[0] | $1"
}
# instance ROLE FIELD: of the ready instance in that role
instance() {
	ctl show app json | jq -r "[.[0].instances[] | select(.role == \"$1\" and .state == \"ready\")] | first | $2"
}
app_ready() {
	[ "$(instance primary .pid)" != null ] && [ "$(instance standby .pid)" != null ]
}
primary_is() {
	[ "$(instance primary .pid)" = "$1" ]
}
# cgroup_of PID CONTROLLER: the directory that limits it, with cgroup v1 or v2
cgroup_of() {
	path=$(sed -n "s/^[0-9]*:[^:]*\b$2\b[^:]*://p" "/proc/$1/cgroup" | head -n 1)
	if [ -n "$path" ] && [ -d "/sys/fs/cgroup/$2$path" ]; then
		echo "/sys/fs/cgroup/$2$path"
	else
		path=$(sed -n 's/^0:://p' "/proc/$1/cgroup")
		for root in /sys/fs/cgroup /sys/fs/cgroup/unified; do
			[ ! -e "$root$path/$2.max" ] || echo "$root$path"
		done
	fi
}
cgroup_file() {
	dir=$(cgroup_of "$1" "$2")
	shift 2
	for f in "$@"; do
		[ ! -e "$dir/$f" ] || { cat "$dir/$f"; return; }
	done
	echo "none"
}
# in bytes; as "quota period" in microseconds; a number
cgroup_memory() {
	cgroup_file "$1" memory memory.max memory.limit_in_bytes
}
cgroup_cpu() {
	dir=$(cgroup_of "$1" cpu)
	if [ -e "$dir/cpu.max" ]; then cat "$dir/cpu.max"; else
		echo "$(cat "$dir/cpu.cfs_quota_us") $(cat "$dir/cpu.cfs_period_us")"
	fi
}
cgroup_pids() {
	cgroup_file "$1" pids pids.max
}

#
# What the wire saw
#

# capture_on HOST...: starts tcpdump there; capture_off ends all of them
captures=
capture_on() {
	for host in "$@"; do
		rm -f "$T/tcpdump-$host.log"
		spawn "tcpdump-$host" "$host" tcpdump -i eth0 -s 120 -B 16384 --immediate-mode -U -w "$T/$host.pcap" tcp
		captures="$captures $spawn_pid"
		wait_for 5 grep -q 'listening on' "$T/tcpdump-$host.log"
	done
}
capture_off() {
	sleep 0.3
	for pid in $captures; do
		stop "$pid" INT
	done
	captures=
}

# cycled WHAT AT_LEAST: how often cycle() went both ways, and if not, what ended it
cycled() {
	if [ "$cycles" -ge "$2" ]; then ok "$1: promoted and demoted $cycles times"; else not_ok "$1: $cycles cycles, $cycle_end"; fi
}

# wire_clean HOST [CONNECTIONS]: every captured connection has one handshake and no reset
wire_clean() {
	sum=$("$tools/pcapsum" "$T/$1.pcap")
	is "the $1 saw ${2:-1} connection" "$(printf '%s\n' "$sum" | grep -c .)" "${2:-1}"
	has_not "one handshake and no reset at the $1" "$sum" 'syn=([^1]|1[0-9]) .*|synack=([^1]|1[0-9]) |rst=[^0] '
}
