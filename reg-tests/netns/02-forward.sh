#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Demo point 2: a download that policy does not care about. The daemon sees its first packets, the
# kernel carries the rest.
. "$(dirname "$0")/lib.sh"
hosts_up
big_file 200m
nginx_up
standin_up -f "$top/conf/demo.cfg"
# the tracker keeps closed connections for two minutes, and the record stays as long
on gw sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_time_wait=1

for addr in $S4 $S6; do
	before=$(gateway .packets)
	talk_to $addr
	said=$(talk /download)
	is "the download over $addr is whole" "$(word sha256 "$said")" "$big_sum"
	less "packets that the daemon saw of it" "$(flow_by true .packets)" 12
	is "the flow is the kernel's" "$(flow_by true .state)" offloaded
	less "packets that the gateway saw meanwhile" "$(($(gateway .packets) - before))" 12
	talk_end
	has "the connection ends well" "$talk_said" 'result=ok'
	wait_for 10 no_flows
	is "its record is gone after the end" "$(ctl show flow json | jq length)" 0
done
is "nothing was promoted" "$(gateway .promotions)" 0
finish
