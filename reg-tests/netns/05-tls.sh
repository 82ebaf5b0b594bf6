#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Demo point 5: two TLS sites on one address, told apart by the name in the ClientHello. One is
# forwarded untouched, the other decrypted, given a header, encrypted again and its server verified.
. "$(dirname "$0")/lib.sh"
hosts_up
sites a.example b.example
nginx_up
standin_up -f "$top/conf/demo.cfg"

# get SITE ADDR: one request; the certificate's subject and the status
get() {
	case $2 in *:*) to="[$2]" ;; *) to=$2 ;; esac
	on client curl -sv --max-time 10 --cacert "$T/tls/ca.pem" --resolve "$1:443:$to" -o "$T/body" \
		-w 'status=%{http_code}\n' "https://$1/plain" 2>&1 | grep -E 'subject:|status=|error'
}

for addr in $S4 $S6; do
	: >"$T/nginx/access.log"
	said=$(get a.example $addr)
	has "$addr a.example: answered" "$said" 'status=200'
	has "$addr a.example: the server's own certificate" "$said" 'O ?= ?server'
	is "$addr a.example: forwarded" "$(gateway .promotions)" "${promoted:-0}"
	said=$(get b.example $addr)
	has "$addr b.example: answered" "$said" 'status=200'
	has "$addr b.example: the gateway's certificate" "$said" 'O ?= ?gateway'
	is "$addr b.example: body" "$(sha_of <"$T/body")" "$(sha_of <"$T/www/plain")"
	promoted=$((${promoted:-0} + 1))
	is "$addr b.example: promoted" "$(gateway .promotions)" "$promoted"
	has "$addr: only b.example got the header" "$(nginx_log | tr '\n' ' ')" 'x="-" host="a.example" .*x="site-b" host="b.example"'
done

# the server's certificate is really verified: another authority's is refused
(cd "$T/tls" && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout x.key \
	-out other.pem -subj "/CN=another authority" -days 30 2>/dev/null)
sed 's,tls/ca.pem,tls/other.pem,' "$top/conf/demo.cfg" >"$T/demo.cfg"
standin_down
standin_up
said=$(get b.example $S4)
has_not "a server of another authority gets no request" "$said" 'status=200'
has "a.example still works" "$(get a.example $S4)" 'status=200'
finish
