/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_sticktable.c - stick tables on a fake clock: keys, room, time, rates, reloads, expressions, messages
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cfg/cfg.h"
#include "core/worker.h"
#include "policy/rule.h"
#include "policy/sticktable.h"

#define T0 1000000

static struct worker w;
static struct epoch *ep;
static char told[8192];    /* what the diagnostics say */
static struct stk_tracks *tracks;
static struct arena tmp;
static struct addr src;

static struct epoch *build(const char *text)
{
	char path[] = "/tmp/stk-unit-XXXXXX", *files[] = { path };
	int fd = mkstemp(path);
	struct epoch *e;
	struct diag_msg *m;
	struct diag d;

	cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	diag_init(&d);
	e = epoch_build(files, 1, &d);
	unlink(path);
	told[0] = '\0';
	list_for_each(m, &d.msgs, node)
		snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s\n", m->text);
	diag_free(&d);
	return e;
}

/* The configuration in force is <text> from now on. */
static void apply(const char *text)
{
	struct epoch *e = build(text);
	struct diag d;

	cr_assert(e, "%s", told);
	diag_init(&d);
	cr_assert_eq(stk_cfg_module.prepare(&w, e, ep, &d), 0);
	stk_cfg_module.commit(&w, e, ep);
	diag_free(&d);
	epoch_put(ep);
	ep = e;
}

static void up(void)
{
	cr_assert_eq(worker_init(&w), 0);
	w.now_ms = T0;
	cr_assert_eq(stktables_init(&w), 0);
	arena_init(&tmp);
	addr_parse_ip(&src, STR("192.0.2.1"));
}

static void down(void)
{
	stk_tracks_put(&tracks);
	arena_reset(&tmp);
	stktables_destroy(&w);
	epoch_put(ep);
	worker_destroy(&w);
}

TestSuite(policy_sticktable, .init = up, .fini = down, .timeout = 20);

#define TABLE(line) "backend t\n stick-table " line "\n"

static struct stk_table *table(const char *name)
{
	struct stk_table *t = stk_table_find(&w, name);

	cr_assert(t, "no table %s", name);
	return t;
}

static struct stk_entry *obtain(const char *key)
{
	struct stk_key k;

	cr_assert(stk_key_from_text(table("t"), str_c(key), &k));
	return stk_obtain(table("t"), &k);
}

static struct stk_entry *look_up(const char *key)
{
	struct stk_key k;

	cr_assert(stk_key_from_text(table("t"), str_c(key), &k));
	return stk_lookup(table("t"), &k);
}

static const char *shown_key(const struct stk_entry *e)
{
	static char text[256];
	struct buf b = { 0 };

	stk_key_print(table("t"), e, &b);
	snprintf(text, sizeof(text), "%.*s", STR_ARG(buf_str(&b)));
	buf_free(&b);
	return text;
}

/* ---- keys ---- */

static struct stk_entry *obtain_smp(struct sample s)
{
	struct policy_ctx ctx = { .w = &w, .tmp = &tmp };
	struct stk_key k;

	return stk_key_from_sample(table("t"), &s, &ctx, &k) ? stk_obtain(table("t"), &k) : NULL;
}

static struct sample smp_addr(const char *text)
{
	struct sample s = { .type = SMP_T_ADDR };

	cr_assert_eq(addr_parse_ip(&s.v.addr, str_c(text)), 0);
	return s;
}

Test(policy_sticktable, an_ipv4_table_takes_ipv4_addresses_in_all_their_forms)
{
	struct sample mapped = { .type = SMP_T_ADDR, .v.addr.family = AF_INET6 };
	struct stk_entry *e;

	apply(TABLE("type ip size 10"));
	e = obtain_smp(smp_addr("192.0.2.1"));
	cr_assert_str_eq(shown_key(e), "192.0.2.1");
	cr_expect_eq(obtain_smp((struct sample){ .type = SMP_T_STR, .v.str = STR("192.0.2.1") }), e);
	cr_expect_eq(obtain_smp((struct sample){ .type = SMP_T_SINT, .v.i = 0xc0000201 }), e);
	mapped.v.addr.ip.v6.s6_addr[10] = mapped.v.addr.ip.v6.s6_addr[11] = 0xff;
	memcpy(mapped.v.addr.ip.v6.s6_addr + 12, "\xc0\x00\x02\x01", 4);
	cr_expect_eq(obtain_smp(mapped), e);
	cr_expect_eq(obtain_smp(smp_addr("2002:c000:201::1")), e, "6to4");
	cr_expect_null(obtain_smp(smp_addr("2001:db8::1")));
	cr_expect_null(obtain_smp((struct sample){ .type = SMP_T_STR, .v.str = STR("example.org") }));
}

