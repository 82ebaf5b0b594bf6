#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A standby that does not start in its minimum gets a larger one, and that is remembered.
. "$(dirname "$0")/common"
WORDS="mb=10 later-mb=40"
app_cfg 21070-21079 'restart backoff 20ms 200ms limit 20 per 1m' >"$T/cfg"
daemon_up
runs "the standby gets ready in the end" wait_for 60 both_up
has "its size was raised, or is measured larger still" "$(ctl show sizing json | jq -r '.[0].basis')" 'raised|measured'
has "the reason is shown" "$(ctl show sizing)" 'bad starts? of standbys'
limits=$(ctl show events web json | jq -r '[.[] | select(.event == "start" and (.text | startswith("standby"))) | .text] | reverse | .[]' |
	sed 's/.*memory \([0-9]*\)\..*/\1/')
echo "limits tried, MiB:" $limits
is "each try was larger" "$(echo "$limits" | sort -n -u | tr '\n' ' ')" "$(echo "$limits" | tr '\n' ' ')"
more "more than one was needed" "$(echo "$limits" | wc -l)" 2
has "failures are in the events" "$(ctl show events web)" 'exit: standby ended .*(signal 9|out of memory)'
less "and it is smaller than the primary" "$(memory_limit "$(instance standby .pid)")" $((127 << 20))
daemon_down
rm -f "$T/log"
daemon_up
runs "the next daemon's standby starts at once" wait_for 20 both_up
has_not "without another failure" "$(cat "$T/log")" 'failed:'
daemon_down
is "it stops well" "$status" 0
finish
