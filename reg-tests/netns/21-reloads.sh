#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Reload after reload, with gateways made up at random, under streams and kept connections that are promoted and
# demoted all the while: each byte in its place, each request answered. RELOADS_FOR=60 SEED=7 makes another one.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
ramp_up
seconds=${RELOADS_FOR:-10} seed=${SEED:-1}
cp "$top/conf/demo.cfg" "$T/gw.cfg"
standin_up

calls=
for addr in $S4 $S6 $S4 $S6; do
	n=$((${n:-0} + 1))
	spawn "ramp-$n" client "$tools/ramp" call $addr 7 "${seconds}m@1m" "${seconds}m@1m"
	calls="$calls $n:$spawn_pid"
done
# requests NAME ADDR PAUSE PATH...: on one connection, until the reloads are over
requests() {
	name=$1 addr=$2 pause=$3
	shift 3
	mkfifo "$T/$name.in"
	spawn "$name" client sh -c "exec \"$tools/httpka\" -T 30 -w $pause $addr 80 <\"$T/$name.in\""
	(while [ ! -e "$T/over" ]; do printf '%s\n' "$@"; sleep 0.05; done >"$T/$name.in") &
}
requests kept4 $S4 10 /plain /inspect
kept4=$spawn_pid
requests kept6 $S6 20 /plain /inspect /inspect
kept6=$spawn_pid
sleep 0.3
said=$(python3 "$top/reg-tests/netns/reloads.py" "$top/conf/demo.cfg" "$T/gw.cfg" "$tools/stctl" "$SOCK" "$seconds" "$seed" 2>&1)
touch "$T/over"
is "seed $seed: every reload was good" "$(printf '%s\n' "$said" | grep -v '^good=' | head -n 3)" ""
more "there were many" "$(word good "$said")" 3
for call in $calls; do
	wait "${call##*:}"
	is "stream ${call%:*}" "$(grep -o '._result=[a-z]*' "$T/ramp-${call%:*}.log" | tr '\n' ' ')" "c_result=ok s_result=ok "
done
for kept in kept4:$kept4 kept6:$kept6; do
	wait "${kept#*:}"
	has "${kept%:*}: the connection ends well" "$(tail -n 1 "$T/${kept%:*}.log")" 'result=ok'
	is "${kept%:*}: every request was answered" "$(grep '^n=' "$T/${kept%:*}.log" | grep -vc 'status=200')" 0
	more "${kept%:*}: there were many" "$(grep -c '^n=' "$T/${kept%:*}.log")" 20
done
cp "$top/conf/demo.cfg" "$T/gw.cfg"
has "and a configuration as ever" "$(ctl reload)" 'Success=1'
newly() { on client "$tools/httpka" $S4 80 /inspect | grep -q 'result=ok' && [ "$(ctl show gateway demo json | jq '.[0].promotions > 0')" = true ]; }
runs "works as ever" wait_for 10 newly
finish
