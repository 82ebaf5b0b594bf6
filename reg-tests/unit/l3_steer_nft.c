/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Steering as a script for nft: its text. That the kernel takes it, and where packets go then: reg-tests/netns/25-nft.sh
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l3/mark.h"
#include "l3/steer.h"

static char *err;

static const struct steer_ports web[] = { { 80, 80 }, { 8000, 8100 } };
static struct steer_match to_web = { .in = "eth+", .out = "wan0", .ports = web, .nb_ports = 2 };
static struct steer_match any;
static struct steer_gateway edge = { .name = "edge", .queue_first = 4, .queue_last = 7, .match = &to_web, .nb_match = 1 };

#define has(text, what) (strstr(text, what) != NULL)

static char *script_of(const struct steer_conf *c)
{
	struct buf b = { 0 };

	cr_assert_eq(steer_nft_print(c, &b, &err), 0, "%s", err);
	buf_put_grow(&b, "", 1);
	return b.area;
}

static char *script(struct steer_gateway *gw, unsigned n)
{
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .route_table = 1000, .gw = gw, .nb_gw = n };

	return script_of(&c);
}

/* The body of a chain, tabs left out */
static const char *chain(const char *s, const char *name)
{
	static char body[4096];
	char head[64];
	const char *p, *end;
	char *d = body;

	snprintf(head, sizeof(head), "\tchain %s {\n", name);
	p = strstr(s, head);
	cr_assert_not_null(p, "no chain %s in %s", name, s);
	p += strlen(head);
	end = strstr(p, "\t}\n");
	for (; p < end && d < body + sizeof(body) - 1; p++)
		if (*p != '\t')
			*d++ = *p;
	*d = '\0';
	return body;
}

Test(l3_steer_nft, first_packets_are_described_by_their_match_line)
{
	char *s = script(&edge, 1);

	cr_assert_str_eq(chain(s, "FWD"),
			 "ct mark & 0x03000000 != 0x00000000 return\n"
			 "iifname \"eth*\" oifname \"wan0\" tcp flags & (fin | syn | rst | ack) == syn tcp dport { 80, 8000-8100 } goto NEW0\n"
			 "iifname \"eth*\" oifname \"wan0\" tcp flags & (fin | syn | rst | ack) != syn tcp dport { 80, 8000-8100 } goto STRAY0\n"
			 "iifname \"wan0\" oifname \"eth*\" tcp sport { 80, 8000-8100 } goto STRAY0\n");
	cr_assert_str_eq(chain(s, "NEW0"), "ct mark set ct mark & 0xf0ffffff | 0x01000000\n"
					   "counter queue flags bypass to 4-7\n");
	cr_assert_str_eq(chain(s, "STRAY0"), "counter queue flags bypass to 4-7\n");
	cr_assert_str_eq(chain(s, "SOFTQ"), "counter queue flags bypass to 4-7\n");
	cr_assert_str_eq(chain(s, "HARDQ"), "counter queue to 4-7\n", "hard: no bypass");
	free(s);
}

Test(l3_steer_nft, on_failure_block_leaves_no_bypass)
{
	struct steer_gateway gw = edge;
	char *s;

	gw.block = true;
	gw.queue_last = gw.queue_first;
	s = script(&gw, 1);
	cr_assert_str_eq(chain(s, "NEW0"), "ct mark set ct mark & 0xf0ffffff | 0x02000000\ncounter queue to 4\n");
	cr_assert_str_eq(chain(s, "STRAY0"), "counter queue to 4\n");
	free(s);
}

Test(l3_steer_nft, a_match_of_one_family_leaves_the_other_alone)
{
	struct steer_match m = { .in = "" };
	struct steer_gateway gw = { .name = "g", .match = &m, .nb_match = 1 };
	char *s;

	netmask_parse(&m.dst, STR("2001:db8::/32"));
	s = script(&gw, 1);
	cr_assert(has(chain(s, "prerouting"), "policy accept;\nmeta nfproto ipv4 accept\niifname \"lo\" accept\n"), "%s", s);
	cr_assert(has(chain(s, "output"), "meta nfproto ipv4 accept\n") && !has(s, "nfproto ipv6"));
	cr_assert(has(chain(s, "FWD"), "ip6 saddr 2001:db8::/32 goto STRAY0\n"), "and back");
	cr_assert(!has(s, "\nip rule") && has(s, "|| ip -6 rule add "));
	free(s);
	netmask_parse(&m.dst, STR("10.0.0.0/8"));
	s = script(&gw, 1);
	cr_assert(has(chain(s, "FWD"), "ip daddr 10.0.0.0/8 tcp flags") && has(s, "meta nfproto ipv6 accept"));
	free(s);
	gw.nb_match = 0;
	s = script(&gw, 1);
	cr_assert(!has(s, "nft -f") && !has(s, "ip rule"), "without a match line nothing is steered");
	free(s);
	gw.leftover = true;
	s = script(&gw, 1);
	cr_assert(has(s, "nft -f") && !has(s, "nfproto"), "what it has is, whatever family");
	free(s);
}

