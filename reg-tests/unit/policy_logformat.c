/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_logformat.c - formats: text, tags, flags, expressions, and what cannot break a line
 */
#include "policy_test.h"

#include "policy/logformat.h"

static struct world w;
static char area[256];

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_fini(&w);
}

TestSuite(policy_logformat, .init = setup, .fini = teardown);

static bool layer_tag(struct policy_ctx *ctx, const char *name, struct buf *out)
{
	if (strcmp(name, "ST") == 0)
		return buf_printf(out, "%d", 200), true;
	return strcmp(name, "empty") == 0;
}

static const char *const layer_names[] = { "ST", "empty", NULL };
static const struct lf_source layer = { layer_tag, layer_names };

static const char *build_in(const char *fmt, unsigned at, const struct lf_source *src, size_t room)
{
	struct logformat *lf;
	struct buf out;
	bool ok;

	free(w.err);
	w.err = NULL;
	lf = logformat_parse(fmt, at, src, &w.conf, &w.err);
	if (!lf)
		return w.err;
	w.ctx.lf = src;
	buf_wrap(&out, area, room);
	ok = logformat_build(lf, &w.ctx, &out);
	snprintf(w.shown, sizeof(w.shown), "%.*s%s", (int)out.data, out.area, ok ? "" : "!");
	return w.shown;
}

static const char *build(const char *fmt)
{
	return build_in(fmt, SMP_AT_ANY, &layer, sizeof(area));
}

static const char *build_log(const char *fmt)
{
	return build_in(fmt, SMP_AT_ANY | LF_LOG, &layer, sizeof(area));
}

Test(policy_logformat, text_tags_and_expressions_are_joined)
{
	world_req(&w, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n", true);
	cr_expect_str_eq(build("from %ci:%cp to %fi:%fp 100%% %ST %[path,upper]."),
			 "from 10.1.2.3:40000 to 2001:db8::80:443 100% 200 /A.");
	cr_expect_str_eq(build(""), "");
	cr_expect_str_eq(build("a  b"), "a  b");
	cr_expect_str_eq(build("%[hdr(host)]%[method]"), "xGET");
}

Test(policy_logformat, absent_values_are_empty_or_a_dash_in_logs)
{
	cr_expect_str_eq(build("<%[hdr(x)]|%empty|%b>"), "<||>");
	cr_expect_str_eq(build_log("<%[hdr(x)]|%b>"), "<-|->");
	/* a tag that has nothing to say (no captures) leaves no dash and takes its separator with it */
	cr_expect_str_eq(build_log("%b %empty %b"), "- -");
	cr_expect_str_eq(build_log("%{+Q}[hdr(x)]"), "\"\"");
}

Test(policy_logformat, flags_quote_escape_and_print_hexadecimal)
{
	cr_expect_str_eq(build("%{+Q}[str(a)] %{+Q,+E}[str(a\\\"b]c)] %{+X}ci %{+X}[int(255)] %[int(255)]"),
			 "\"a\" \"a\\\"b\\]c\" 0A010203 FF 255");
	cr_expect_str_eq(build("%{+Q}o%[str(a)] %ST %{-Q}[str(b)] %[str(c)]"), "\"a\" \"200\" b \"c\"");
}

Test(policy_logformat, control_characters_never_get_through)
{
	cr_expect_str_eq(build("%[bin(610d0a62097f),concat()]"), "a%0D%0Ab\t%7F");
	cr_expect_str_eq(build_log("%[bin(610d0a62097f),concat()]"), "a#0D#0Ab\t#7F");
}

Test(policy_logformat, constant_formats_are_known_as_such)
{
	struct logformat *lf = logformat_parse("50%% off", SMP_AT_ANY, NULL, &w.conf, &w.err);

	cr_expect_str_eq(logformat_const(lf), "50% off");
	lf = logformat_parse("", SMP_AT_ANY, NULL, &w.conf, &w.err);
	cr_expect_str_eq(logformat_const(lf), "");
	lf = logformat_parse("%[path]", SMP_AT_ANY, NULL, &w.conf, &w.err);
	cr_expect_null(logformat_const(lf));
	cr_expect_eq(logformat_needs(lf), (unsigned)SMP_AT_HREQ);
}

Test(policy_logformat, what_does_not_fit_is_cut_and_told)
{
	cr_expect_str_eq(build_in("0123456789", SMP_AT_ANY, NULL, 4), "0123!");
	cr_expect_str_eq(build_in("01%[str(23456)]789", SMP_AT_ANY, NULL, 4), "0123!");
	cr_expect_str_eq(build_in("0%[bin(010101),concat()]", SMP_AT_ANY, NULL, 4), "0%01!");
	cr_expect_str_eq(build_in("0123", SMP_AT_ANY, NULL, 4), "0123");
}

Test(policy_logformat, wrong_formats_are_told_with_their_reason)
{
	cr_expect_str_eq(build("%SZ"),
			 "no such format variable 'SZ' (did you mean 'ST'?). If you wanted to emit the '%' "
			 "character verbatim, you need to use '%%'");
	cr_expect_str_eq(build("x%"),
			 "nothing after '%'. If you wanted to emit the '%' character verbatim, you need to "
			 "use '%%'");
	cr_expect_str_eq(build("%[path"), "missing ']' after 'path'");
	cr_expect_str_eq(build("%[path x]"), "unexpected ' x]' in sample expression 'path x]'");
	cr_expect_str_eq(build("%[pth]"),
			 "failed to parse sample expression 'pth]' : unknown fetch method 'pth'; did you "
			 "mean 'path'?");
	cr_expect_str_eq(build("%{+Z}ci"), "unknown flag 'Z' in format; Q, E and X are known");
	cr_expect_str_eq(build("%{+Q"), "missing '}' in format");
	cr_expect(strstr(build_in("%[status]", SMP_AT_HREQ, NULL, 99), "needs the HTTP response's head"));
}
