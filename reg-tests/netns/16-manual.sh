#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The README's first configuration, as it stands there, on real traffic; and then with `steer manual`: the rules
# that --print-steering prints, put in by hand as a script, work the same, and the daemon leaves them alone.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
awk '/^    / { if (!in_block) { in_block = 1; show = $1 == "global" }; if (show) print substr($0, 5); next }
	/^$/ { if (in_block && show) print ""; next }
	{ in_block = 0; show = 0 }' "$top/README.md" | sed "s,/run/standin.sock,$SOCK," >"$T/gw.cfg"
sed -i 's/x="$http_x_standin"/x="$http_x_inspected_by"/' "$T/nginx/conf"
kill -HUP "$spawn_pid"
header_seen() {
	on server "$tools/httpka" -H 'X-Inspected-By: me' 127.0.0.1 80 /x >/dev/null
	nginx_log | tail -n 1 | grep -q 'x="me"'
}
runs "nginx logs the README's header" wait_for 5 header_seen

inspects() {
	for addr in $S4 $S6; do
		: >"$T/nginx/access.log"
		talk_to $addr
		for path in /plain /inspect/a /plain /inspect/b /plain; do
			talk $path >/dev/null
		done
		wait_for 5 flow_settled
		has "$1, $addr: taken in and out twice" "$(flow_by true '"\(.promotions) \(.demotions) \(.state)"')" '^2 2 translated$'
		talk_end
		has "$1, $addr: the connection ends well" "$talk_said" 'responses=5 result=ok'
		is "$1, $addr: the server saw the header" "$(nginx_log | sed 's/.* x="\([^"]*\)".*/\1/' | tr '\n' ' ')" \
			"- standin - standin - "
	done
}
standin_up
inspects "steer auto"
standin_down

sed -i 's/steer auto/steer manual/' "$T/gw.cfg"
"$STANDIN" -f "$T/gw.cfg" --print-steering >"$T/steering.sh"
runs "what --print-steering prints is a script" on gw sh -eu "$T/steering.sh"
rules=$(gw_rules) routes=$(on gw ip rule; on gw ip -6 rule; on gw ip route show table 1000)
runs "which may be run again" on gw sh -eu "$T/steering.sh"
is "and changes nothing then" "$(gw_rules)$(on gw ip rule; on gw ip -6 rule; on gw ip route show table 1000)" "$rules$routes"
more "it puts rules in" "$(printf '%s\n' "$rules" | grep -c .)" 20
has "while no daemon listens, traffic passes" "$(on client "$tools/httpka" $S4 80 /plain)" 'result=ok'
standin_up
inspects "steer manual"
echo "# a comment, for a reload" >>"$T/gw.cfg"
has "a reload" "$(ctl reload)" 'Success=1'
stop "$standin_pid" TERM 15
is "the daemon ends" $? 0
standin_pid=
is "it leaves the rules alone" "$(gw_rules)" "$rules"
is "and the routes" "$(on gw ip rule; on gw ip -6 rule; on gw ip route show table 1000)" "$routes"
has "without it, traffic passes" "$(on client "$tools/httpka" $S6 80 /inspect/c)" 'result=ok'
finish