Test(l3_steer_nft, with_several_gateways_the_original_tuple_chooses_the_queue)
{
	struct steer_match m = { .in = "" };
	struct steer_gateway gw[2] = { edge, { .name = "two", .queue_first = 9, .queue_last = 9, .match = &m, .nb_match = 1 } };
	char *s;

	netmask_parse(&m.src, STR("10.1.0.0/16"));
	netmask_parse(&m.dst, STR("10.2.0.0/16"));
	s = script(gw, 2);
	cr_assert_str_eq(chain(s, "SOFTQ"),
			 "meta l4proto tcp ct original proto-dst 80 counter queue flags bypass to 4-7\n"
			 "meta l4proto tcp ct original proto-dst 8000-8100 counter queue flags bypass to 4-7\n"
			 "meta l4proto tcp ct original ip saddr 10.1.0.0/16 ct original ip daddr 10.2.0.0/16 counter queue flags bypass to 9\n"
			 "counter queue flags bypass to 4-7\n");
	cr_assert(has(chain(s, "HARDQ"), "ct original ip daddr 10.2.0.0/16 counter queue to 9\ncounter queue to 4-7\n"),
		  "and something always does");
	free(s);
}

Test(l3_steer_nft, classes_and_errors)
{
	char *s = script(&edge, 1);

	cr_assert_str_eq(chain(s, "REQ"), "meta mark & 0x0f000000 == 0x0e000000 return\n"
					  "meta mark & 0x0f000000 == 0x08000000 ct mark set ct mark & 0xf0ffffff\n"
					  "meta mark & 0x0f000000 == 0x09000000 ct mark set ct mark & 0xf0ffffff | 0x01000000\n"
					  "meta mark & 0x0f000000 == 0x0a000000 ct mark set ct mark & 0xf0ffffff | 0x02000000\n"
					  "meta mark & 0x0f000000 == 0x0b000000 ct mark set ct mark & 0xf0ffffff | 0x03000000\n"
					  "meta mark set meta mark & 0xf0ffffff\n"
					  "accept\n");
	cr_assert(has(chain(s, "PRE"), "vmap { 0x03000000 : accept, 0x01000000 : goto SOFTQ, 0x02000000 : goto HARD }\n"));
	cr_assert(has(chain(s, "prerouting"),
		      "meta l4proto { icmp, ipv6-icmp } ct mark & 0x03000000 vmap { 0x02000000 : goto HARD, 0x03000000 : goto SOFTQ }\n"));
	cr_assert(has(chain(s, "output"),
		      "meta l4proto { icmp, ipv6-icmp } ct mark & 0x03000000 vmap { 0x03000000 : goto OWN, 0x02000000 : goto SOFTQ }\n"));
	free(s);
}

/* Of a hook: what is looked at first */
static bool begins(const char *s, const char *hook, const char *rule)
{
	const char *body = strchr(chain(s, hook), '\n') + 1;

	if (strncmp(body, "iifname \"lo\" accept\n", 20) == 0)
		body += 20;
	return strncmp(body, rule, strlen(rule)) == 0;
}

Test(l3_steer_nft, a_request_is_the_first_that_is_looked_at)
{
	char *s = script(&edge, 1);

	cr_assert(begins(s, "prerouting", "meta l4proto tcp meta mark & 0x08000000 == 0x08000000 jump REQ\n"));
	cr_assert(begins(s, "forward", "iifname != \"lo\" meta l4proto tcp meta mark & 0x08000000 == 0x08000000 jump REQ\n"));
	cr_assert(begins(s, "output", "meta mark & 0x08000000 == 0x08000000 jump REQ\n"));
	free(s);
}

Test(l3_steer_nft, what_set_mark_sets_travels_bit_by_bit)
{
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .route_table = 7, .set_mask = 0x80000010, .gw = &edge, .nb_gw = 1 };
	char *s = script_of(&c);

	cr_assert(has(chain(s, "REQ"), "meta mark & 0x00000010 == 0x00000010 ct mark set ct mark | 0x00000010\n"
				       "meta mark & 0x00000010 == 0x00000000 ct mark set ct mark & 0xffffffef\n"
				       "meta mark & 0x80000000 == 0x80000000 ct mark set ct mark | 0x80000000\n"
				       "meta mark & 0x80000000 == 0x00000000 ct mark set ct mark & 0x7fffffff\n"
				       "meta mark & 0x0f000000 == 0x08000000"), "%s", s);
	cr_assert(has(chain(s, "PRE"), "0x03000000 : goto RESTORE,"));
	cr_assert_str_eq(chain(s, "RESTORE"), "meta mark set meta mark & 0x7fffffef\n"
					      "ct mark & 0x00000010 == 0x00000010 meta mark set meta mark | 0x00000010\n"
					      "ct mark & 0x80000000 == 0x80000000 meta mark set meta mark | 0x80000000\n");
	free(s);
}

