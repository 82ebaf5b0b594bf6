#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The words that tools parse: each `show ... json` has the keys and values it is promised to have, every
# name in text is in json, and one daemon with gateway and application together shows all of it.
. "$(dirname "$0")/lib.sh"
hosts_up
nginx_up
install -m 755 "$top/contrib/demo-app.py" "$T/demo-app.py"
export DEMO_STATE="$T/state.db"
sed '/stats socket/d' "$top/conf/demo-app.cfg" >"$T/b.cfg"
cp "$top/conf/demo.cfg" "$T/a.cfg"
standin_up
runs "primary and standby get ready" wait_for 60 app_ready

# keys WHAT FILTER KEY...: the object that a jq filter chooses in $json has these keys, whatever more
keys() {
	what=$1 filter=$2
	shift 2
	is "$what has its keys" "$(printf '%s' "$json" | jq -c "($filter) as \$o | [\$ARGS.positional[] |
		select(. as \$k | \$o | has(\$k) | not)]" --args "$@")" "[]"
}
# so WHAT FILTER: it is true of $json
so() {
	is "$1" "$(printf '%s' "$json" | jq -c "$2")" true
}

# ---- a connection that was promoted and demoted, one that is promoted, one offloaded
talk_to $S4
talk /plain >/dev/null
talk /inspect >/dev/null
wait_for 5 flow_is true translated
json=$(ctl show flow json)
keys "a flow" '.[0]' id gateway state src dst frontend promotions demotions delta_c2s delta_s2c packets bytes age_ms
so "one flow is an array of one" 'type == "array" and length == 1'
so "its addresses are addr:port" ".[0] | (.src | test(\"^$C4:[0-9]+\$\")) and .dst == \"$S4:80\""
so "its numbers are numbers" '.[0] | [.id, .promotions, .demotions, .delta_c2s, .delta_s2c, .packets, .bytes, .age_ms] |
	all(type == "number")'
so "it was promoted once, demoted once, and says where" '.[0] | .promotions == 1 and .demotions == 1 and .gateway == "demo"'
so "what L7 added is its delta" '.[0].delta_c2s != 0'
id=$(printf '%s' "$json" | jq '.[0].id')
is "show flow ID json is that flow" "$(ctl show flow "$id" json | jq -c 'map(.id)')" "[$id]"
has "and in text" "$(ctl show flow "$id")" "^$id: .*state=translated .*src=$C4:[0-9]+ dst=$S4:80 "
is "promote flow answers nothing" "$(ctl promote flow "$id" fe_bytes)" ""
so_now() { [ "$(ctl show flow json | jq -r '.[0].frontend')" = "$1" ]; }
runs "the frontend is told" wait_for 5 so_now fe_bytes
is "demote flow answers nothing" "$(ctl demote flow "$id")" ""
is "kill flow answers nothing" "$(ctl kill flow "$id")" ""
exec 9>&-
has "an unknown id is refused" "$(ctl show flow 999999)" '999999'
talk_to $S6
talk /plain >/dev/null
json=$(ctl show flow json)
so "IPv6 addresses stand in brackets" "max_by(.id) | (.src | test(\"^\\\\[$C6\\\\]:[0-9]+\$\")) and .dst == \"[$S6]:80\""
talk_end

# ---- gateways
json=$(ctl show gateway json)
keys "a gateway" '.[0]' gateway packets bytes flows promotions demotions promote_failures insert_us remove_us
keys "its flows by state" '.[0].flows' opening watched held promoted leaving translated offloaded closing
keys "insert_us" '.[0].insert_us' p50 p99 max
keys "remove_us" '.[0].remove_us' p50 p99 max
so "counters are numbers" '.[0] | [.packets, .bytes, .promotions, .demotions, .flows[], .promote_failures[],
	(.insert_us, .remove_us | .p50, .p99, .max)] | all(type == "number")'
so "and were counted" '.[0] | .packets > 10 and .bytes > 1000 and .promotions == 2 and .demotions == 2 and .insert_us.max > 0'
is "show gateway NAME" "$(ctl show gateway demo json | jq -c 'map(.gateway)')" '["demo"]'
has "an unknown one is refused" "$(ctl show gateway nosuch)" "No gateway is called 'nosuch'"

# ---- applications
json=$(ctl show app json)
keys "an app" '.[0]' app state failovers instances
keys "an instance" '.[0].instances[0]' id role state pid addr release memory_limit cpu_limit pids_limit memory_used age_ms
so "roles and states are the words" '.[0].instances | all((.role | IN("primary", "standby")) and
	(.state | IN("starting", "ready", "draining", "stopping", "dead")))'
so "sizes are bytes, cpu is cores" '.[0].instances[] | select(.role == "primary") |
	.memory_limit == 268435456 and .cpu_limit == 1 and .pids_limit == 64 and .memory_used > 1000000'
is "show app NAME" "$(ctl show app search json | jq -c 'map(.app)')" '["search"]'
json=$(ctl show sizing json)
keys "sizing" '.[0]' app release starts spec minimum basis ready_ms
keys "its spec" '.[0].spec' memory cpu pids
keys "its minimum" '.[0].minimum' memory cpu pids
so "the basis is a word" '.[0].basis | IN("default", "measured", "raised")'
is "failover app answers nothing" "$(ctl failover app search)" ""
json=$(ctl show events json)
keys "an event" '.[0]' time app instance event text
so "newest first" '[.[].time] | . == (sort | reverse)'
json=$(ctl show events search json)
so "of one app" 'length > 0 and all(.app == "search")'
for what in app sizing events; do
	has "show $what of an unknown one is refused" "$(ctl show $what nosuch)" 'No such app'
done

# ---- the process and its streams
json=$(ctl show info json)
for name in Name Version Pid Uptime_sec Maxconn CurrConns Epochs Loop_lag_us_p50 Flows; do
	so "show info json has $name" "any(.[]; .field.name == \"$name\")"
done
is "show info names the same in text" "$(ctl show info | sed -n 's/^\([^:]*\): .*/\1/p; s/^\([^:]*\):$/\1/p')" \
	"$(printf '%s' "$json" | jq -r '.[].field.name')"
json=$(ctl show stat json)
so "show stat json is HAProxy's: an array of arrays of fields" \
	'any(.[][]; .objType == "Frontend" and .field.name == "pxname" and .value.value == "fe_search")'
so "with its numbers" 'any(.[][]; .objType == "Backend" and .field.name == "stot")'
json=$(ctl show sess json)
so "show sess json is an array" 'type == "array"'
has "show stat is HAProxy's CSV" "$(ctl show stat)" '^# pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,'

# ---- every command that the contract has
help=$(ctl help)
for c in "show gateway" "show flow" "promote flow" "demote flow" "kill flow" "show app" "failover app" "start app" \
	"stop app" "restart app" "show sizing" "forget sizing" "show events" "show info" "show stat" "show sess" prompt; do
	has "help knows $c" "$help" "^ +$c( |\$)"
done
finish
