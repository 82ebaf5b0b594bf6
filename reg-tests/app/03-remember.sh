#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What starts took is remembered by the next daemon, and by sqlite3; and can be forgotten.
. "$(dirname "$0")/common"
WORDS=mb=30
app_cfg 21020-21029 >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up
first=$(memory_limit "$(instance standby .pid)")
more "30 MiB are in the standby's size" "$first" $((30 << 20))
daemon_down
is "it stops well" "$status" 0

query() {
	/usr/bin/python3 -c 'import sqlite3, sys
for row in sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True).execute(sys.argv[2]): print(*row)' "$T/state.db" "$1"
}
is "the starts are in the file" "$(query 'select role, result from starts where app = "web" order by id' | tr '\n' ' ')" \
	"primary ok standby ok "
more "with what they took" "$(query 'select min(noncache) from starts')" $((30 << 20))
has "events too" "$(query 'select kind from events' | sort -u | tr '\n' ' ')" 'exit .*ready .*start .*stop'
is "and the size they led to" "$(query 'select basis from sizing where app = "web"')" measured
is "schema version" "$(query 'pragma user_version')" 1

daemon_up
is "the next daemon knows two starts" "$(ctl show sizing json | jq -r '.[0].starts >= 2')" true
has "and what happened before" "$(ctl show events web)" 'the daemon stops'
runs "its instances get ready" wait_for 15 both_up
second=$(memory_limit "$(instance standby .pid)")
less "with more starts seen, its standby is smaller from the beginning" "$second" $((first - 1))
is "newest events come first" "$(ctl show events web json | jq -r '[.[].time_ms] | . == (sort | reverse)')" true

ctl forget sizing web
is "forgotten" "$(ctl show sizing json | jq -r '.[0] | "\(.starts) \(.basis)"')" "0 default"
daemon_down
is "also in the file" "$(query 'select count(*) from starts')" 0
finish
