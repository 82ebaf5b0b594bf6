/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_balance.c - which server is taken
 */
#include "l7_test.h"

static struct proxy *be;

static void start(const char *algo, const char *servers)
{
	char cfg[1024];

	snprintf(cfg, sizeof(cfg), "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
		 "backend be\n balance %s\n%s", algo, servers);
	lt_start(cfg);
	be = proxy_find(lt_w.l7, PX_CAP_BE, "be");
	cr_assert_not_null(be);
}

static struct server *pick(uint32_t src)
{
	struct addr a = { .family = AF_INET, .ip.v4.s_addr = htonl(src) };
	bool full = false;

	return balance_pick(be, &a, NULL, &full);
}

/* The names of <n> picks in a row. */
static const char *picks(int n)
{
	static char text[256];

	text[0] = '\0';
	while (n--) {
		struct server *s = pick(1);

		strcat(text, s ? s->name : "-");
	}
	return text;
}

#define ABC " server a 127.0.0.1:1\n server b 127.0.0.1:2\n server c 127.0.0.1:3\n"

Test(l7_balance, roundrobin_takes_turns_in_the_order_written)
{
	start("roundrobin", ABC);
	cr_assert_str_eq(picks(7), "abcabca");
	lt_stop();
}

Test(l7_balance, weights_are_spread_out)
{
	start("roundrobin", " server a 127.0.0.1:1 weight 3\n server b 127.0.0.1:2 weight 1\n server c 127.0.0.1:3 weight 0\n");
	cr_assert_str_eq(picks(8), "aabaaaba");
	lt_stop();
}

Test(l7_balance, leastconn_takes_the_emptiest_by_weight_and_equals_in_turn)
{
	start("leastconn", ABC);
	cr_assert_str_eq(picks(4), "abca");
	server_find(be, "a")->cur = 2;
	server_find(be, "b")->cur = 1;
	server_find(be, "c")->cur = 3;
	cr_assert_str_eq(picks(1), "b");
	server_find(be, "c")->weight = 10;
	cr_assert_str_eq(picks(1), "c");
	for (const char *p = "abc"; *p; p++)
		server_find(be, (char[]){ *p, 0 })->cur = 0;
	lt_stop();
}

Test(l7_balance, source_is_stable_and_spreads)
{
	unsigned hits[3] = { 0 };

	start("source", ABC);
	for (uint32_t i = 0; i < 3000; i++) {
		struct server *s = pick(0x0a000000 + i * 7);

		cr_assert_eq(s, pick(0x0a000000 + i * 7));
		hits[s->name[0] - 'a']++;
	}
	for (int i = 0; i < 3; i++)
		cr_assert(hits[i] > 800 && hits[i] < 1200, "%u", hits[i]);
	lt_stop();
}

Test(l7_balance, first_fills_servers_up)
{
	start("first", " server a 127.0.0.1:1 maxconn 1\n server b 127.0.0.1:2\n");
	cr_assert_str_eq(picks(2), "aa");
	server_find(be, "a")->cur = 1;
	cr_assert_str_eq(picks(2), "bb");
	server_find(be, "a")->cur = 0;
	lt_stop();
}

Test(l7_balance, random_prefers_the_emptier_of_two)
{
	unsigned a = 0;

	start("random", " server a 127.0.0.1:1\n server b 127.0.0.1:2\n");
	server_find(be, "a")->cur = 5;
	for (int i = 0; i < 400; i++)
		a += pick(1)->name[0] == 'a';
	cr_assert(a > 50 && a < 150, "only when drawn twice: %u", a);
	server_find(be, "a")->cur = 0;
	lt_stop();
}

Test(l7_balance, backups_serve_when_nobody_else_can)
{
	start("roundrobin", " server a 127.0.0.1:1\n server b 127.0.0.1:2 backup\n server c 127.0.0.1:3 backup\n");
	cr_assert_str_eq(picks(2), "aa");
	server_set_admin(server_find(be, "a"), SRV_ADM_MAINT, NULL);
	cr_assert_str_eq(picks(2), "bb");
	server_set_admin(server_find(be, "b"), SRV_ADM_DRAIN, NULL);
	cr_assert_str_eq(picks(2), "cc");
	server_set_admin(server_find(be, "c"), SRV_ADM_MAINT, NULL);
	cr_assert_str_eq(picks(1), "-");
	lt_stop();
}

Test(l7_balance, the_one_that_just_failed_is_avoided_unless_it_is_alone)
{
	struct addr a = { .family = AF_INET };
	bool full = false;

	start("roundrobin", " server a 127.0.0.1:1\n server b 127.0.0.1:2\n");
	for (int i = 0; i < 4; i++)
		cr_assert_str_eq(balance_pick(be, &a, server_find(be, "a"), &full)->name, "b");
	server_set_admin(server_find(be, "b"), SRV_ADM_MAINT, NULL);
	cr_assert_str_eq(balance_pick(be, &a, server_find(be, "a"), &full)->name, "a");
	lt_stop();
}

Test(l7_balance, what_the_operator_set_lives_through_a_reload_unless_its_text_changed)
{
	start("roundrobin", ABC);
	server_find(be, "a")->weight = 9;
	server_find(be, "a")->weight_set = true;
	server_find(be, "b")->c.sess_tot = 5;
	lt_apply("backend be\n server b 127.0.0.1:2\n server a 127.0.0.1:1\n server d 127.0.0.1:4\n");
	be = proxy_find(lt_w.l7, PX_CAP_BE, "be");
	cr_assert_eq(server_find(be, "a")->weight, 9);
	cr_assert_eq(server_find(be, "b")->c.sess_tot, 5);
	cr_assert_null(server_find(be, "c"));
	cr_assert_not_null(server_find(be, "d"));
	cr_assert_str_eq(list_first(&be->servers, struct server, node)->name, "b");
	lt_apply("backend be\n server a 127.0.0.1:1 weight 2\n");
	cr_assert_eq(server_find(be, "a")->weight, 2);
	lt_stop();
}