Test(policy_sticktable, an_ipv6_table_takes_both_families)
{
	apply(TABLE("type ipv6 size 10"));
	cr_expect_str_eq(shown_key(obtain_smp(smp_addr("2001:db8::1"))), "2001:db8::1");
	cr_expect_str_eq(shown_key(obtain_smp(smp_addr("192.0.2.1"))), "::ffff:192.0.2.1");
	cr_expect_eq(table("t")->used, 2);
}

Test(policy_sticktable, strings_are_cut_and_blocks_are_cut_or_padded)
{
	apply(TABLE("type string len 4 size 10"));
	cr_expect_eq(obtain("abcdef"), obtain("abcdxy"));
	cr_expect_neq(obtain("abc"), obtain("abcd"));
	cr_expect_str_eq(shown_key(obtain("a =\x01")), "a\\ \\=\\x01");
	apply(TABLE("type binary len 4 size 10"));
	cr_expect_eq(obtain_smp((struct sample){ .type = SMP_T_BIN, .v.str = STR("ab") }),
		     obtain_smp((struct sample){ .type = SMP_T_BIN, .v.str = str_n("ab\0\0zz", 6) }));
	cr_expect_eq(table("t")->used, 1);
}

Test(policy_sticktable, integers_are_of_32_bits)
{
	apply(TABLE("type integer size 10"));
	cr_expect_eq(obtain_smp((struct sample){ .type = SMP_T_SINT, .v.i = 7 }), obtain("7"));
	cr_expect_eq(obtain_smp((struct sample){ .type = SMP_T_SINT, .v.i = 0x100000007 }), obtain("7"));
	cr_expect_str_eq(shown_key(obtain("4294967295")), "4294967295");
}

/* ---- room and time ---- */

Test(policy_sticktable, a_full_table_gives_up_the_one_that_was_not_touched_for_longest)
{
	apply(TABLE("type integer size 3"));
	obtain("1");
	obtain("2");
	obtain("3");
	stk_touch(table("t"), obtain("1"));
	obtain("4");
	cr_expect(look_up("1") && !look_up("2") && look_up("3") && look_up("4"));
	cr_expect_eq(table("t")->used, 3);
	cr_expect_eq(table("t")->purged, 1);
}

Test(policy_sticktable, what_is_counted_is_never_given_up)
{
	struct stk_entry *e;

	apply(TABLE("type integer size 2 expire 1s"));
	e = obtain("1");
	stk_entry_get(table("t"), e);
	obtain("2");
	obtain("3");
	cr_expect_eq(look_up("1"), e);
	stk_entry_get(table("t"), obtain("3"));
	cr_expect_null(obtain("4"), "both are in use");
	cr_expect_eq(table("t")->refused, 1);
	w.now_ms += 5000;
	stk_tick(&w);
	cr_expect_eq(look_up("1"), e, "nor does it expire");
	cr_expect_not(stk_remove(table("t"), e));
	stk_entry_put(table("t"), e);
	cr_expect_eq(stk_expires_in(table("t"), e), 1000);
	stk_entry_put(table("t"), look_up("3"));
}

Test(policy_sticktable, nopurge_refuses_until_something_expires)
{
	apply(TABLE("type integer size 1 nopurge expire 1s"));
	cr_assert(obtain("1"));
	w.now_ms += 999;
	cr_expect_null(obtain("2"));
	w.now_ms += 1;
	cr_expect(obtain("2"));
	cr_expect_null(look_up("1"));
}

Test(policy_sticktable, an_entry_expires_at_its_time_whether_or_not_the_timer_has_come)
{
	apply(TABLE("type integer size 10 expire 10s"));
	obtain("1");
	w.now_ms += 6000;
	obtain("2");
	stk_touch(table("t"), look_up("1"));
	obtain("3");
	w.now_ms += 4000;
	look_up("1");
	cr_expect_eq(stk_tick(&w), T0 + 16000);
	w.now_ms += 5999;
	cr_expect(look_up("1") && look_up("2") && look_up("3"), "a look-up does not touch");
	w.now_ms += 1;
	cr_expect_null(look_up("3"));
	cr_expect_eq(stk_tick(&w), UINT64_MAX);
	cr_expect_eq(table("t")->used, 0);
}

