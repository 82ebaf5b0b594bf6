#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# A primary and a smaller standby, each in its limits, user, environment and on its own port.
. "$(dirname "$0")/common"
app_cfg 21000-21009 'directory /tmp' 'env COLOUR=green HEAP=$MEMORY_MB' 'umask 027' 'rlimit nofile 500' >"$T/cfg"
daemon_up
runs "primary and standby get ready" wait_for 15 both_up

json=$(ctl show app json)
is "show app json has the contract's keys" \
	"$(echo "$json" | jq -c '.[0] | [has("app", "state", "failovers", "instances")]')" '[true,true,true,true]'
is "and so has each instance" "$(echo "$json" | jq -c '[.[0].instances[] | [has("id", "role", "state", "pid", "addr",
	"release", "memory_limit", "cpu_limit", "pids_limit", "memory_used", "age_ms")] | all] | all')" true
is "show sizing json has its keys" "$(ctl show sizing json | jq -c '.[0] | [has("app", "release", "starts", "spec",
	"minimum", "basis", "ready_ms")] | all')" true

p=$(instance primary .pid) s=$(instance standby .pid)
is "the primary's memory limit, in its cgroup" "$(memory_limit "$p")" $((128 << 20))
is "its cpu limit" "$(cpu_limit "$p")" 1000
is "its limit of tasks" "$(pids_limit "$p")" 32
small=$(memory_limit "$s")
less "the standby's memory limit is smaller" "$small" $((64 << 20))
is "and what show app says" "$(instance standby .memory_limit)" "$small"
less "its cpu limit is smaller" "$(cpu_limit "$s")" 999
less "its limit of tasks is smaller" "$(pids_limit "$s")" 31
is "its size was measured" "$(ctl show sizing json | jq -r '.[0].basis')" measured

env=$(get "$(instance primary .addr)" /env)
has "a variable" "$env" '^COLOUR=green$'
has "an expanded variable" "$env" '^HEAP=128$'
has "the port" "$env" '^PORT=21000$'
has "the address" "$env" '^ADDR=127.0.0.1$'
has "the instance's name" "$env" '^INSTANCE=web-1$'
has "the cores" "$env" '^CPUS=1$'
has "the directory" "$env" '^cwd=/tmp$'
has "words of the command are expanded" "$env" '^argv=127.0.0.1 21000'
has_not "nothing of the daemon's environment" "$env" '^(PWD|TERM|STANDIN|OLDPWD)='
is "the user" "$(stat -c %U "/proc/$p")" nobody
is "no new privileges" "$(awk '/NoNewPrivs/ { print $2 }' "/proc/$p/status")" 1
is "the umask" "$(awk '/Umask/ { print $2 }' "/proc/$p/status")" 0027
is "the limit of descriptors" "$(awk '/open files/ { print $4 }' "/proc/$p/limits")" 500
has "its output is in the log" "$(cat "$T/log")" 'web-1: output: web-1 listens'

pid=$daemon
daemon_down
is "the daemon ends well" "$status" 0
is "the primary ended with it" "$(gone "$p" && echo gone)" gone
is "the standby too" "$(gone "$s" && echo gone)" gone
is "no cgroup is left" "$(trees "$pid")" ""
has_not "nothing unexpected was said" "$(cat "$T/log")" 'ALERT|please report|WARN_ON'
finish
