#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# One mistake of every kind in a file that is good otherwise: -c ends with 1 and tells what is wrong, with file and line
# (and the nearest word where there is one), first of all.
. "$(dirname "$0")/common"

cat >"$T/good" <<'EOC'
global
    maxconn 100
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend f
    bind 127.0.0.1:18080
    acl a path_beg /x
    http-request deny if a
    default_backend b
backend b
    balance roundrobin
    server s 127.0.0.1:18081
gateway g
    match in eth0 dport 80
    tcp-request content promote f if { path_beg /x }
    timeout hold 5s
app w
    command /bin/sleep 100
    user root
    listen 127.0.0.1:9000-9003
    resources memory 10m cpu 1 pids 3
    ready tcp
    check inter 1s
EOC
said=$("$STANDIN" -c -f "$T/good" 2>&1)
case $? in 0) ok "the good file is good" ;; *) not_ok "the good file: $said" ;; esac

# what is wrong | sed command | what is told
n=0
while IFS='|' read -r what edit told; do
	[ -n "$what" ] || continue
	n=$((n + 1))
	sed "$edit" "$T/good" >"$T/bad.cfg"
	if cmp -s "$T/good" "$T/bad.cfg"; then
		not_ok "$what: the edit changes nothing"
		continue
	fi
	said=$("$STANDIN" -c -f "$T/bad.cfg" 2>&1)
	status=$?
	first=$(printf '%s\n' "$said" | grep ALERT | head -n 1)
	if [ $status -ne 1 ]; then
		not_ok "$what: status $status: $said"
	elif ! printf '%s\n' "$first" | grep -Eq "arsing \[$T/bad.cfg:[0-9]+\] ?: .*$told"; then
		not_ok "$what: not told '$told': $said"
	else
		ok "$what"
	fi
