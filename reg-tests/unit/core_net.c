/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_net.c - addresses
 */
#include <criterion/criterion.h>
#include <errno.h>

#include "core/net.h"

static struct addr ip(const char *s, uint16_t port)
{
	struct addr a;

	cr_assert_eq(addr_parse_ip(&a, str_c(s)), 0, "%s", s);
	a.port = port;
	return a;
}

Test(addr, prints_as_it_was_written)
{
	char text[ADDR_STRLEN];
	struct addr a = ip("192.0.2.1", 80), b = ip("2001:db8::1", 443), none = { 0 };

	cr_assert_str_eq(addr_print(&a, text), "192.0.2.1:80");
	cr_assert_str_eq(addr_print(&b, text), "[2001:db8::1]:443");
	cr_assert_str_eq(addr_print_ip(&b, text), "2001:db8::1");
	cr_assert_str_eq(addr_print(&none, text), "-");
}

Test(addr, goes_through_a_sockaddr_unchanged)
{
	struct addr in[] = { ip("10.1.2.3", 65535), ip("fe80::1", 1) }, out;
	struct sockaddr_storage ss;

	for (size_t i = 0; i < ARRAY_SIZE(in); i++) {
		memset(&out, 0xff, sizeof(out));
		cr_assert_gt(addr_to_sa(&in[i], &ss), 0);
		cr_assert_eq(addr_from_sa(&out, (struct sockaddr *)&ss), 0);
		cr_assert_eq(memcmp(&in[i], &out, sizeof(out)), 0, "padding included");
		cr_assert(addr_eq(&in[i], &out));
	}
	ss.ss_family = AF_UNIX;
	cr_assert_eq(addr_from_sa(&out, (struct sockaddr *)&ss), -EAFNOSUPPORT);
}

Test(addr, an_ipv4_mapped_address_is_ipv4)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
	struct addr a, want = ip("192.0.2.7", 80);

	memcpy(sin6.sin6_addr.s6_addr, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07", 16);
	cr_assert_eq(addr_from_sa(&a, (struct sockaddr *)&sin6), 0);
	cr_assert(addr_eq(&a, &want));
}

Test(addr, equality_of_address_and_of_port)
{
	struct addr a = ip("10.0.0.1", 1), b = ip("10.0.0.1", 2), c = ip("10.0.0.2", 1);

	cr_assert_not(addr_eq(&a, &b));
	cr_assert(addr_eq_ip(&a, &b));
	cr_assert_not(addr_eq_ip(&a, &c));
}

Test(addr, refuses_what_is_no_address)
{
	static const char *const bad[] = {
		"",          "1.2.3",    "1.2.3.4.5",
		"256.1.1.1", "::g",      "[::1]",
		"1.2.3.4:5", " 1.2.3.4", "00000000000000000000000000000000000000000000000000000000::1"
	};
	struct addr a;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		cr_assert_eq(addr_parse_ip(&a, str_c(bad[i])), -EINVAL, "%s", bad[i]);
		cr_assert_not(addr_is_set(&a));
	}
}

Test(netmask, matches_by_prefix)
{
	static const struct {
		const char *net, *ip;
		bool match;
	} t[] = {
		{ "10.0.0.0/8", "10.255.0.1", true },
		{ "10.0.0.0/8", "11.0.0.1", false },
		{ "10.1.2.128/25", "10.1.2.200", true },
		{ "10.1.2.128/25", "10.1.2.100", false },
		{ "0.0.0.0/0", "1.2.3.4", true },
		{ "0.0.0.0/0", "::1", false },
		{ "1.2.3.4", "1.2.3.4", true },
		{ "1.2.3.4", "1.2.3.5", false },
		{ "2001:db8::/33", "2001:db8:7fff::1", true },
		{ "2001:db8::/33", "2001:db8:8000::1", false },
		{ "::/0", "::1", true },
		{ "::1/128", "::1", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(t); i++) {
		struct addr a = ip(t[i].ip, 0);
		struct netmask m;

		cr_assert_eq(netmask_parse(&m, str_c(t[i].net)), 0, "%s", t[i].net);
		cr_assert_eq(netmask_match(&m, &a), t[i].match, "%s %s", t[i].net, t[i].ip);
	}
}

Test(netmask, refuses_what_is_no_network)
{
	static const char *const bad[] = { "",   "10.0.0.0/",    "10.0.0.0/33", "::/129",
					   "/8", "10.0.0.0/8/8", "10/8" };
	struct netmask m;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		cr_assert_eq(netmask_parse(&m, str_c(bad[i])), -EINVAL, "%s", bad[i]);
}
