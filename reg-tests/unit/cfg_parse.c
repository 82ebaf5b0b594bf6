/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_parse.c - lines to keywords, typed words, messages; files and directories
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cfg/cfg_priv.h"

#define T_BIT 0x40000000
#define O_BIT 0x20000000

/* ---- a section of our own ---- */

struct thing {
	bool flag;
	unsigned n, time;
	uint64_t size;
	char *name;
	char *seen; /* words that parse() got, joined */
};

static struct thing thing;
static int opened, closed;

static int thing_open(struct cfg_line *ln)
{
	opened++;
	if (ln->argc > 1 && strcmp(ln->args[1], "bad") == 0)
		return cfg_err(ln, "bad thing");
	ln->obj = &thing;
	return 0;
}

static void thing_close(struct cfg_line *ln)
{
	cr_assert_eq(ln->obj, &thing);
	closed++;
}

static int thing_words(struct cfg_line *ln, const struct cfg_kw *kw)
{
	struct thing *t = ln->obj;
	struct buf b = { 0 };

	cr_assert_not_null(t);
	cr_assert_str_eq(ln->args[ln->argc], "");
	cr_assert_str_eq(ln->args[ln->argc + 1], "");
	for (int i = 0; i < ln->argc; i++)
		buf_printf_grow(&b, "%s%s", i ? "|" : ln->no_prefix ? "!" : "", ln->args[i]);
	t->seen = arena_strdup(&ln->ep->arena, buf_str(&b));
	buf_free(&b);
	return 0;
}

static struct cfg_section thing_section = {
	.name = "thing", .bit = T_BIT, .open = thing_open, .close = thing_close
};
static struct cfg_section other_section = { .name = "other", .bit = O_BIT, .open = thing_open };

#define F(f) offsetof(struct thing, f)
static struct cfg_kw thing_kws[] = {
	{ .word = "flag", .sections = T_BIT, .type = CFG_T_FLAG, .offset = F(flag), .can_no = true },
	{ .word = "count", .sections = T_BIT, .type = CFG_T_UINT, .offset = F(n), .min = 2, .max = 9 },
	{ .word = "timeout long", .sections = T_BIT, .type = CFG_T_TIME, .offset = F(time) },
	{ .word = "timeout short", .sections = T_BIT, .type = CFG_T_TIME, .offset = F(time), .max = 100 },
	{ .word = "room", .sections = T_BIT, .type = CFG_T_SIZE, .offset = F(size), .max = 1 << 20 },
	{ .word = "title", .sections = T_BIT, .type = CFG_T_STR, .offset = F(name) },
	{ .word = "words", .sections = T_BIT, .parse = thing_words, .can_no = true },
	{ .word = "words of two", .sections = T_BIT, .parse = thing_words },
	{ .word = "option fast", .sections = T_BIT, .parse = thing_words, .can_no = true },
	{ .word = "other", .sections = T_BIT, .parse = thing_words },
	{ .word = "elsewhere", .sections = O_BIT, .parse = thing_words },
	{ .word = NULL },
};

INITCALL unit_register(void)
{
	cfg_register_section(&thing_section);
	cfg_register_section(&other_section);
	cfg_register_keywords(thing_kws);
}

/* ---- reading text ---- */

static struct epoch *ep;
static struct diag d;
static bool whole;

static void setup(void)
{
	diag_init(&d);
	ep = epoch_new();
	cr_assert_not_null(ep);
}

static void teardown(void)
{
	epoch_put(ep);
	diag_free(&d);
}

/* All messages, one a line, without what they begin with. */
static const char *messages(void)
{
	static char out[16384];
	struct diag_msg *m;

	out[0] = '\0';
	list_for_each (m, &d.msgs, node) {
		const char *text = strstr(m->text, "parsing ");

		strcat(strcat(out, text ? text + 8 : m->text), "\n");
	}
	return out;
}

static const char *read_text(const char *text)
{
	char *copy = strdup(text);

	diag_free(&d);
	whole = true;
	cfg_read_text(ep, "f", copy, strlen(copy), &d, &whole);
	free(copy);
	return messages();
}

TestSuite(parse, .init = setup, .fini = teardown);

Test(parse, typed_words_need_no_code)
{
	cr_assert_str_eq(read_text("thing\n flag\n count 5\n timeout long 3s\n room 64k\n title 'a b'\n"),
			 "");
	cr_assert(thing.flag);
	cr_assert_eq(thing.n, 5);
	cr_assert_eq(thing.time, 3000);
	cr_assert_eq(thing.size, 65536);
	cr_assert_str_eq(thing.name, "a b");
	read_text("thing\n no flag\n");
	cr_assert_not(thing.flag);
}

