/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * net.c - addresses and small socket helpers
 *
 * Every struct addr made here is zeroed first, so that memcmp() and hashing of
 * whole structs are meaningful: unused bytes of ip are zero, padding too.
 */
#include "core/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return a->port == b->port && addr_eq_ip(a, b);
}

bool addr_eq_ip(const struct addr *a, const struct addr *b)
{
	return a->family == b->family && memcmp(&a->ip, &b->ip, sizeof(a->ip)) == 0;
}

bool addr_is_set(const struct addr *a)
{
	return a->family != AF_UNSPEC;
}

socklen_t addr_to_sa(const struct addr *a, struct sockaddr_storage *ss)
{
	memset(ss, 0, sizeof(*ss));
	ss->ss_family = a->family;
	if (a->family == AF_INET) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ss;

		sin->sin_port = htons(a->port);
		sin->sin_addr = a->ip.v4;
		return sizeof(*sin);
	}
	if (a->family == AF_INET6) {
		struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

		sin6->sin6_port = htons(a->port);
		sin6->sin6_addr = a->ip.v6;
		return sizeof(*sin6);
	}
	return 0;
}

int addr_from_sa(struct addr *a, const struct sockaddr *sa)
{
	memset(a, 0, sizeof(*a));
	if (sa->sa_family == AF_INET) {
		const struct sockaddr_in *sin = (const struct sockaddr_in *)sa;

		a->family = AF_INET;
		a->port = ntohs(sin->sin_port);
		a->ip.v4 = sin->sin_addr;
		return 0;
	}
	if (sa->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = (const struct sockaddr_in6 *)sa;

		a->port = ntohs(sin6->sin6_port);
		if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
			a->family = AF_INET;
			memcpy(&a->ip.v4, &sin6->sin6_addr.s6_addr[12], 4);
		} else {
			a->family = AF_INET6;
			a->ip.v6 = sin6->sin6_addr;
		}
		return 0;
	}
	return -EAFNOSUPPORT;
}

char *addr_print_ip(const struct addr *a, char dst[ADDR_STRLEN])
{
	if (a->family != AF_INET && a->family != AF_INET6)
		strcpy(dst, "-");
	else
		inet_ntop(a->family, &a->ip, dst, ADDR_STRLEN);
	return dst;
}

char *addr_print(const struct addr *a, char dst[ADDR_STRLEN])
{
	char ip[INET6_ADDRSTRLEN];

	if (a->family != AF_INET && a->family != AF_INET6)
		return addr_print_ip(a, dst);
	inet_ntop(a->family, &a->ip, ip, sizeof(ip));
	snprintf(dst, ADDR_STRLEN, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", ip, a->port);
	return dst;
}

int addr_parse_ip(struct addr *a, struct str s)
{
	char text[INET6_ADDRSTRLEN];

	memset(a, 0, sizeof(*a));
	if (!s.n || s.n >= sizeof(text) || memchr(s.p, '\0', s.n))
		return -EINVAL;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	if (inet_pton(AF_INET, text, &a->ip.v4) == 1)
		a->family = AF_INET;
	else if (inet_pton(AF_INET6, text, &a->ip.v6) == 1)
		a->family = AF_INET6;
	else
		memset(a, 0, sizeof(*a));
	return a->family ? 0 : -EINVAL;
}

int addr_resolve(struct addr *a, struct str host, int family)
{
	struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM }, *ai = NULL;
	char name[256];
	int rc;

	memset(a, 0, sizeof(*a));
	/* what has a colon was meant to be an address: not worth asking */
	if (!host.n || host.n >= sizeof(name) || memchr(host.p, ':', host.n) || memchr(host.p, '\0', host.n))
		return -EINVAL;
	memcpy(name, host.p, host.n);
	name[host.n] = '\0';
	rc = getaddrinfo(name, NULL, &hints, &ai);
	if (!rc)
		rc = addr_from_sa(a, ai->ai_addr);
	if (ai)
		freeaddrinfo(ai);
	return rc ? -EINVAL : 0;
}

int netmask_parse(struct netmask *m, struct str s)
{
	struct str bits = s, ip = str_cut(&bits, '/');
	uint64_t v;

	memset(m, 0, sizeof(*m));
	if (addr_parse_ip(&m->net, ip))
		return -EINVAL;
	v = m->net.family == AF_INET ? 32 : 128;
	if (bits.p && (str_to_uint(bits, &v) || v > (m->net.family == AF_INET ? 32 : 128)))
		return -EINVAL;
	m->bits = v;
	return 0;
}

bool netmask_match(const struct netmask *m, const struct addr *a)
{
	const uint8_t *net = (const uint8_t *)&m->net.ip, *ip = (const uint8_t *)&a->ip;
	unsigned bytes = m->bits / 8, rest = m->bits % 8;

	if (m->net.family != a->family)
		return false;
	if (memcmp(net, ip, bytes))
		return false;
	return !rest || (net[bytes] ^ ip[bytes]) >> (8 - rest) == 0;
}

int net_nonblock(int fd)
{
	int fl = fcntl(fd, F_GETFL);

	if (fl < 0 || fcntl(fd, F_SETFL, fl | O_NONBLOCK) < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return -errno;
	return 0;
}

int net_get_src(int fd, struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getpeername(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sa(a, (struct sockaddr *)&ss);
}

int net_get_dst(int fd, struct addr *a)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	return addr_from_sa(a, (struct sockaddr *)&ss);
}