Test(policy_sticktable, many_that_expire_at_once_go_in_pieces)
{
	char key[16];

	apply(TABLE("type integer size 10k expire 1s"));
	for (int i = 0; i < 1200; i++) {
		snprintf(key, sizeof(key), "%d", i);
		obtain(key);
	}
	w.now_ms += 1000;
	cr_expect_eq(stk_tick(&w), w.now_ms + 1);
	cr_expect_eq(table("t")->used, 700);
	stk_tick(&w);
	cr_expect_eq(stk_tick(&w), UINT64_MAX);
	cr_expect_eq(table("t")->used, 0);
}

Test(policy_sticktable, a_listing_survives_that_its_entries_go)
{
	struct stk_cursor c;

	apply(TABLE("type integer size 10"));
	obtain("1");
	obtain("2");
	obtain("3");
	stk_cursor_start(&c, table("t"));
	cr_expect_str_eq(shown_key(stk_cursor_next(&c)), "1");
	stk_remove(table("t"), look_up("2"));
	stk_remove(table("t"), look_up("1"));
	cr_expect_str_eq(shown_key(stk_cursor_next(&c)), "3");
	obtain("4");
	cr_expect_null(stk_cursor_next(&c));
	stk_cursor_stop(&c);
}

/* ---- data ---- */

Test(policy_sticktable, a_rate_slides_over_two_periods)
{
	struct stk_entry *e;
	struct stk_table *t;

	apply(TABLE("type integer size 10 store conn_rate(10s)"));
	t = table("t");
	e = obtain("1");
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 0);
	stk_add(t, e, STK_CONN_RATE, 0, 100);
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 100);
	w.now_ms = T0 + 9999;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 100);
	w.now_ms = T0 + 15000;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 50, "half of the former period is left");
	stk_add(t, e, STK_CONN_RATE, 0, 10);
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 60);
	w.now_ms = T0 + 19000;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 20);
	w.now_ms = T0 + 29999;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 0);
	w.now_ms = T0 + 100000;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 0);
	stk_add(t, e, STK_CONN_RATE, 0, 1);
	w.now_ms += 19999;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 1, "a single event does not vanish halfway");
	w.now_ms += 1;
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 0);
	stk_set(t, e, STK_CONN_RATE, 0, 22);
	cr_expect_eq(stk_read(t, e, STK_CONN_RATE, 0), 22);
}

Test(policy_sticktable, every_kind_of_data_has_its_own_place)
{
	struct stk_entry *e;
	struct stk_table *t;

	apply(TABLE("type string len 20 size 10 store server_id,gpt(3),gpc(100),gpc_rate(2,1m),conn_cnt,conn_rate(1s),conn_cur,"
		    "sess_cnt,sess_rate(1s) store http_req_cnt,http_req_rate(1s),http_err_cnt,http_err_rate(1s),http_fail_cnt,"
		    "http_fail_rate(1s),bytes_in_cnt,bytes_in_rate(1s),bytes_out_cnt,bytes_out_rate(1s)"));
	t = table("t");
	e = obtain("a-key-of-twenty-char");
	for (int d = 0; d < STK_DATA_COUNT; d++)
		for (unsigned i = 0; i < t->shape.col[d].count; i++)
			stk_set(t, e, (enum stk_data)d, i, 1000 * d + i + 1);
	for (int d = 0; d < STK_DATA_COUNT; d++)
		for (unsigned i = 0; i < t->shape.col[d].count; i++)
			cr_expect_eq(stk_read(t, e, (enum stk_data)d, i), 1000 * d + i + 1, "%s %u", stk_data_name(d), i);
	cr_expect_str_eq(shown_key(e), "a-key-of-twenty-char");
	cr_expect_eq(look_up("a-key-of-twenty-char"), e);
}

