#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# promotion-reserve: what standbys lack to their full size must be there, or it is said, or none is started.
. "$(dirname "$0")/common"
huge=$(awk '/MemTotal/ { print int($2 / 1024) + 1024 }' /proc/meminfo)
app_cfg 21130-21139 >"$T/cfg"
sed -i "s/memory 128m/memory ${huge}m/" "$T/cfg"
daemon_up
runs "warn, the default: primary and standby get ready" wait_for 20 both_up
has "but it is said" "$(ctl show events web)" 'reserve: 1 failovers at once would need .* MiB more'
has "the reserve is shown" "$(ctl show info)" '^PromotionReserve_bytes: [1-9]'
daemon_down

rm -f "$T/state.db"
sed -i "s/^global/&\n    promotion-reserve 1 refuse/" "$T/cfg"
daemon_up
runs "refuse: the primary gets ready" wait_for 20 primary_up
runs "no standby is started" wait_for 5 event 'no standby is started'
sleep 0.5
is "so there is none" "$(app '[.instances[] | select(.role == "standby")] | length')" 0
daemon_down

rm -f "$T/state.db"
sed -i "s/memory ${huge}m/memory 64m/" "$T/cfg"
daemon_up
runs "with enough memory there is" wait_for 20 both_up
daemon_down
is "it stops well" "$status" 0
finish
