#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# What the README and the manuals show: configurations that are good, without a warning, and files that exist.
. "$(dirname "$0")/common"

# blocks FILE SECTION: the indented blocks that begin with that section's keyword
blocks() {
	awk -v want="$2" '
		/^    / { if (!in_block) { in_block = 1; show = $1 == want }; if (show) print substr($0, 5); next }
		/^$/ { if (in_block && show) print ""; next }
		{ in_block = 0; show = 0 }' "$1"
}
valid() {
	said=$("$STANDIN" -dW -c -f "$2" 2>&1)
	case $? in 0) ok "$1" ;; *) not_ok "$1: $said" ;; esac
}
blocks README.md global >"$T/gateway.cfg"
valid "the README's first configuration" "$T/gateway.cfg"
{
	cat "$T/gateway.cfg"
	blocks README.md app
} >"$T/both.cfg"
valid "with its application" "$T/both.cfg"
{
	sed '/^gateway/,$d' "$T/gateway.cfg"
	blocks README.md app
} >"$T/app.cfg"
valid "the application below global and defaults alone" "$T/app.cfg"
[ "$(grep -c '^gateway' "$T/gateway.cfg")$(grep -c '^app' "$T/app.cfg")" = 11 ] || not_ok "nothing was found in the README"
{
	sed '/^gateway/,$d' "$T/gateway.cfg"
	blocks doc/configuration-app.md app
} >"$T/search.cfg"
valid "the manual's application" "$T/search.cfg"

for doc in README.md CONTRIBUTING.md doc/*.md doc/internals/*.md; do
	for f in $(grep -oE '\b(src|include|reg-tests|contrib|conf|doc)/[A-Za-z0-9_./-]*[A-Za-z0-9_]' "$doc" | grep -v 'NAME\|NN-' | sort -u); do
		ls -d "$f"* >/dev/null 2>&1 || not_ok "$doc names $f, which is not there"
	done
	for f in $(grep -oE '\]\([^):#]+' "$doc" | cut -c3- | sort -u); do
		[ -e "$(dirname "$doc")/$f" ] || not_ok "$doc leads to $f, which is not there"
	done
done
[ $failed -ne 0 ] || ok "what the documents name exists"
exit $failed
