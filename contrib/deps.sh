#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# deps.sh - install what building, testing and demonstrating standin needs (Debian 12, root)
#
#   sh contrib/deps.sh            install what is missing; says nothing when nothing is
#   sh contrib/deps.sh --list     print the packages, one a line
#   sh contrib/deps.sh --build    only what building needs
#   sh contrib/deps.sh --demo     what building and the demo need
#
# nginx, varnish (for varnishtest) and the like are wanted as programs, not as services: a temporary
# policy-rc.d keeps dpkg from starting them, and those that this run installed are disabled.
set -eu

build="gcc make pkg-config libc6-dev libev-dev libpcre2-dev libmnl-dev libnetfilter-queue-dev
	libsqlite3-dev libssl-dev zlib1g-dev"
run="iproute2 iptables conntrack kmod procps util-linux ca-certificates"
test="clang libcriterion-dev varnish nginx-light curl tcpdump jq openssl python3 nftables"
clients="openssh-server openssh-client rsync redis-server postgresql wget"
# package:service
services="nginx-light:nginx varnish:varnish varnish:varnishncsa openssh-server:ssh rsync:rsync redis-server:redis-server
	postgresql:postgresql"

want="$build $run $test $clients"
case ${1-} in
--list) printf '%s\n' $want; exit 0 ;;
--build) want="$build $run" ;;
--demo) want="$build $run $test" ;;
'') ;;
*) sed -n 's/^# \{0,1\}//; 5,8p' "$0" >&2; exit 2 ;;
esac

# one dpkg-query for all: this script must be free when there is nothing to do
have=" $(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $want 2>/dev/null |
	sed -n 's/^installed //p' | tr '\n' ' ')"
missing=
for p in $want; do
	case $have in *" $p "*) ;; *) missing="$missing $p" ;; esac
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
	echo "deps: not root; missing:$missing" >&2
	echo "deps: run: sudo sh $0" >&2
	exit 1
fi

policy=/usr/sbin/policy-rc.d
made_policy=
log=$(mktemp)
finish() {
	[ -z "$made_policy" ] || rm -f "$policy"
	rm -f "$log"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

if [ ! -e "$policy" ]; then
	made_policy=1
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

# Quiet unless it goes wrong; another package manager at work is waited for.
apt() {
	DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
		-o Dpkg::Options::=--force-confold "$@" >"$log" 2>&1 </dev/null || {
		echo "deps: apt-get $* failed:" >&2
		tail -n 20 "$log" >&2
		exit 1
	}
}

echo "deps: installing$missing"
apt update
apt install --no-install-recommends $missing

if [ -d /run/systemd/system ]; then
	for s in $services; do
		case "$missing " in *" ${s%:*} "*) systemctl -q disable "${s#*:}" 2>/dev/null || : ;; esac
	done
fi