Test(policy_sticktable, counters_stop_at_their_largest_value)
{
	struct stk_entry *e;
	struct stk_table *t;

	apply(TABLE("type integer size 10 store gpc0,bytes_in_cnt,conn_cur"));
	t = table("t");
	e = obtain("1");
	stk_set(t, e, STK_GPC0, 0, UINT32_MAX - 1);
	stk_add(t, e, STK_GPC0, 0, 5);
	cr_expect_eq(stk_read(t, e, STK_GPC0, 0), UINT32_MAX);
	stk_add(t, e, STK_BYTES_IN_CNT, 0, 1ULL << 40);
	cr_expect_eq(stk_read(t, e, STK_BYTES_IN_CNT, 0), 1ULL << 40);
	stk_dec(t, e, STK_CONN_CUR);
	cr_expect_eq(stk_read(t, e, STK_CONN_CUR, 0), 0);
	stk_add(t, e, STK_GPT0, 0, 1);
	cr_expect_eq(stk_read(t, e, STK_GPT0, 0), 0, "not stored");
}

Test(policy_sticktable, the_old_names_are_the_first_elements_of_arrays)
{
	struct stk_entry *e;
	struct stk_table *t;
	enum stk_data d;
	unsigned idx;

	apply(TABLE("type integer size 10 store gpc(3),gpc_rate(2,1m)"));
	t = table("t");
	e = obtain("1");
	cr_expect_eq(stk_inc_gpc(t, e, 1, true), 1);
	cr_expect_eq(stk_inc_gpc(t, e, 1, false), 2);
	cr_expect_eq(stk_read(t, e, STK_GPC_RATE, 1), 2);
	cr_assert(stk_data_find(STR("gpc2"), &d, &idx));
	cr_expect(d == STK_GPC && idx == 2 && stk_stores(&t->shape, d, idx));
	cr_assert(stk_data_find(STR("gpc1_rate"), &d, &idx));
	cr_expect(stk_stores(&t->shape, d, idx));
	cr_assert(stk_data_find(STR("gpc7_rate"), &d, &idx));
	cr_expect_not(stk_stores(&t->shape, d, idx));
	cr_expect_not(stk_data_find(STR("gpc100"), &d, &idx));
}

/* ---- reloads ---- */

Test(policy_sticktable, a_reload_keeps_a_table_of_the_same_shape_and_no_other)
{
	struct stk_table *t;

	apply("backend t\n stick-table type ip size 10 expire 10s store gpc0\nbackend u\n stick-table type ip size 10\n");
	t = table("t");
	stk_set(t, obtain("192.0.2.1"), STK_GPC0, 0, 5);
	apply("backend u\n stick-table type ip size 20\nbackend t\n stick-table type ip size 10 expire 3s store gpc0\n");
	cr_expect_eq(table("t"), t);
	cr_expect_eq(stk_read(t, look_up("192.0.2.1"), STK_GPC0, 0), 5);
	cr_expect_eq(table("u")->shape.size, 20);
	w.now_ms += 3000;
	cr_expect_null(look_up("192.0.2.1"), "the time to live is the new one");
	obtain("192.0.2.1");
	apply("gateway t\n match dport 80\n stick-table type ip size 10 expire 3s store gpc0\n");
	cr_expect_eq(table("t"), t, "its name is what counts");
	cr_expect_null(stk_table_find(&w, "u"));
	apply(TABLE("type ip size 10 expire 3s store gpc0,gpc1"));
	cr_expect_neq(table("t"), t);
	cr_expect_eq(table("t")->used, 0);
}

Test(policy_sticktable, a_large_table_that_goes_goes_in_pieces)
{
	char key[16];

	apply(TABLE("type integer size 10k"));
	for (int i = 0; i < 1200; i++) {
		snprintf(key, sizeof(key), "%d", i);
		obtain(key);
	}
	apply("backend other\n stick-table type ip size 10\n");
	cr_expect_null(stk_table_find(&w, "t"));
	cr_expect_eq(stk_tick(&w), w.now_ms + 1, "500 are gone");
	cr_expect_eq(stk_tick(&w), w.now_ms + 1, "1000");
	cr_expect_eq(stk_tick(&w), UINT64_MAX);
}

/* ---- rules ---- */

static struct rule_set rules;
static struct acl_set acls;

