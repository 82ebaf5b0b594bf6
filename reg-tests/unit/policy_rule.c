/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_rule.c - rules: parsed with their messages, walked, waited at, resumed
 */
#include "policy_test.h"

#include "cfg/cfg.h"
#include "policy/rule.h"

static struct world w;
static struct epoch ep;
static struct diag diag;
static struct rule_set rules;
static char trace[64]; /* the actions that ran */
static int released, resolved;
static enum act_ret slow_answer;

/* ---- actions to test with ---- */

static int parse_word(struct cfg_line *ln, int *pos, struct rule *r)
{
	if (*pos >= ln->argc)
		return cfg_err(ln, "'note' expects a word");
	r->arg[0] = ln->args[(*pos)++];
	cr_expect_str_eq(r->kw->name, "t-note");
	cr_expect_eq(r->line, ln->line);
	return 0;
}

static enum act_ret exec_note(const struct rule *r, struct policy_ctx *ctx)
{
	strcat(trace, r->arg[0]);
	return ACT_RET_CONT;
}

static enum act_ret exec_stop(const struct rule *r, struct policy_ctx *ctx)
{
	strcat(trace, "S");
	return ACT_RET_STOP;
}

static enum act_ret exec_done(const struct rule *r, struct policy_ctx *ctx)
{
	strcat(trace, "D");
	return ACT_RET_DONE;
}

static enum act_ret exec_slow(const struct rule *r, struct policy_ctx *ctx)
{
	return slow_answer;
}

static void release_any(struct rule *r)
{
	released++;
}

static int resolve_any(struct epoch *e, struct rule *r, struct diag *d)
{
	resolved++;
	return 0;
}

static struct action_kw kws[] = {
	{ .name = "t-note",
	  .sets = RS_HTTP_REQ | RS_GW_CONTENT,
	  .parse = parse_word,
	  .exec = exec_note,
	  .release = release_any,
	  .resolve = resolve_any },
	{ .name = "t-stop", .sets = RS_HTTP_REQ | RS_GW_CONTENT, .is_final = true, .exec = exec_stop },
	{ .name = "t-done", .sets = RS_HTTP_REQ | RS_GW_CONN, .is_final = true, .exec = exec_done },
	{ .name = "t-slow", .sets = RS_HTTP_REQ, .exec = exec_slow },
	{ NULL },
};

INITCALL register_test_actions(void)
{
	action_register(kws);
}

/* ---- the frame ---- */

static void setup(void)
{
	world_init(&w);
	memset(&ep, 0, sizeof(ep));
	arena_init(&ep.arena);
	diag_init(&diag);
	rule_set_init(&rules);
	trace[0] = 0;
	released = resolved = 0;
}

static void teardown(void)
{
	rule_set_release(&rules);
	diag_free(&diag);
	arena_reset(&ep.arena);
	world_fini(&w);
}

TestSuite(policy_rule, .init = setup, .fini = teardown);

static int line_no;

static int add_to(uint32_t set, const char *what, const char *text)
{
	static struct cfg_section section = { .name = "frontend" };
	char *args[64], *copy = arena_strdup(&ep.arena, str_c(text));
	struct cfg_line ln = {
		.ep = &ep, .d = &diag, .file = "x.cfg", .line = ++line_no, .section = &section
	};

	ln.argc = world_words(copy, args, 63);
	ln.args = args;
	return rule_parse(&ln, 0, set, what, &rules, &w.acls);
}

static int add(const char *text)
{
	return add_to(RS_HTTP_REQ, "http-request", text);
}

static const char *last_message(void)
{
	struct diag_msg *m = list_last(&diag.msgs, struct diag_msg, node);

	return m ? m->text : "";
}

static void check_message(const char *want)
{
	cr_expect(strstr(last_message(), want), "got '%s', want '...%s...'", last_message(), want);
}

/* ---- walking ---- */

Test(policy_rule, rules_run_in_order_up_to_the_first_final_one)
{
	const struct rule *last = NULL;

	cr_assert_eq(add("t-note a"), 0);
	cr_assert_eq(add("t-note b if FALSE"), 0);
	cr_assert_eq(add("t-note c unless FALSE"), 0);
	cr_assert_eq(add("t-stop if TRUE"), 0);
	cr_assert_eq(add("t-note d"), 0);
	cr_expect_eq(rule_set_run(&rules, &w.ctx, NULL, &last), ACT_RET_STOP);
	cr_expect_str_eq(trace, "acS");
	cr_expect_str_eq(last->kw->name, "t-stop");
	cr_expect_eq(rules.count, 5u);
}

Test(policy_rule, the_end_of_the_rules_is_no_decision)
{
	const struct rule *last = (const struct rule *)1;

	cr_expect_eq(rule_set_run(&rules, &w.ctx, NULL, NULL), ACT_RET_CONT);
	add("t-done if FALSE");
	cr_expect_eq(rule_set_run(&rules, &w.ctx, NULL, &last), ACT_RET_CONT);
	cr_expect_null(last);
}

Test(policy_rule, a_rule_that_cannot_be_decided_is_resumed_without_running_earlier_ones_again)
{
	const struct rule *from = NULL, *last;
	const char *req = "GET /inspect HTTP/1.1\r\nHost: a\r\n\r\n";

	add("t-note a");
	add("t-note b if { path_beg /inspect }");
	add("t-done if METH_GET");
	for (size_t n = 0; n < strlen(req); n++) {
		world_payload(&w, false, req, n, false);
		cr_assert_eq(rule_set_run(&rules, &w.ctx, &from, &last), ACT_RET_WAIT, "after %zu bytes", n);
		cr_assert_str_eq(trace, "a");
		cr_assert_null(last);
	}
	world_req(&w, req, false);
	cr_expect_eq(rule_set_run(&rules, &w.ctx, &from, &last), ACT_RET_DONE);
	cr_expect_str_eq(trace, "abD");
	cr_expect_null(from);
}