done <<'EOC'
a misspelt keyword|s/    bind/    bidn/|unknown keyword 'bidn' in 'frontend' section; did you mean 'bind'
a misspelt section|s/^app w/apq w/|unknown keyword 'apq' in 'gateway' section; did you mean 'app'
a keyword before any section|1s/^/maxconn 1\n/|unknown keyword 'maxconn' out of section
a keyword of another section|s/^    balance/    bind :81\n&/|'bind' not allowed in 'backend' section
no number|s/maxconn 100/maxconn ten/|'maxconn' expects an integer argument, not 'ten'
one argument too many|s/maxconn 100/& 200/|'maxconn' cannot handle unexpected argument '200'
no argument|s/maxconn 100/maxconn/|'maxconn' expects
a time without sense|s/client 1s/client 1x/|unexpected character 'x' in argument '1x' to 'timeout client'
a mode that is none|s/mode http/mode htp/|unknown proxy mode 'htp'
an option that is none|s/^    bind/    option httplogg\n&/|unknown option 'httplogg'; did you mean 'httplog' maybe .$
a backend that is not there|s/backend b$/backend c/;s/^backend c/backend b/|unable to find required default_backend: 'c'
two of one name|s/^gateway/backend b\n&/|backend 'b' has the same name as backend 'b' declared at .*bad.cfg:13
two servers of one name|s/^gateway/    server s 127.0.0.1:3\n&/|there is one of this name already \(line 15\)
a name with a slash|s/^gateway g/gateway g\/h/|character not permitted in the name 'g/h'
no name|s/^gateway g/gateway/|'gateway' expects a name
an address without port|s/127.0.0.1:18080/127.0.0.1/|'bind' : missing port number
a port that is none|s/127.0.0.1:18080/127.0.0.1:99999/|'bind' : invalid port '99999'
a misspelt parameter of bind|s/18080/& backlgo 3/|unknown keyword 'backlgo'; did you mean 'backlog' maybe .$
a misspelt parameter of server|s/18081/& chekc/|unknown keyword 'chekc'; did you mean 'check' maybe .$
a certificate that is not there|s/18080/& ssl crt \/nonexistent.pem/|unable to load certificate from '/nonexistent.pem': No such file or directory
a certificate that is none|s/18080/& ssl crt \/etc\/hostname/|unable to load certificate from '/etc/hostname' \(no start line\)
an authority that is not there|s/18081/& ssl verify required ca-file \/nonexistent.pem/|unable to load CA file '/nonexistent.pem' \(No such file or directory\)
a fetch that is none|s/acl a path_beg/acl a pth_beg/|error detected while parsing ACL 'a' : unknown fetch method 'pth'; did you mean 'path'
a regular expression that is none|s/path_beg \/x$/path_reg (/|error detected while parsing ACL 'a' : regular expression '\(' is invalid at position 1
an address that is none|s/acl a .*/acl a src 192.0.2.999/|error detected while parsing ACL 'a' : '192.0.2.999' is not an address
a list that is not there|s/deny if a/deny if b/|no such ACL : 'b'
a rule that is none|s/request deny/request denny/|unknown action 'denny'; did you mean 'deny'
a status that is none|s/request deny/& deny_status 9999/|'deny_status' expects a status from 200 to 599, not '9999'
a format that is none|s/^    bind/    log-format %zz\n&/|no such format variable 'zz'
an open quote|s/^    bind/    log-format "x\n&/|unmatched quote at position 16
an open block|s/^app/.if 1\n&/|'.if' without '.endif'
a block that nothing opened|s/^app/.endif\n&/|'.endif' without '.if'
a log target that is none|1s/$/\n    log nohost.invalid local0/|log : invalid address 'nohost.invalid'
a log facility that is none|1s/$/\n    log 127.0.0.1 locall0/|log : unknown log facility 'locall0'
a routing table of the kernel|1s/$/\n    route-table 254/|'route-table' expects .* none of the kernel's own tables
a mark mask that is none|1s/$/\n    mark-mask 0xff/|'mark-mask' must be four adjacent bits
a misspelt word of match|s/dport 80/dprot 80/|'match' : unknown word 'dprot'; did you mean 'dport'
match: families that do not meet|s/dport 80/src 10.0.0.0\/8 dst 2001:db8::\/32/|of different address families
match: a port that is none|s/dport 80/dport 80-/|'80-' is not a port
queue: backwards|s/^    match/    queue 5-1\n&/|'queue' expects <first>\[-<last>\]
two gateways with one queue|s/^app/gateway h\n    match dport 1\n&/|queue 0 is also that of gateway 'g'
a frontend that is not there|s/promote f/promote ff/|'promote' : no frontend 'ff'; did you mean 'f'
an action that is none|s/promote f/promot f/|unknown action 'promot'; did you mean 'promote'
a misspelt timeout|s/timeout hold/timeout hodl/|unknown keyword 'timeout hodl' in 'gateway' section; did you mean 'hold'
a misspelt option of gateways|s/^    match/    option dryrun\n&/|unknown option 'dryrun'; did you mean 'dry-run'
an app's program that is not there|s/bin.sleep/bin\/nosuch/|app 'w': command '/bin/nosuch': No such file or directory
an app without a program|/command/d|app 'w' has no 'command'
an app's user that is not there|s/user root/user nosuchuser/|cannot find user 'nosuchuser'
an app with too few ports|s/9000-9003/9000/|1 port for 1 standby are too few
a size that is none|s/memory 10m/memory 10q/|'resources memory' expects a size such as 512m, not '10q'
a misspelt resource|s/pids 3/pdis 3/|'resources': unknown word 'pdis'; did you mean 'pids'
a readiness that is none|s/ready tcp/ready tpc/|'ready' expects .* not 'tpc'
a misspelt word of check|s/check inter/check intre/|'check': unknown word 'intre'; did you mean 'inter'
an app that a server names|s/127.0.0.1:18081/app@ww/|no application named 'ww'
EOC
[ $n -gt 40 ] || not_ok "only $n mistakes were tried"
printf '    timeout check 1s' >>"$T/good"
said=$("$STANDIN" -c -f "$T/good" 2>&1)
case $said in *"Missing LF on last line"*) ok "the last line not ended" ;; *) not_ok "the last line: $said" ;; esac
exit $failed
