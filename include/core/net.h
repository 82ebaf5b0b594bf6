/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * net.h - addresses and small socket helpers
 *
 * struct addr is the compact form used in keys and configuration (20 bytes);
 * sockaddrs exist only at the system call.
 */
#ifndef STANDIN_CORE_NET_H
#define STANDIN_CORE_NET_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "core/str.h"

struct addr {
	uint8_t family; /* AF_INET, AF_INET6, or AF_UNSPEC for none */
	uint8_t pad;
	uint16_t port; /* host byte order */
	union {
		struct in_addr v4; /* network byte order; the rest of ip is zero */
		struct in6_addr v6;
	} ip;
};

struct netmask {
	struct addr net;
	uint8_t bits;
};

#define ADDR_STRLEN 64 /* enough for addr_print() */

/* Byte-wise equality of family, address and port. Every struct addr is fully
 * initialised, padding included. */
bool addr_eq(const struct addr *a, const struct addr *b);
bool addr_eq_ip(const struct addr *a, const struct addr *b);
bool addr_is_set(const struct addr *a);

/* sockaddr <-> addr. addr_to_sa() returns the length for bind()/connect().
 * An IPv4-mapped IPv6 sockaddr becomes AF_INET. */
socklen_t addr_to_sa(const struct addr *a, struct sockaddr_storage *ss);
int addr_from_sa(struct addr *a, const struct sockaddr *sa);

/* "192.0.2.1:80", "[2001:db8::1]:80"; without port: addr_print_ip(). Return <dst>. */
char *addr_print(const struct addr *a, char dst[ADDR_STRLEN]);
char *addr_print_ip(const struct addr *a, char dst[ADDR_STRLEN]);

/* Numeric address without port; 0 or -EINVAL. */
int addr_parse_ip(struct addr *a, struct str s);
/* First address of a host name (port 0), of <family> or AF_UNSPEC for any; 0 or -EINVAL. Asks the resolver and blocks:
 * for those who read a configuration, never in the loop. */
int addr_resolve(struct addr *a, struct str host, int family);
/* "10.0.0.0/8", "2001:db8::/32" or a single address; 0 or -EINVAL. */
int netmask_parse(struct netmask *m, struct str s);
bool netmask_match(const struct netmask *m, const struct addr *a);

int net_nonblock(int fd); /* O_NONBLOCK and FD_CLOEXEC; 0 or -errno */
int net_get_src(int fd, struct addr *a); /* getpeername */
int net_get_dst(int fd, struct addr *a); /* getsockname */

#endif
