#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# make install and uninstall, with DESTDIR and PREFIX: what goes where, that it fits together, that it goes again.
. "$(dirname "$0")/common"

# the binary as it is, whatever built it
do_make() {
	make -s -o "$STANDIN" BIN="$STANDIN" DESTDIR="$T/root" PREFIX="$1" "$2" 2>&1
}
for prefix in /usr/local /opt/standin; do
	said=$(do_make $prefix install) || not_ok "make install: $said"
	root=$T/root$prefix
	for f in share/standin/standin.cfg lib/systemd/system/standin.service share/man/man8/standin.8 \
		share/doc/standin/management.md share/doc/standin/configuration-gateway.md; do
		if [ "$(stat -c %a "$root/$f" 2>&1)" = 644 ]; then ok "$prefix/$f"; else not_ok "$prefix/$f"; fi
	done
	said=$("$root/sbin/standin" -c -f "$root/share/standin/standin.cfg" 2>&1)
	case $said in *"is valid"*) ok "the installed program takes the installed file" ;; *) not_ok "$said" ;; esac
	if grep '^Exec.*standin' "$root/lib/systemd/system/standin.service" | grep -qv "=$prefix/sbin/standin "; then
		not_ok "the unit runs something else: $(grep Exec "$root/lib/systemd/system/standin.service")"
	else
		ok "the unit runs what was installed"
	fi
	said=$(do_make $prefix uninstall) || not_ok "make uninstall: $said"
	if [ -z "$(find "$T/root" -type f)" ]; then ok "uninstall leaves no file"; else not_ok "left: $(find "$T/root" -type f)"; fi
done
exit $failed