/* Rules of a gateway's connections, under the configuration in force. */
static void track(const char *line, uint32_t set, struct http_head *req)
{
	char text[256], *args[CFG_MAX_WORDS];
	struct diag d;
	struct cfg_line ln = { .ep = ep, .d = &d, .file = "x", .line = 1, .args = args };
	struct policy_ctx ctx = { .w = &w, .ep = ep, .tmp = &tmp, .src = &src, .tracks = &tracks, .req = req, .req_final = true,
				  .res_final = true };
	struct rule *r;

	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok(text, " "); word; word = strtok(NULL, " "))
		args[ln.argc++] = word;
	args[ln.argc] = args[ln.argc + 1] = (char *)"";
	diag_init(&d);
	rule_set_init(&rules);
	acl_set_init(&acls);
	cr_assert_eq(rule_parse(&ln, 0, set, "test", &rules, &acls), 0, "%s", line);
	stk_cfg_module.resolve(ep, &d);
	cr_assert_eq(d.errors, 0);
	r = list_first(&rules.rules, struct rule, node);
	ctx.repeats = strcmp(line + strlen(line) - 2, " -") == 0;
	cr_expect_eq(r->kw->exec(r, &ctx), ACT_RET_CONT);
	diag_free(&d);
}

static uint64_t value(const char *key, const char *data)
{
	struct stk_entry *e = look_up(key);
	enum stk_data d;
	unsigned idx;

	cr_assert(e && stk_data_find(str_c(data), &d, &idx));
	return stk_read(table("t"), e, d, idx);
}

#define ALL_COUNTS                                                                                               \
	"store conn_cnt,conn_cur,sess_cnt,http_req_cnt,http_err_cnt,http_fail_cnt,bytes_in_cnt,bytes_out_cnt,gpc0,gpc1,gpt0"

Test(policy_sticktable, a_connection_counts_where_it_is_tracked_until_it_ends)
{
	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS));
	track("track-sc0 src table t", RS_GW_CONN, NULL);
	stk_tracks_event(tracks, STK_EV_SESSION);
	stk_tracks_event(tracks, STK_EV_REQUEST);
	stk_tracks_bytes(tracks, 100, 200, false);
	track("track-sc0 src table t", RS_GW_CONN, NULL);
	cr_expect_eq(value("192.0.2.1", "conn_cnt"), 1, "once");
	cr_expect_eq(value("192.0.2.1", "conn_cur"), 1);
	cr_expect_eq(value("192.0.2.1", "sess_cnt"), 1);
	cr_expect_eq(value("192.0.2.1", "http_req_cnt"), 1);
	cr_expect_eq(value("192.0.2.1", "bytes_in_cnt"), 100);
	cr_expect_eq(value("192.0.2.1", "bytes_out_cnt"), 200);
	cr_expect_eq(look_up("192.0.2.1")->refs, 1);
	w.now_ms += 60000;
	stk_tracks_put(&tracks);
	cr_expect_eq(value("192.0.2.1", "conn_cur"), 0);
	cr_expect_eq(stk_expires_in(table("t"), look_up("192.0.2.1")), 10000);
}

Test(policy_sticktable, a_slot_of_a_request_ends_with_it)
{
	struct http_head req = { 0 };

	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS));
	track("track-sc1 src table t", RS_HTTP_REQ, &req);
	stk_tracks_event(tracks, STK_EV_SESSION);
	stk_tracks_event(tracks, STK_EV_ERROR);
	stk_tracks_event(tracks, STK_EV_FAILURE);
	stk_tracks_bytes(tracks, 1, 2, true);
	cr_expect_eq(value("192.0.2.1", "sess_cnt"), 0);
	cr_expect_eq(value("192.0.2.1", "http_req_cnt"), 1);
	cr_expect_eq(value("192.0.2.1", "http_err_cnt"), 1);
	cr_expect_eq(value("192.0.2.1", "http_fail_cnt"), 1);
	cr_expect_eq(value("192.0.2.1", "bytes_out_cnt"), 2);
	stk_tracks_end_request(tracks);
	cr_expect_eq(value("192.0.2.1", "conn_cur"), 0);
	track("track-sc1 src table t", RS_HTTP_REQ, &req);
	cr_expect_eq(value("192.0.2.1", "http_req_cnt"), 2);
}

Test(policy_sticktable, a_request_that_was_counted_is_counted_by_newer_slots_only)
{
	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS) "backend u\n stick-table type ip size 10 " ALL_COUNTS "\n");
	track("track-sc0 src table t", RS_GW_CONN, NULL);
	stk_tracks_request(tracks);
	stk_tracks_counted(tracks, true);
	track("track-sc1 src table u", RS_TCP_SESS, NULL);
	stk_tracks_request(tracks);
	cr_expect_eq(value("192.0.2.1", "http_req_cnt"), 1);
	cr_expect_eq(stk_read(tracks->slot[1].t, tracks->slot[1].e, STK_HTTP_REQ_CNT, 0), 1);
	stk_tracks_request(tracks);
	cr_expect_eq(value("192.0.2.1", "http_req_cnt"), 2);
	cr_expect_eq(stk_read(tracks->slot[1].t, tracks->slot[1].e, STK_HTTP_REQ_CNT, 0), 2);
}

