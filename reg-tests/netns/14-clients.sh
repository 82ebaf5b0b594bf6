#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Real clients and their real servers, through connections that are watched, promoted, and promoted and demoted
# again and again while they are used: what comes out at the other end is what went in.
. "$(dirname "$0")/lib.sh"
for program in sshd rsync redis-server psql wget; do
	PATH=$PATH:/usr/sbin which $program >/dev/null || skip "no $program (contrib/deps.sh)"
done
pg=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
hosts_up
big_file 8m
nginx_up

#
# Servers
#

mkdir -p "$T/ssh" "$T/up"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/host"
ssh-keygen -q -t ed25519 -N '' -f "$T/ssh/id"
cp "$T/ssh/id.pub" "$T/ssh/authorized"
cat >"$T/ssh/config" <<-EOC
	HostKey $T/ssh/host
	AuthorizedKeysFile $T/ssh/authorized
	StrictModes no
	UsePAM no
	PermitRootLogin yes
	PidFile none
	Subsystem sftp internal-sftp
EOC
[ -d /run/sshd ] || { mkdir -m 755 /run/sshd && trap 'cleanup; rmdir /run/sshd' EXIT; }
spawn sshd server /usr/sbin/sshd -D -e -f "$T/ssh/config"

cat >"$T/rsyncd.conf" <<-EOC
	use chroot = no
	uid = root
	gid = root
	[down]
	path = $T/www
	[up]
	path = $T/up
	read only = no
EOC
spawn rsync server rsync --daemon --no-detach --config="$T/rsyncd.conf"
spawn redis server redis-server --port 6379 --bind 0.0.0.0 :: --protected-mode no --save '' --appendonly no --dir "$T"

mkdir "$T/pg" && chown postgres: "$T/pg"
setpriv --reuid=postgres --regid=postgres --clear-groups "$pg/initdb" -D "$T/pg" -A trust --no-sync >"$T/initdb.log" 2>&1
echo "host all all all trust" >>"$T/pg/pg_hba.conf"
spawn postgres server setpriv --reuid=postgres --regid=postgres --clear-groups "$pg/postgres" -D "$T/pg" \
	-c listen_addresses='*' -c unix_socket_directories= -c fsync=off

servers_up() {
	on server redis-cli ping && on server psql -h 127.0.0.1 -U postgres -Atc 'select 1' &&
		on server rsync rsync://127.0.0.1/ && on server ssh-keyscan 127.0.0.1
}
runs "the servers are there" wait_for 30 servers_up

#
# Clients
#

ssh_words="-i $T/ssh/id -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -o BatchMode=yes"

# by_client COMMAND...: no client takes that long; if one hangs, what everybody thinks of its connection is in the log
by_client() {
	on client timeout 40 "$@"
	[ $? -ne 124 ] || {
		echo "-- $* hangs"
		ctl show flow json | jq -c '.[]'
		for end in client server gw; do
			echo "-- $end"
			on $end ss -tinoem
		done
	} >&2
}

# clients WAY ADDR URL_ADDR
clients() {
	is "$1, $2: curl" "$(by_client curl -s "http://$3/download" | sha_of)" "$big_sum"
	is "$1, $2: wget" "$(by_client wget -qO- "http://$3/download" | sha_of)" "$big_sum"
	is "$1, $2: curl, upload" "$(by_client curl -s -T "$T/www/big" -o /dev/null -w '%{http_code}' "http://$3/put/$1-$2")" 201
	is "$1, $2: ssh, both ways" "$(by_client ssh $ssh_words "root@$2" cat <"$T/www/big" | sha_of)" "$big_sum"
	rm -f "$T/got"
	by_client scp -q $ssh_words "root@$3:$T/www/big" "$T/got"
	is "$1, $2: scp" "$(sha_of <"$T/got")" "$big_sum"
	rm -f "$T/got" "$T/up"/*
	by_client rsync "rsync://$3/down/big" "$T/got"
	is "$1, $2: rsync" "$(sha_of <"$T/got")" "$big_sum"
	by_client rsync "$T/www/big" "rsync://$3/up/"
	is "$1, $2: rsync, upload" "$(sha_of <"$T/up/big")" "$big_sum"
	by_client redis-cli -h "$2" flushall >/dev/null
	seq 20000 | sed 's/.*/SET key& value&/' | by_client redis-cli -h "$2" --pipe >"$T/redis.said" 2>&1
	has "$1, $2: redis-cli --pipe" "$(cat "$T/redis.said")" 'errors: 0, replies: 20000'
	is "$1, $2: redis-cli, one by one" "$(seq 300 | sed 's/.*/GET key&/' | by_client redis-cli -h "$2" | sort | sha_of)" \
		"$(seq 300 | sed 's/^/value/' | sort | sha_of)"
	seq 30000 | by_client psql -h "$2" -U postgres -qAt -c 'drop table if exists t; create table t (n int)' \
		-c '\copy t from stdin' -c 'select count(*), sum(n) from t' >"$T/psql.said" 2>&1
	is "$1, $2: psql" "$(tail -n 1 "$T/psql.said")" '30000|450015000'
	is "$1, $2: psql, a large answer" "$(by_client psql -h "$2" -U postgres -Atc 'select n from t order by n' | sha_of)" \
		"$(seq 30000 | sha_of)"
}

# config ACTION: what a connection's rules say
config() {
	cat >"$T/gw.cfg" <<-EOC
		$(cfg_base)
		gateway g
		    match dport 22,80,873,5432,6379
		    timeout hold 5s
		    tcp-request connection $1
		frontend fe_bytes
		    mode tcp
		    option splice-auto
		    default_backend be_bytes
		backend be_bytes
		    mode tcp
		    option transparent
	EOC
}

config watch
standin_up
clients watched $S4 $S4
is "none was promoted" "$(gateway .promotions)" 0

config "promote fe_bytes"
reload
clients promoted $S6 "[$S6]"
more "all were promoted" "$(gateway .promotions)" 12
is "none was refused" "$(gateway '.promote_failures | add // 0')" 0

config watch
reload
before=$(gateway .demotions)
spawn flip gw python3 "$top/reg-tests/netns/flip.py" -j 2 -w 2 "$SOCK" fe_bytes
flip=$spawn_pid
wait_for 10 grep -q ready "$T/flip.log"
clients flipped $S4 $S4
clients flipped $S6 "[$S6]"
stop "$flip" TERM 15
more "they were demoted in between" $(($(gateway .demotions) - before)) 5
finish