Test(policy_rule, an_action_may_wait_too)
{
	const struct rule *from = NULL, *last;

	add("t-note a");
	add("t-slow");
	add("t-note b");
	slow_answer = ACT_RET_WAIT;
	cr_expect_eq(rule_set_run(&rules, &w.ctx, &from, &last), ACT_RET_WAIT);
	slow_answer = ACT_RET_CONT;
	cr_expect_eq(rule_set_run(&rules, &w.ctx, &from, &last), ACT_RET_CONT);
	cr_expect_str_eq(trace, "ab");
	slow_answer = ACT_RET_ERR;
	cr_expect_eq(rule_set_run(&rules, &w.ctx, NULL, &last), ACT_RET_ERR);
	cr_expect_str_eq(last->kw->name, "t-slow");
}

Test(policy_rule, actions_are_resolved_and_released)
{
	add("t-note a");
	add("t-note b if nonsense");
	cr_expect_eq(released, 1, "a rule that was refused is released at once");
	add("t-note c");
	rule_set_resolve(&ep, &rules, &diag);
	cr_expect_eq(resolved, 2);
	rule_set_release(&rules);
	cr_expect_eq(released, 3);
	cr_expect_eq(rules.count, 0u);
}

/* ---- messages ---- */

Test(policy_rule, unknown_actions_tell_the_nearest_that_is_valid_there)
{
	cr_expect(add("t-nte x") < 0);
	check_message("'http-request' : unknown action 't-nte'; did you mean 't-note'?");
	cr_expect(add_to(RS_GW_CONN, "tcp-request connection", "t-note x") < 0);
	cr_expect(strstr(last_message(), "'tcp-request connection'"), "%s", last_message());
	cr_expect_not(strstr(last_message(), "did you mean 't-note'"), "it is not valid there");
	cr_expect(add("") < 0);
	check_message("'http-request' expects an action: ");
	cr_expect_eq(diag.errors, 3u);
	cr_expect_eq(rules.count, 0u);
}

Test(policy_rule, wrong_words_and_conditions_are_told_with_rule_set_and_action)
{
	cr_expect(add("t-stop foo") < 0);
	check_message("parsing [x.cfg:");
	check_message(
	    "'http-request t-stop' expects either 'if' or 'unless' followed by a condition but found 'foo'");
	cr_expect(add("t-stop if nope") < 0);
	check_message(
	    "error detected while parsing a 'http-request t-stop' condition : no such ACL : 'nope'");
	cr_expect(add("t-note") < 0);
	check_message("'note' expects a word");
}

Test(policy_rule, what_never_runs_is_warned_about_once)
{
	add("t-stop");
	cr_expect_eq(diag.warnings, 0u);
	cr_expect_eq(add("t-note a"), 0);
	check_message("previous 'http-request t-stop' (line ");
	cr_expect_eq(add("t-note b"), 0);
	cr_expect_eq(diag.warnings, 1u);
	cr_expect_eq(diag.errors, 0u);
}

Test(policy_rule, conditions_that_their_place_cannot_feed_are_warned_about)
{
	cr_expect_eq(add("t-stop if { status 200 }"), 0);
	check_message(
	    "anonymous acl will never match because it uses keyword 'status' which is incompatible with "
	    "'frontend http-request rule'");
	cr_expect_eq(add_to(RS_GW_CONN, "tcp-request connection", "t-done if HTTP"), 0);
	check_message("acl 'HTTP' will never match because it only involves keywords that are incompatible "
		      "with 'frontend "
		      "tcp-request connection rule'");
	cr_expect_eq(add_to(RS_GW_CONTENT, "tcp-request content",
			    "t-stop if { path / } { req.ssl_sni a } { src ::1 }"),
		     0);
	cr_expect_eq(diag.warnings, 2u, "content rules see payload, and heads in it");
}

static int acl_line(const char *text)
{
	char *args[64], *copy = arena_strdup(&ep.arena, str_c(text));
	struct cfg_line ln = { .ep = &ep, .d = &diag, .file = "x.cfg", .line = ++line_no };

	ln.argc = world_words(copy, args, 63);
	ln.args = args;
	return acl_parse_line(&ln, &w.acls);
}

Test(policy_rule, an_acl_line_without_patterns_is_warned_about)
{
	cr_expect_eq(acl_line("acl never path"), 0);
	check_message("acl 'never' : no pattern to match 'path' against was given, so it will never match");
	cr_expect_eq(acl_line("acl meant path --"), 0);
	cr_expect_eq(acl_line("acl fine always_true"), 0);
	cr_expect_eq(acl_line("acl fine path -m found"), 0);
	cr_expect_eq(diag.warnings, 1u);
	cr_expect(acl_line("acl broken pth /") < 0);
	check_message("error detected while parsing ACL 'broken' : unknown fetch method 'pth'");
}

Test(policy_rule, each_set_supplies_something)
{
	for (uint32_t set = RS_GW_CONN; set <= RS_HTTP_RES; set <<= 1)
		cr_expect(rule_set_supplies(set) & SMP_AT_L4);
	cr_expect_eq(rule_set_supplies(RS_HTTP_RES) & SMP_AT_HREQ, 0u);
	cr_expect_neq(rule_set_supplies(RS_GW_CONTENT) & SMP_AT_HREQ, 0u);
}
