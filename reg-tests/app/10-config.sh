#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Bad `app` sections are refused with file and line.
. "$(dirname "$0")/common"

# refuses PATTERN LINE...: a section of these lines (the first is line 2)
refuses() {
	pattern=$1
	shift
	{ echo "app web"; for line in "$@"; do echo "    $line"; done; } >"$T/bad.cfg"
	if said=$("$STANDIN" -c -f "$T/bad.cfg" 2>&1); then
		not_ok "accepted: $*"
	else
		has "refused: $pattern" "$said" "$pattern"
	fi
}
good="command $inst \$PORT"
user='user nobody'
listen='listen 127.0.0.1:21090-21099'
refuses 'bad.cfg:1\] .*no .command.' "$listen" "$user"
refuses 'bad.cfg:2\] .*/no/such/program.: No such file' 'command /no/such/program' "$listen" "$user"
refuses 'bad.cfg:2\] .*/etc/passwd.: is not executable' 'command /etc/passwd' "$listen" "$user"
refuses 'bad.cfg:2\] .*/etc.: is not a file' 'command /etc' "$listen" "$user"
refuses 'bad.cfg:2\] .*absolute path' 'command python3' "$listen" "$user"
refuses 'bad.cfg:1\] .*no .listen.' "$good" "$user"
refuses 'bad.cfg:1\] .*2 ports for 1 standby are too few: it needs 3' "$good" "$user" 'listen 127.0.0.1:21090-21091'
refuses 'bad.cfg:1\] .*4 ports for 3 standbys are too few: it needs 5' "$good" "$user" 'standby 3' 'listen 127.0.0.1:21090-21093'
refuses 'bad.cfg:2\] .*listen' 'listen 127.0.0.1:21099-21090' "$good" "$user"
refuses 'bad.cfg:2\] .*listen' 'listen 127.0.0.1:' "$good" "$user"
refuses "bad.cfg:2\\] .*driver 'oci' is not supported by this version yet" 'driver oci' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*unknown driver 'proces'; did you mean 'process'" 'driver proces' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*mode frozen' is not supported" 'standby 1 mode frozen' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*mode cold' is not supported" 'standby 1 mode cold' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*'ready notify' is not supported" 'ready notify' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*'rootfs' is not supported" 'rootfs /srv' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*'ready' expects" 'ready htpp /x' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*path that begins" 'ready http x' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*status" 'ready http /x status 99' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*resources memory' expects a size" 'resources memory lots' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*less than 1 MiB" 'resources memory 4k' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*resources cpu' expects cores" 'resources cpu 0' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*resources pids' expects a number" 'resources pids -1' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*unknown word 'memroy'; did you mean 'memory'" 'resources memroy 1g' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*cannot find user 'nosuchuser'" 'user nosuchuser' "$good" "$listen"
refuses "bad.cfg:2\\] .*cannot find group 'nosuchgroup'" 'group nosuchgroup' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*directory '/no/such'" 'directory /no/such' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*NAME=value" 'env NAME' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*unknown limit 'nofiles'; did you mean 'nofile'" 'rlimit nofiles 10' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*stop-signal" 'stop-signal NOPE' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*restart backoff" 'restart backoff 10s 1s' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*limit' expects" 'restart limit 0' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*on-promote" 'on-promote shout' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*No such file" 'on-promote exec /no/such' "$good" "$listen" "$user"
refuses "bad.cfg:2\\] .*unknown keyword 'comand'.*did you mean 'command'" 'comand x' "$good" "$listen" "$user"
refuses "bad.cfg:1\\] .*depends on 'db', which is no app" "$good" "$listen" "$user" 'depends db'
refuses "bad.cfg:1\\] .*ready delay' is not below" "$good" "$listen" "$user" 'ready delay 5s' 'timeout start 2s'

{ echo "app web"; printf '    %s\n' "$good" "$listen" "$user" 'depends db'
	echo "app db"; printf '    %s\n' "$good" 'listen 127.0.0.1:21095-21105' "$user" 'depends web'; } >"$T/bad.cfg"
said=$("$STANDIN" -c -f "$T/bad.cfg" 2>&1)
has "two apps that wait for each other" "$said" "app 'web' depends on itself"
has "two apps on the same ports, in the same pass" "$said" "21095-21105 overlap those of app 'web'"

{ echo "app web"; printf '    %s\n' "$good" "$listen"; } >"$T/bad.cfg"
said=$("$STANDIN" -c -f "$T/bad.cfg" 2>&1)
is "good but for warnings: accepted" "$?" 0
has "a warning about root" "$said" "runs as root"
has "a warning that nothing limits it" "$said" "has no 'resources'"
finish
