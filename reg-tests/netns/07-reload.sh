#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Demo point 7: a reload changes a rule while a download and a keep-alive connection run. Both go
# on, the next request meets the new rule; a bad configuration changes nothing.
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 200m
nginx_up
cp "$top/conf/demo.cfg" "$T/demo.cfg"
standin_up
pid=$standin_pid

for addr in $S4 $S6; do
	: >"$T/nginx/access.log"
	talk_to $addr
	talk /plain >/dev/null
	talk /inspect >/dev/null
	rm -f "$T/get.log"
	spawn get client "$tools/httpka" $addr 80 /limited
	get=$spawn_pid
	wait_for 5 flow_is true watched
	said=$(ctl promote flow "$(flow_by true .id)" fe_bytes)
	is "$addr: the download is promoted" "$said" ""

	sed 's/X-Standin inspected/X-Standin renewed/' "$top/conf/demo.cfg" >"$T/demo.cfg"
	reload
	is "$addr: same process" "$(ctl show info | sed -n 's/^Pid: //p')" "$pid"
	has "$addr: the next request" "$(talk /inspect)" 'status=200'
	has "$addr: and a plain one" "$(talk /plain)" 'status=200'
	is "$addr: met the old rule, then the new one" \
		"$(nginx_log | sed -n 's/.*inspect.* x="\([a-z]*\)".*/\1/p' | tr '\n' ' ')" "inspected renewed "

	echo "    nonsense here" >>"$T/demo.cfg"
	reload
	has "$addr: a bad file changes nothing" "$(talk /inspect)" 'status=200'
	has "$addr: and is told about" "$(tail -n 20 "$T/standin.log")" 'nonsense'
	has "$addr: the rule is still the newest good one" "$(nginx_log | tail -n 1)" 'x="renewed"'
	talk_end
	has "$addr: the kept connection ends well" "$talk_said" 'responses=5 result=ok'
	wait $get
	is "$addr: the download is whole" "$(word sha256 "$(cat "$T/get.log")")" "$big_sum"
	cp "$top/conf/demo.cfg" "$T/demo.cfg"
	reload
done
# SIGHUP: the state of everything, and a reload
kill -HUP "$standin_pid"
said() { grep -q "$1" "$T/standin.log"; }
runs "SIGHUP logs the state of gateways" wait_for 5 said 'Gateway demo has [0-9]* connections, .* promotions'
runs "and of frontends" wait_for 5 said 'Proxy fe_inspect has 0 active connections'
finish