Test(parse, every_fault_is_told_in_one_pass)
{
	cr_assert_str_eq(
	    read_text(
		"thing\n count\n count x\n count 1\n count 10\n count 5 6\n timeout long\n timeout long 3y\n"
		" timeout short 101\n timeout long 99d\n room 1q\n room 2m\n title\n title ''\n flag x\n"),
	    "[f:2] : 'count' expects an integer argument.\n"
	    "[f:3] : 'count' expects an integer argument, not 'x'.\n"
	    "[f:4] : 'count' must be between 2 and 9 (was 1).\n"
	    "[f:5] : 'count' must be between 2 and 9 (was 10).\n"
	    "[f:6] : 'count' cannot handle unexpected argument '6'.\n"
	    "[f:7] : 'timeout long' expects a time argument.\n"
	    "[f:8] : unexpected character 'y' in argument '3y' to 'timeout long' (a number and us, ms, s, m, "
	    "h or d "
	    "is expected)\n"
	    "[f:9] : 'timeout short' must be between 0 and 100 ms (was 101).\n"
	    "[f:10] : timer overflow in argument '99d' to 'timeout long' (maximum value is 2147483647 ms or "
	    "~24.8 "
	    "days)\n"
	    "[f:11] : 'room' expects a size (a number and an optional k, m, g or t), not '1q'.\n"
	    "[f:12] : 'room' must be between 0 and 1048576 bytes (was 2m).\n"
	    "[f:13] : 'title' expects one argument.\n"
	    "[f:14] : 'title' expects one argument.\n"
	    "[f:15] : 'flag' cannot handle unexpected argument 'x'.\n");
	cr_assert_eq(d.errors, 14);
}

Test(parse, unknown_words_name_the_nearest)
{
	cr_assert_str_eq(
	    read_text("thing\n conut 5\n bogus\n elsewhere\n timeout\n timeout lnog 1\n timeout bogus 1\n"
		      " option fsat\n option bogus\nthign x\n"),
	    "[f:2] : unknown keyword 'conut' in 'thing' section; did you mean 'count' maybe ?\n"
	    "[f:3] : unknown keyword 'bogus' in 'thing' section\n"
	    "[f:4] : 'elsewhere' not allowed in 'thing' section.\n"
	    "[f:5] : 'timeout' supports 'long', 'short' (nothing was given)\n"
	    "[f:6] : unknown keyword 'timeout lnog' in 'thing' section; did you mean 'long' maybe ?\n"
	    "[f:7] : 'timeout' supports 'long', 'short' (got 'bogus')\n"
	    "[f:8] : unknown option 'fsat'; did you mean 'fast' maybe ?\n"
	    "[f:9] : unknown option 'bogus'\n"
	    "[f:10] : unknown keyword 'thign' in 'thing' section; did you mean 'thing' maybe ?\n");
	cr_assert_str_eq(read_text("count 5\n"), "[f:1] : unknown keyword 'count' out of section.\n");
}

Test(parse, the_longest_keyword_wins)
{
	read_text("thing\n words a b\n");
	cr_assert_str_eq(thing.seen, "words|a|b");
	read_text("thing\n words of two x\n");
	cr_assert_str_eq(thing.seen, "words|of|two|x");
	read_text("thing\n words of three\n");
	cr_assert_str_eq(thing.seen, "words|of|three");
}

Test(parse, prefixes_are_for_those_who_take_them)
{
	cr_assert_str_eq(read_text("thing\n no words x\n"), "");
	cr_assert_str_eq(thing.seen, "!words|x");
	cr_assert_str_eq(read_text("thing\n no count 5\n default title x\n no bogus\n"),
			 "[f:2] : 'no' is not supported for 'count'.\n"
			 "[f:3] : 'default' is not supported for 'title'.\n"
			 "[f:4] : unknown keyword 'bogus' in 'thing' section\n");
}

Test(parse, sections_may_be_repeated_and_end_where_the_next_begins)
{
	read_text("thing a\n flag\nother\nthing b\n");
	cr_assert_eq(opened, 3);
	cr_assert_eq(closed, 2);
}

Test(parse, a_sections_word_is_a_keyword_when_an_address_follows)
{
	read_text("thing\n other 127.0.0.1:80\n");
	cr_assert_str_eq(thing.seen, "other|127.0.0.1:80");
	cr_assert_eq(opened, 1);
	read_text("thing\nother name\n");
	cr_assert_eq(opened, 3);
}

Test(parse, lines_of_a_section_that_did_not_open_are_checked_but_not_applied)
{
	thing.seen = NULL;
	cr_assert_str_eq(read_text("thing bad\n words x\n count y\n bogus\n"),
			 "[f:1] : bad thing\n"
			 "[f:3] : 'count' expects an integer argument, not 'y'.\n"
			 "[f:4] : unknown keyword 'bogus' in 'thing' section\n");
	cr_assert_null(thing.seen);
	cr_assert_eq(closed, 0);
	cr_assert_not(whole);
}