Test(l3_steer_nft, marks_are_only_touched_under_the_mask)
{
	struct steer_conf c = { .mark_mask = 0x00000780, .route_table = 7, .gw = &edge, .nb_gw = 1 };
	char *s = script_of(&c);
	unsigned n = 0;

	for (char *p = strstr(s, "nft -f"); (p = strstr(p, "0x")); p += 10, n++) {
		unsigned long v = strtoul(p, NULL, 16);

		cr_expect((v & ~0x780ul) == 0 || v == (uint32_t)~0x780u, "%.40s", p);
	}
	for (char *p = s; (p = strstr(p, "mark set ")); p += 9)
		cr_expect(strncmp(p, "mark set ct mark & 0xfffff87f", 29) == 0 || strncmp(p, "mark set meta mark & 0xfffff87f", 31) == 0 ||
			  strncmp(p, "mark set socket mark ", 21) == 0, "%.40s", p);
	cr_expect_gt(n, 20);
	free(s);
}

/* Every chain that is gone to is there, before it or behind it, and every one that is there is gone to. */
Test(l3_steer_nft, chains_and_jumps_fit)
{
	struct steer_match m[2] = { { .in = "" }, to_web };
	struct steer_gateway gw[2] = { edge, { .name = "two", .queue_first = 9, .queue_last = 9, .match = m, .nb_match = 2 } };
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .route_table = 7, .set_mask = 1, .gw = gw, .nb_gw = 2 };
	static const char *const verbs[] = { "goto ", "jump " };
	char *s = script_of(&c), name[40], what[64];

	for (unsigned i = 0; i < 2; i++)
		for (char *p = s; (p = strstr(p, verbs[i])); p++) {
			cr_assert_eq(sscanf(p + 5, "%39[A-Z0-9]", name), 1);
			chain(s, name);
		}
	for (char *p = s; (p = strstr(p, "\tchain ")); p++) {
		if (sscanf(p + 7, "%39[A-Z0-9]", name) != 1)
			continue; /* a hook */
		snprintf(what, sizeof(what), "goto %s", name);
		cr_expect(has(s, what) || strcmp(name, "REQ") == 0, "%s", name);
	}
	free(s);
}

Test(l3_steer_nft, names_of_interfaces)
{
	static const struct {
		const char *name, *text;
	} names[] = { { "eth0", "\t\tiifname \"eth0\" tcp flags" }, { "eth+", "\t\tiifname \"eth*\" tcp flags" }, { "+", "\t\ttcp flags" },
		      { "a+b", "\t\tiifname \"a+b\" tcp flags" }, { "a*", "\t\tiifname \"a\\*\" tcp flags" } };
	struct steer_match m = { .in = "" };
	struct steer_gateway gw = { .name = "g", .match = &m, .nb_match = 1 };
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .gw = &gw, .nb_gw = 1 };
	struct buf b = { 0 };

	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		char *s;

		strcpy(m.in, names[i].name);
		s = script(&gw, 1);
		cr_expect(has(s, names[i].text), "%s: %s", names[i].name, s);
		free(s);
	}
	strcpy(m.in, "");
	strcpy(m.out, "e\"");
	cr_assert_eq(steer_nft_print(&c, &b, &err), -EINVAL);
	cr_assert_str_eq(err, "gateway g: nft has no way to write the name of interface 'e\"'");
	free(err), err = NULL;
	cr_assert_eq(b.data, 0);
}

Test(l3_steer_nft, what_cannot_be_steered_is_refused_as_for_iptables)
{
	struct steer_conf c = { .mark_mask = 0x0b000000, .gw = &edge, .nb_gw = 1 };
	struct buf b = { 0 };

	cr_assert_eq(steer_nft_print(&c, &b, &err), -EINVAL);
	cr_assert_str_eq(err, "mark-mask 0x0b000000 is not four adjacent bits");
	free(err), err = NULL;
}

Test(l3_steer_nft, what_is_printed_is_a_script_that_replaces_what_it_put_in_before)
{
	struct steer_gateway gw = { .name = "g", .match = &any, .nb_match = 1 };
	char *s = script(&gw, 1);
	FILE *sh = popen("sh -n", "w");

	fwrite(s, 1, strlen(s), sh);
	cr_assert_eq(pclose(sh), 0);
	cr_assert(has(s, "nft -f - <<'EOF'\ntable inet standin {}\ndelete table inet standin\ntable inet standin {\n"));
	cr_assert(has(s, "\nip rule list pref 10 fwmark 0x0e000000/0x0f000000 lookup 1000 | grep -q . || ip rule add pref 10 fwmark "
			 "0x0e000000/0x0f000000 lookup 1000\nip route replace local default dev lo table 1000\n"));
	cr_assert(has(s, "}\nEOF\n"));
	free(s);
}
