# SPDX-License-Identifier: GPL-3.0-or-later
#
# The primary of an application is killed under load: from kill -9 to the first answer of the other one, and what
# failed. Ours is kept in a fraction of the memory, HAProxy's backup is of full size.

app_begin() {
	app_rounds=$([ -n "$quick" ] && echo 1 || echo 5)
	t=app
	row $t standin haproxy takeover_ms ms - "kill -9 to the first answer / HAProxy with a backup"
	row $t standin haproxy gap_ms ms - "  longest time without a good answer"
	row $t standin haproxy failed req - "  failed requests"
	row $t standin haproxy reserve_mib MiB - "  memory set aside: the standby's limit / the backup's"
	ip netns add "$ID-app" && ip -n "$ID-app" link set lo up
	install -m 755 contrib/demo-app.py "$T/demo-app.py"
	DEMO_DIR=$T DEMO_STATE=$T/bench.db SOCK=$T/app.sock
	export DEMO_DIR DEMO_STATE
	app_peer_start a 9201
	app_peer_start b 9202
	spawn haproxy-app app haproxy -db -f "$here/conf/haproxy-app.cfg"
	spawn app app "$STANDIN" -f conf/demo-app.cfg
	standin_pid=$spawn_pid
	wait_for 60 app_ready || { note "app: no standby: $(tail -n 3 "$T/app.log")"; app_rounds=0; }
}
app_peer_start() {
	spawn peer-$1 app python3 "$T/demo-app.py" --address 127.0.0.1 --port $2 --instance $1
	[ $1 != a ] || peer_pid=$spawn_pid
	wait_for 30 on app curl -fso /dev/null "http://127.0.0.1:$2/health"
}
app_peer_up() {
	"$tools/stctl" "$T/haproxy-app.sock" show stat | grep -q '^be_search,a,.*,UP,'
}

app_kill() {
	said=$(on app "$tools/load" -n 8 -t 2 -i X-Instance -k $2 -K 500 127.0.0.1 $3 '/search?q=socket')
	sample app $1 takeover_ms "$(word takeover_ms "$said")"
	sample app $1 gap_ms "$(ratio "$(word gap_us "$said")" 1000)"
	sample app $1 failed "$(word failed "$said")"
	sample app $1 requests "$(word requests "$said")"
}

app_round() {
	wait_for 30 app_ready || { note "app: no new standby after round $((round - 1))"; return; }
	spec=$(cgroup_memory "$(instance primary .pid)")
	sample app standin reserve_mib "$(ratio "$(cgroup_memory "$(instance standby .pid)")" 1048576)"
	sample app haproxy reserve_mib "$(ratio "$spec" 1048576)"
	app_kill standin "$(instance primary .pid)" 8080
	wait_for 10 app_peer_up || note "app: HAProxy's first server is not up"
	app_kill haproxy $peer_pid 8081
	app_peer_start a 9201
}