Test(parse, a_section_that_does_not_exist_here_is_one_error)
{
	cr_assert_str_eq(read_text("peers x\n peer a 1.2.3.4:5\n bind :1\nthing\n flag\n"),
			 "[f:1] : sections 'peers' are not supported.\n");
	cr_assert(thing.flag);
}

Test(parse, lexical_faults_show_the_place)
{
	cr_assert_str_eq(read_text("thing\n title \"x\n"),
			 "[f:2]: unmatched quote at position 8:\n  title \"x\n        ^\n");
	cr_assert_str_eq(read_text("thing\n flag"),
			 "[f:2]: Missing LF on last line, file might have been truncated at "
			 "position 6.\n");
}

Test(parse, carriage_returns_belong_to_the_line_end)
{
	cr_assert_str_eq(read_text("thing\r\n title x\r\n"), "");
	cr_assert_str_eq(thing.name, "x");
}

Test(parse, a_nul_is_told)
{
	char text[] = "thing\n title x\0y\n flag\n";

	cfg_read_text(ep, "f", text, sizeof(text) - 1, &d, &whole);
	cr_assert_str_eq(messages(), "[f:2]: unexpected NUL character at position 9.\n");
	cr_assert(thing.flag, "and reading goes on");
}

Test(parse, stops_after_too_many_errors)
{
	struct buf b = { 0 };

	buf_printf_grow(&b, "thing\n");
	for (int i = 0; i < 1000; i++)
		buf_printf_grow(&b, "bogus\n");
	cfg_read_text(ep, "f", buf_head(&b), b.data, &d, &whole);
	cr_assert_eq(d.errors, CFG_MAX_ERRORS + 2);
	cr_assert_not_null(strstr(messages(), "[f:52]: too many fatal errors (51), stopping now."));
	buf_free(&b);
}

Test(parse, conditional_blocks)
{
	cr_assert_str_eq(
	    read_text("thing\n.if 0\n bogus \"\n.elif 1 && !0\n title yes\n.elif 1\n title no\n.else\n"
		      " title no\n.endif\n.if 1\n.if 0\n title no\n.else\n flag\n.endif\n.endif\n"),
	    "");
	cr_assert_str_eq(thing.name, "yes");
	cr_assert(thing.flag);
	cr_assert_str_eq(read_text(".else\n.endif\n.if x\n.else\n bogus\n.endif\n.if 1\n"),
			 "[f:1] : '.else' without '.if'\n"
			 "[f:2] : '.endif' without '.if'\n"
			 "[f:3] : .if : unparsable conditional expression 'x'\n"
			 "[f:7] : '.if' without '.endif'\n");
}

Test(parse, messages_from_the_file)
{
	cr_assert_str_eq(
	    read_text(".notice 'n n'\n.warning w\n.alert a\n.diag d\n.if 0\n.alert no\n.endif\n"),
	    "[f:1]: 'n n'.\n[f:2]: 'w'.\n[f:3]: 'a'.\n[f:4]: 'd'.\n");
	cr_assert_eq(d.errors, 1);
	cr_assert_eq(d.warnings, 1);
}

/* ---- the global section ---- */

Test(parse, the_environment_of_an_epoch_is_its_own)
{
	setenv("STANDIN_A", "process", 1);
	setenv("STANDIN_B", "b", 1);
	teardown();
	setup();
	read_text("global\n setenv STANDIN_A mine\n presetenv STANDIN_A not\n presetenv STANDIN_C c\n"
		  " unsetenv STANDIN_B\nthing\n title \"${STANDIN_A}-${STANDIN_B-gone}-${STANDIN_C}\"\n");
	cr_assert_str_eq(messages(), "");
	cr_assert_str_eq(thing.name, "mine-gone-c");
	cr_assert_str_eq(getenv("STANDIN_A"), "process");
	cr_assert_null(getenv("STANDIN_C"));
	read_text("global\n resetenv STANDIN_C\n");
	cr_assert_null(epoch_getenv(ep, "STANDIN_A"));
	cr_assert_str_eq(epoch_environ(ep, &ep->arena)[0], "STANDIN_C=c");
	cr_assert_null(epoch_environ(ep, &ep->arena)[1]);
}

Test(parse, pseudo_variables_tell_the_place)
{
	read_text("thing blue\n\n title \"${.FILE}:${.LINE}:${.SECTION}\"\n");
	cr_assert_str_eq(thing.name, "f:3:blue");
}

