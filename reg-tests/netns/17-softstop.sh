#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A soft stop (SIGUSR1) of a gateway: nothing new is promoted, what needs the daemon goes on to its end, and when
# the last of it has ended so does the daemon, and takes its rules away. SIGTERM does not wait.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
ramp_up
cp "$top/conf/demo.cfg" "$T/demo.cfg"
standin_up

talk_to $S4
talk /plain >/dev/null
talk /inspect >/dev/null
wait_for 5 flow_is true translated
calls=
for addr in $S4 $S6; do
	rm -f "$T/ramp-$addr.log"
	spawn "ramp-$addr" client "$tools/ramp" call $addr 7 4m@1m 4m@1m
	calls="$calls $addr:$spawn_pid"
	wait_for 5 flow_is '.dst|endswith(":7")' watched
	is "$addr: a stream is promoted" "$(ctl promote flow "$(flow_by true .id)" fe_bytes)" ""
done
kill -USR1 "$standin_pid"
stopping() { ctl show info | grep -q '^Stopping: 1'; }
runs "the daemon is stopping" wait_for 5 stopping
: >"$T/nginx/access.log"
has "a request on the kept connection passes" "$(talk /inspect)" 'status=200'
for addr in $S4 $S6; do
	has "$addr: a new connection passes" "$(on client "$tools/httpka" $addr 80 /inspect)" 'result=ok'
done
is "but L7 has seen none of them" "$(nginx_log | sed 's/.* x="\([^"]*\)".*/\1/' | tr '\n' ' ')" "- - - "
has "promote flow is refused, with the reason" "$(ctl promote flow "$(flow_by '.dst|endswith(":80")' .id)" fe_bytes)" 'refused: stopping'
for call in $calls; do
	wait "${call##*:}"
	is "the stream to ${call%:*} ends whole" \
		"$(grep -o '._result=[a-z]*' "$T/ramp-${call%:*}.log" | tr '\n' ' ')" "c_result=ok s_result=ok "
done
has "the kept one is translated to its end" "$(talk /plain)" 'status=200'
runs "the daemon lives for it" kill -0 "$standin_pid"
talk_end
has "it ends well" "$talk_said" 'responses=4 result=ok'
runs "then the daemon ends" wait_for 30 ended "$standin_pid"
wait "$standin_pid"
is "well" $? 0
standin_pid=
is "and takes its rules away" "$(gw_rules)" ""

# SIGTERM: what is only forwarded goes on, what had deltas is told at once
standin_up
talk_to $S4
talk /plain >/dev/null
stop "$standin_pid" TERM 15
is "SIGTERM ends it with connections open" $? 0
standin_pid=
has "a watched connection goes on" "$(talk /inspect)" 'status=200'
talk_end
has "to its end" "$talk_said" 'responses=2 result=ok'
standin_up
talk_to $S6
talk /inspect >/dev/null
wait_for 5 flow_is true translated
stop "$standin_pid" TERM 15
standin_pid=
has "a translated one is told, not left to hang" "$(talk /plain)" 'responses=1 result=(reset|closed|.*reset)'
talk_end

# what the kernel translates goes on behind the daemon: some rules stay, or its tracker would stop; the next daemon takes them
big_file 100m
sed 's,path_beg /download,path_beg /limited,' "$top/conf/demo.cfg" >"$T/demo.cfg"
answered() { grep -Eq '^(n=2|responses)' "$T/talk.out"; }
for addr in $S4 $S6; do
	standin_up
	talk_to $addr
	talk /inspect >/dev/null
	wait_for 5 flow_is true translated
	echo /limited >&9
	handed() { [ "$(flow_by true .xlate)" = kernel ]; }
	runs "$addr: a translated download is the kernel's" wait_for 5 handed
	stop "$standin_pid" TERM 15
	is "$addr: the daemon ends" $? 0
	standin_pid=
	has "$addr: and says what it leaves" "$(tail -n 5 "$T/standin.log")" '1 connections go on'
	has "$addr: new connections pass" "$(on client "$tools/httpka" $addr 80 /plain)" 'result=ok'
	runs "$addr: the download ends" wait_for 30 answered
	is "$addr: whole" "$(word sha256 "$(sed -n 2p "$T/talk.out")")" "$big_sum"
	talk_end
	standin_up
	standin_down
done
finish