Test(policy_sticktable, counters_and_tags_of_what_is_tracked_are_changed_by_rules)
{
	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS));
	track("sc-inc-gpc0(1)", RS_GW_CONN, NULL);
	track("track-sc1 src table t", RS_GW_CONN, NULL);
	track("sc-inc-gpc0(1)", RS_GW_CONN, NULL);
	track("sc-inc-gpc1(1)", RS_GW_CONN, NULL);
	track("sc-inc-gpc0(0)", RS_GW_CONN, NULL);
	track("sc-set-gpt0(1) 77", RS_GW_CONN, NULL);
	cr_expect_eq(value("192.0.2.1", "gpc0"), 1);
	cr_expect_eq(value("192.0.2.1", "gpc1"), 1);
	cr_expect_eq(value("192.0.2.1", "gpt0"), 77);
	track("sc-set-gpt0(1) src_port", RS_GW_CONN, NULL);
	cr_expect_eq(value("192.0.2.1", "gpt0"), src.port);
}

Test(policy_sticktable, a_removed_table_lives_as_long_as_it_is_tracked)
{
	struct stk_table *t;

	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS));
	t = table("t");
	track("track-sc0 src table t", RS_GW_CONN, NULL);
	apply("backend other\n stick-table type ip size 10\n");
	cr_expect_null(stk_table_find(&w, "t"));
	stk_tracks_event(tracks, STK_EV_REQUEST);
	cr_expect_eq(stk_read(t, tracks->slot[0].e, STK_HTTP_REQ_CNT, 0), 1);
}

/* ---- expressions ---- */

static const char *eval(const char *text, bool repeats)
{
	static char shown[256];
	struct policy_ctx ctx = { .w = &w, .ep = ep, .tmp = &tmp, .src = &src, .tracks = &tracks, .repeats = repeats,
				  .req_final = true, .res_final = true };
	struct sample_expr *e;
	struct sample s;
	struct diag d;
	struct str v;
	char *err = NULL;

	e = sample_parse(text, NULL, SMP_AT_ANY, &ep->arena, &err);
	if (!e) {
		snprintf(shown, sizeof(shown), "%s", err);
		free(err);
		return shown;
	}
	diag_init(&d);
	stk_cfg_module.resolve(ep, &d);
	if (d.errors) {
		snprintf(shown, sizeof(shown), "%s", list_last(&d.msgs, struct diag_msg, node)->text);
		diag_free(&d);
		return shown;
	}
	if (sample_eval(e, &ctx, NULL, &s) != SMP_FOUND)
		return "ABSENT";
	cr_assert(sample_to_str(&s, &ctx, &v));
	snprintf(shown, sizeof(shown), "%.*s", STR_ARG(v));
	return shown;
}

#define expect_eval(text, want) cr_expect_str_eq(eval(text, false), want, "%s is %s", text, eval(text, true))

Test(policy_sticktable, expressions_read_the_clients_entry_or_nothing)
{
	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS ",conn_rate(10s)"));
	expect_eval("src_conn_cnt(t)", "0");
	expect_eval("src,in_table(t)", "0");
	cr_expect_eq(table("t")->used, 0, "reading makes no entry");
	expect_eval("src_updt_conn_cnt(t)", "1");
	expect_eval("src_inc_gpc0(t)", "1");
	cr_expect_str_eq(eval("src_inc_gpc0(t)", true), "2", "what it would be");
	expect_eval("src_inc_gpc0(t)", "2");
	expect_eval("src_get_gpc0(t)", "2");
	expect_eval("src_clr_gpc0(t)", "2");
	expect_eval("src_get_gpc0(t)", "0");
	stk_set(table("t"), look_up("192.0.2.1"), STK_BYTES_IN_CNT, 0, 5000);
	expect_eval("src_kbytes_in(t)", "4");
	expect_eval("src,table_kbytes_in(t)", "4");
	expect_eval("src,in_table(t)", "1");
	expect_eval("str(192.0.2.9),table_conn_cnt(t)", "0");
	expect_eval("str(192.0.2.1),table_conn_cnt(t)", "1");
	expect_eval("str(none),in_table(t)", "0");
	w.now_ms += 4000;
	expect_eval("src,table_expire(t)", "6000");
	expect_eval("src,table_idle(t)", "4000");
	expect_eval("str(192.0.2.9),table_idle(t)", "ABSENT");
	expect_eval("str(192.0.2.9),table_idle(t,-1)", "-1");
	expect_eval("table_cnt(t)", "1");
	expect_eval("table_avl(t)", "9");
}

