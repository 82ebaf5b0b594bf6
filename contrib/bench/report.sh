#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
#
# report.sh ROWS SAMPLES NOTES JSON - the table to stdout, the same to JSON
#
# A value is the median of its rounds. A ratio is the median of the rounds' own ratios, and its spread their
# lowest and highest; where there is no peer the spread is that of the values.
awk -F '\t' -v json="$4" -v kernel="$(uname -r)" -v cpus="$(nproc)" -v date="$(date -u +%Y-%m-%dT%H:%MZ)" \
	-v version="$(cat VERSION)" -v haproxy="$(haproxy -v 2>/dev/null | sed -n '1s/.*version \([^ ]*\).*/\1/p')" \
	-v notes="$3" '
function median(n,   i, j, t) {
	for (i = 2; i <= n; i++) {
		t = v[i]
		for (j = i - 1; j >= 1 && v[j] > t; j--)
			v[j + 1] = v[j]
		v[j + 1] = t
	}
	low = v[1]; high = v[n]
	return n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
}
# the median of a way of a case, or nothing
function value(key,   n, r) {
	n = 0
	for (r = 1; r <= last; r++)
		if ((key, r) in sample)
			v[++n] = sample[key, r]
	count = n
	return n ? median(n) : ""
}
function ratio(a, b,   n, r) {
	n = 0
	for (r = 1; r <= last; r++)
		if (((a, r) in sample) && ((b, r) in sample) && sample[b, r] + 0 != 0)
			v[++n] = sample[a, r] / sample[b, r]
	count = n
	return n ? median(n) : ""
}
function num(x) {
	if (x == "")
		return "-"
	return sprintf(x >= 1000 || x == int(x) ? "%.0f" : x >= 100 ? "%.1f" : x >= 10 ? "%.2f" : "%.3f", x)
}
function js(x) {
	return x == "" ? "null" : sprintf("%.6g", x)
}
function quoted(s) {
	gsub(/["\\]/, "\\\\&", s)
	return "\"" s "\""
}
function reached(goal, x) {
	if (goal == "-" || x == "")
		return ""
	return (goal ~ /^<=/ ? x <= substr(goal, 3) + 0 : x >= substr(goal, 3) + 0) ? "yes" : "no"
}
FILENAME == ARGV[1] { rows[++nrows] = $0; next }
{
	sample[$1, $2, $3, $4] = $5
	if ($4 + 0 > last)
		last = $4 + 0
	if ($3 == "other_share") {
		v_other[++nother] = $5
	}
}
END {
	printf "{\n \"version\": %s,\n \"kernel\": %s,\n \"haproxy\": %s,\n \"cpus\": %d,\n \"date\": %s,\n", quoted(version), \
		quoted(kernel), quoted(haproxy), cpus, quoted(date) >json
	for (i = 1; i <= nother; i++)
		v[i] = v_other[i]
	other = nother ? median(nother) : 0
	printf " \"other_cpu_share\": %.4g,\n \"results\": [", other / cpus >json
	fmt = "%-58s %9s %9s %-7s %7s  %-15s %-8s %s\n"
	printf fmt, "", "ours", "peer", "", "ratio", "spread", "goal", "reached"
	for (i = 1; i <= nrows; i++) {
		split(rows[i], f, "\t")
		ours = value(f[1] SUBSEP f[2] SUBSEP f[4])
		lo = low; hi = high; n = count
		peer = rat = ""
		if (f[3] != "-") {
			peer = value(f[1] SUBSEP f[3] SUBSEP f[4])
			rat = ratio(f[1] SUBSEP f[2] SUBSEP f[4], f[1] SUBSEP f[3] SUBSEP f[4])
			lo = low; hi = high; n = count
		}
		got = reached(f[6], f[3] != "-" ? rat : ours)
		printf fmt, f[7], num(ours), num(peer), f[5], rat == "" ? "" : sprintf("%.3f", rat), \
			n ? num(lo) ".." num(hi) : "-", f[6] == "-" ? "" : f[6], got
		what = f[7]
		if (what ~ /^ /) { sub(/^ +/, "", what); what = head ": " what } else { head = what }
		printf "%s\n  {\"case\": %s, \"what\": %s, \"ours\": %s, \"peer\": %s, \"way\": %s, \"peer_way\": %s, \"metric\": %s, " \
			"\"unit\": %s, \"ratio\": %s, \"low\": %s, \"high\": %s, \"rounds\": %d, \"goal\": %s, \"reached\": %s}", \
			(i > 1 ? "," : ""), quoted(f[1]), quoted(what), js(ours), js(peer), quoted(f[2]), \
			f[3] == "-" ? "null" : quoted(f[3]), quoted(f[4]), quoted(f[5]), js(rat), n ? js(lo) : "null", n ? js(hi) : "null", \
			n, f[6] == "-" ? "null" : quoted(f[6]), got == "" ? "null" : got == "yes" ? "true" : "false" >json
	}
	printf "\n ],\n \"notes\": [" >json
	while ((getline line < notes) > 0) {
		printf "note: %s\n", line
		printf "%s%s", nnotes++ ? ", " : "", quoted(line) >json
	}
	if (other / cpus > 0.03) {
		printf "note: other work took %.0f %% of the processors: ratios are blurred, throughput is low\n", other * 100 / cpus
	}
	printf "]\n}\n" >json
}' "$1" "$2"