Test(parse, global_words)
{
	cr_assert_str_eq(
	    read_text("global\n log 127.0.0.1 local0\n log-tag x\n maxconn 100\nglobal\n maxflows 5\n"
		      " mark-mask 0xf0\n route-table 7\n promotion-reserve 2 refuse\n state-db /x/y\n"
		      " description a \"b c\"\n uid 0\n hard-stop-after 30s\n daemon\n"),
	    "[f:12] : 'uid' is for the instances of applications: the daemon itself keeps its privileges.\n");
	cr_assert_eq(ep->global.maxconn, 100);
	cr_assert_eq(ep->global.maxflows, 5);
	cr_assert_eq(ep->global.mark_mask, 0xf0);
	cr_assert_eq(ep->global.route_table, 7);
	cr_assert_eq(ep->global.promotion_reserve, 2);
	cr_assert(ep->global.promotion_refuse);
	cr_assert_str_eq(ep->global.state_db, "/x/y");
	cr_assert_str_eq(ep->global.description, "a b c");
	cr_assert_eq(ep->global.uid, 0);
	cr_assert_eq(ep->global.gid, -1);
	cr_assert_eq(ep->global.hard_stop_after_ms, 30000);
	cr_assert(ep->global.daemon);
	cr_assert_not(list_empty(&ep->global.log.targets));
	read_text("global\n no log\n");
	cr_assert(list_empty(&ep->global.log.targets));
}

Test(parse, global_words_say_what_is_wrong)
{
	cr_assert_str_eq(
	    read_text("global\n mark-mask 0x0f100000\n mark-mask 0\n mark-mask 0x1ffffffff\n mark-mask f\n"
		      " promotion-reserve x\n promotion-reserve 1 refsue\n user nobody-at-all\n uid root\n"
		      " log x\n node 'a b'\n maxflows 0\n"),
	    "[f:2] : 'mark-mask' must be four adjacent bits, such as 0x0f000000 (was 0x0f100000).\n"
	    "[f:3] : 'mark-mask' must be four adjacent bits, such as 0x0f000000 (was 0).\n"
	    "[f:4] : 'mark-mask' expects a number of 32 bits such as 0x0f000000, not '0x1ffffffff'.\n"
	    "[f:5] : 'mark-mask' expects a number of 32 bits such as 0x0f000000, not 'f'.\n"
	    "[f:6] : 'promotion-reserve' expects a number of simultaneous failovers (0..1000) and 'warn' or "
	    "'refuse'.\n"
	    "[f:7] : 'promotion-reserve' supports 'warn' and 'refuse' (got 'refsue'); did you mean 'refuse' "
	    "maybe ?\n"
	    "[f:8] : cannot find user id for 'nobody-at-all'\n"
	    "[f:9] : 'uid': 'root' is not a number; 'user' takes a name.\n"
	    "[f:10] : log : expects <address> and <facility> as arguments\n"
	    "[f:11] : 'node' requires valid node name - non-empty string with digits(0-9), letters(A-Z, "
	    "a-z), "
	    "dot(.), hyphen(-) or underscore(_).\n"
	    "[f:12] : 'maxflows' must be between 1 and 18446744073709551615 (was 0).\n");
}

Test(parse, words_of_haproxy_without_meaning_here_are_told_not_refused)
{
	read_text("global\n nbthread 4\n tune.h2.initial-window-size 1\n noreuseport\n no strict-limits\n");
	cr_assert_eq(d.errors, 0);
	cr_assert_eq(d.warnings, 2, "those that someone may rely on");
}

/* ---- files ---- */

static char dir[64];

static void put_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
}

Test(files, of_a_directory_are_read_in_the_order_of_their_names)
{
	char *files[1] = { dir }, cmd[128];

	snprintf(dir, sizeof(dir), "/tmp/standin-unit-cfg.%d", (int)getpid());
	mkdir(dir, 0700);
	setup();
	put_file("b.cfg", "thing\n title b\n");
	put_file("B.cfg", "thing\n title B\n");
	put_file("a.cfg", "thing\n title a\n");
	put_file("z.cfg.bak", "bogus\n");
	put_file(".z.cfg", "bogus\n");
	put_file("c.txt", "bogus\n");
	whole = true;
	cfg_read_files(ep, files, 1, &d, &whole);
	cr_assert_str_eq(messages(), "");
	cr_assert_str_eq(thing.name, "b");
	cr_assert(whole);
	put_file("c.cfg", " title x\n");
	cfg_read_files(ep, files, 1, &d, &whole);
	cr_assert_not_null(strstr(messages(), "/c.cfg:1] : unknown keyword 'title' out of section."),
			   "a section does not go on in the next file");
	cr_assert_not_null(strstr(messages(), "Error(s) found in configuration file : "));
	cr_assert_eq(d.errors, 1, "the sum is no fault of its own");
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	cr_assert_eq(system(cmd), 0);
	diag_free(&d);
	cfg_read_files(ep, files, 1, &d, &whole);
	cr_assert_not_null(
	    strstr(messages(), "Cannot open configuration file/directory /tmp/standin-unit-cfg."));
	teardown();
}