Test(policy_sticktable, expressions_read_what_a_slot_tracks)
{
	apply(TABLE("type ip size 10 expire 10s " ALL_COUNTS ",conn_rate(10s)") "backend o\n stick-table type ip size 5 store gpc0\n"
	      "backend s\n stick-table type string size 5 store gpc0\n");
	expect_eval("sc0_conn_rate", "ABSENT");
	expect_eval("sc_tracked(0)", "0");
	track("track-sc0 src table t", RS_GW_CONN, NULL);
	expect_eval("sc0_conn_rate", "1");
	expect_eval("sc_conn_cur(0)", "1");
	expect_eval("sc0_tracked", "1");
	expect_eval("sc1_tracked", "0");
	expect_eval("sc0_trackers", "1");
	expect_eval("src,table_trackers(t)", "1");
	expect_eval("sc_inc_gpc0(0)", "1");
	expect_eval("sc0_get_gpc0(o)", "ABSENT");
	expect_eval("sc0_inc_gpc0(o)", "1");
	expect_eval("sc0_get_gpc0(o)", "1");
	expect_eval("sc0_get_gpc0(s)", "ABSENT");
	expect_eval("sc0_sess_rate", "ABSENT");
}

/* ---- messages ---- */

static void expect_told(const char *text, const char *want)
{
	struct epoch *e = build(text);

	cr_expect(strstr(told, want), "for\n%s\nexpected: %s\ntold: %s", text, want, told);
	epoch_put(e);
}

#define AT(line) ":" #line "] : "

Test(policy_sticktable, a_wrong_line_is_told_with_its_place)
{
	static const struct {
		const char *args, *want;
	} wrong[] = {
		{ "", AT(2) "stick-table: missing size." },
		{ "type ip", "stick-table: missing size." },
		{ "size 10", "stick-table: missing type." },
		{ "type ipv5 size 10", "stick-table: unknown type 'ipv5'; did you mean 'ip" },
		{ "type ip size", "stick-table: missing argument after 'size'." },
		{ "type ip size abc", "stick-table: unexpected character 'a' in argument of 'size'." },
		{ "type ip size 0", "stick-table: missing size." },
		{ "type ip size 8g", "argument '8g' of 'size' is out of range" },
		{ "type ip size 10 expire 1w", "stick-table: unexpected character 'w' in argument of 'expire'." },
		{ "type ip size 10 expire", "stick-table: missing argument after 'expire'." },
		{ "type ip size 10 nopurg", "stick-table: unknown argument 'nopurg'; did you mean 'nopurge'" },
		{ "type ip len 4 size 10", "stick-table: unknown argument 'len'" },
		{ "type string len 0 size 10", "'len' expects a number from 1 to 16384 (got '0')" },
		{ "type string len size 10", "'len' expects a number from 1 to 16384 (got 'size')" },
		{ "type ip size 10 peers p", "'peers' is not supported" },
		{ "type ip size 10 srvkey x", "unknown server key type 'x'" },
		{ "type ip size 10 store", "missing argument after 'store'" },
		{ "type ip size 10 store con_cnt", "unknown store option 'con_cnt'; did you mean 'conn_cnt'" },
		{ "type ip size 10 store gpc7", "unknown store option 'gpc7'" },
		{ "type ip size 10 store conn_rate", "missing argument to store option 'conn_rate'" },
		{ "type ip size 10 store conn_rate(0)", "'conn_rate' expects a period above 0, not '0'" },
		{ "type ip size 10 store conn_rate(x)", "'conn_rate' expects a period above 0, not 'x'" },
		{ "type ip size 10 store conn_rate(1s", "missing closing parenthesis after store option 'conn_rate'" },
		{ "type ip size 10 store gpc0(1)", "unexpected argument to store option 'gpc0'" },
		{ "type ip size 10 store gpc(0)", "array size is out of allowed range (1-100) for store option 'gpc'" },
		{ "type ip size 10 store gpc(101)", "array size is out of allowed range" },
		{ "type ip size 10 store gpc_rate(2)", "missing argument to store option 'gpc_rate'" },
		{ "type ip size 10 store gpc(2),gpc1", "simultaneous usage of 'gpc' and 'gpc1' in a same table is not permitted" },
		{ "type ip size 10 store gpc0,gpc0", "store option 'gpc0' already enabled, ignored" },
		{ "type ip size 10 nopurge", "'nopurge' without 'expire'" },
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), TABLE("%s"), wrong[i].args);
		expect_told(text, wrong[i].want);
	}
	expect_told(TABLE("type ip size 10") " stick-table type ip size 10\n", AT(3));
}

