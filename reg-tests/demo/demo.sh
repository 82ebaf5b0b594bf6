#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# The demo itself: it holds, twice, knows on its second run what the first one learnt, and leaves
# nothing behind when it is interrupted.
cd "$(dirname "$0")/../.." || exit 2
failed=0
ok() { echo "ok - $*"; }
not_ok() { failed=1; echo "not ok - $*"; }
[ "$(id -u)" -eq 0 ] || { echo "skipped: not root"; exit 77; }
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT

begun=$(date +%s)
if sh contrib/demo.sh --no-install --forget >"$T/first" 2>&1; then ok "the demo"; else not_ok "the demo"; cat "$T/first"; fi
took=$(($(date +%s) - begun))
if [ "$took" -lt 120 ]; then ok "under two minutes ($took s)"; else not_ok "it took $took s"; fi
if sh contrib/demo.sh --no-install >"$T/second" 2>&1; then ok "again"; else not_ok "again"; cat "$T/second"; fi
if grep -q 'remembered from earlier runs: [1-9]' "$T/second"; then ok "it remembers"; else not_ok "it remembers nothing"; fi

for after in 3 12; do
	sh contrib/demo.sh --no-install >"$T/third" 2>&1 &
	pid=$!
	sleep $after
	kill -TERM $pid
	wait $pid
	if [ $? -eq 143 ]; then ok "interrupted after $after s"; else not_ok "not interrupted"; cat "$T/third"; fi
	left=$(ip netns list | awk -v id="$STANDIN_TEST_ID" 'index($1, id) == 1')
	if [ -z "$left" ]; then ok "no namespace is left"; else not_ok "left: $left"; fi
done
exit $failed
