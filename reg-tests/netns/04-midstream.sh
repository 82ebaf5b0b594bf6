#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Demo point 4: a 200 MB transfer promoted and demoted by the stats socket while it runs, and
# streams in both directions of which every byte is compared.
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 200m
nginx_up
ramp_up
standin_up -f "$top/conf/demo.cfg"

for addr in $S4 $S6; do
	capture_on client server
	rm -f "$T/get.log"
	spawn get client "$tools/httpka" $addr 80 /limited
	get=$spawn_pid
	cycle 0.2
	wait $get
	capture_off
	is "$addr: the transfer is whole" "$(word sha256 "$(cat "$T/get.log")")" "$big_sum"
	has "$addr: the connection ends well" "$(cat "$T/get.log")" 'responses=1 result=ok'
	cycled "$addr: while it ran" 2
	brief "$addr: longest stall, ms" "$(word gap_ms "$(cat "$T/get.log")")" 400
	wire_clean client
	wire_clean server
done

# both directions at once: as fast as it goes, and at rates that show the smallest stall
for addr in $S4 $S6; do
	for load in "1g 1g" "20m@4m 20m@4m" "0 20m@4m" "20m@4m 0"; do
		rm -f "$T/ramp.log"
		spawn ramp client "$tools/ramp" call $addr 7 $load
		call=$spawn_pid
		cycle
		wait $call
		is "$addr: ramp $load: every byte in its place" $? 0
		said=$(cat "$T/ramp.log")
		cycled "$addr: ramp $load" 1
		brief "$addr: ramp $load: longest stall there, ms" "$(word c2s_gap_ms "$said")" 400
		brief "$addr: ramp $load: longest stall back, ms" "$(word s2c_gap_ms "$said")" 400
	done
done
echo "insert: $(gateway .insert_us) remove: $(gateway .remove_us) failures: $(gateway .promote_failures)"
finish