Test(policy_sticktable, a_table_that_does_not_fit_its_use_is_told_with_the_place_of_the_use)
{
	static const struct {
		const char *rule, *want;
	} wrong[] = {
		{ "tcp-request connection track-sc0 src", "unable to find table 'gw', referenced by track-sc0 in gateway 'gw'." },
		{ "tcp-request connection track-sc0 src table tt", "unable to find table 'tt'; did you mean 't'" },
		{ "tcp-request connection track-sc0 src table", "'table' expects a name" },
		{ "tcp-request connection track-sc0", "track-sc0 : missing fetch method" },
		{ "tcp-request connection track-sc3 src table t", "unknown action 'track-sc3'" },
		{ "tcp-request connection track-sc0 always_true table t", "has no key for a sample of type 'boolean', referenced by "
		  "track-sc0" },
		{ "tcp-request connection track-sc0 path table t", "fetch method 'path' cannot be used here" },
		{ "tcp-request connection reject if { src_conn_rate gt 1 }", "unable to find table 'gw', referenced by 'src_conn_rate' "
		  "in gateway 'gw'." },
		{ "tcp-request connection reject if { src_conn_rate(u) gt 1 }", "unable to find table 'u'" },
		{ "tcp-request connection reject if { src_conn_rate(t) gt 1 }", "does not store 'conn_rate', referenced by "
		  "'src_conn_rate'" },
		{ "tcp-request connection reject if { src_get_gpc(2,t) gt 1 }", "does not store 'gpc' with so many elements" },
		{ "tcp-request connection reject if { src_get_gpc(100,t) gt 1 }", "index 100 is not between 0 and 99" },
		{ "tcp-request connection reject if { sc_conn_cnt gt 1 }", "missing arguments (got 0/1), type 'integer' expected" },
		{ "tcp-request connection reject if { sc_conn_cnt(3) gt 1 }", "3 is no track id" },
		{ "tcp-request connection reject if { sc0_conn_cnt(u) gt 1 }", "unable to find table 'u'" },
		{ "tcp-request connection reject if { src,table_conn_cnt(u) gt 1 }", "unable to find table 'u'" },
		{ "tcp-request connection reject if { src,in_table(u) }", "unable to find table 'u'" },
		{ "tcp-request connection reject if { src,table_http_req_rate(t) gt 1 }", "does not store 'http_req_rate'" },
		{ "tcp-request connection reject if { table_avl(u) gt 1 }", "unable to find table 'u'" },
		{ "tcp-request connection sc-inc-gpc0(3)", "invalid stick table track ID" },
		{ "tcp-request connection sc-inc-gpc(1)", "invalid stick table track ID" },
		{ "tcp-request connection sc-inc-gpc(100,0)", "invalid index '100'" },
		{ "tcp-request connection sc-inc-gpc", "expects sc-inc-gpc(<index>,<track id>)" },
		{ "tcp-request connection sc-set-gpt0(0)", "sc-set-gpt0 : missing fetch method" },
		{ "tcp-request connection sc-set-gpt0(0) 4294967296", "does not fit in 32 bits" },
		{ "tcp-request connection sc-set-gpt0(0) abc", "unknown fetch method 'abc'" },
	};
	char text[512];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		snprintf(text, sizeof(text), "gateway gw\n match dport 80\n %s\n" TABLE("type ip size 10 store conn_cnt,gpc(2)"),
			 wrong[i].rule);
		expect_told(text, wrong[i].want);
		cr_expect(strstr(told, ":3]"), "%s", told);
	}
}
