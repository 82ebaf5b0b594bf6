/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * inject.c - raw sockets
 *
 * The packet's own addresses decide where it goes: IP_HDRINCL. A local one is
 * marked MARK_LOCAL, so that our routing rule sends it through lo, whose packets
 * the steering chain lets pass with their mark (FACTS §2).
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "l3/inject.h"
#include "l3/mark.h"

#ifndef IPV6_HDRINCL
#define IPV6_HDRINCL 36
#endif
#ifndef IPV6_TRANSPARENT
#define IPV6_TRANSPARENT 75
#endif

struct inject {
	int fd4, fd6; /* -1: none */
	uint32_t mask;
	void (*fake)(void *arg, bool local, const void *pkt, uint32_t len);
	void *arg;
};

static int inject_socket(int family)
{
	int level = family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	int hdrincl = family == AF_INET ? IP_HDRINCL : IPV6_HDRINCL;
	int transparent = family == AF_INET ? IP_TRANSPARENT : IPV6_TRANSPARENT;
	int fd, one = 1, buf = 4 << 20;

	fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, level, hdrincl, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, level, transparent, &one, sizeof(one)) < 0) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &buf, sizeof(buf));
	return fd;
}

int inject_open(struct inject **out, uint32_t mark_mask)
{
	struct inject *in = calloc(1, sizeof(*in));

	if (!in)
		return -ENOMEM;
	in->mask = mark_mask;
	in->fd4 = inject_socket(AF_INET);
	in->fd6 = inject_socket(AF_INET6);
	if (in->fd4 < 0 && in->fd6 < 0) {
		int rc = in->fd4;

		free(in);
		return rc;
	}
	*out = in;
	return 0;
}

struct inject *inject_fake(void (*fn)(void *arg, bool local, const void *pkt, uint32_t len), void *arg)
{
	struct inject *in = calloc(1, sizeof(*in));

	if (in)
		*in = (struct inject){ .fd4 = -1, .fd6 = -1, .mask = MARK_MASK_DEFAULT, .fake = fn, .arg = arg };
	return in;
}

void inject_close(struct inject **pin)
{
	struct inject *in = *pin;

	*pin = NULL;
	if (!in)
		return;
	if (in->fd4 >= 0)
		close(in->fd4);
	if (in->fd6 >= 0)
		close(in->fd6);
	free(in);
}

static socklen_t inject_dst(const void *pkt, struct sockaddr_storage *ss)
{
	const struct ip *ip = pkt;

	*ss = (struct sockaddr_storage){ 0 };
	if (ip->ip_v == 4) {
		struct sockaddr_in *sin = (struct sockaddr_in *)ss;

		sin->sin_family = AF_INET;
		sin->sin_addr = ip->ip_dst;
		return sizeof(*sin);
	}
	struct sockaddr_in6 *sin6 = (struct sockaddr_in6 *)ss;

	sin6->sin6_family = AF_INET6;
	sin6->sin6_addr = ((const struct ip6_hdr *)pkt)->ip6_dst;
	return sizeof(*sin6);
}

static int inject_send(struct inject *in, const void *pkt, uint32_t len, uint32_t mark)
{
	union {
		char buf[CMSG_SPACE(sizeof(uint32_t))];
		struct cmsghdr align;
	} ctl = { 0 };
	struct sockaddr_storage ss;
	struct iovec iov = { .iov_base = (void *)pkt, .iov_len = len };
	struct msghdr mh = { .msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &ctl,
			     .msg_controllen = sizeof(ctl) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&mh);
	int fd;

	mh.msg_namelen = inject_dst(pkt, &ss);
	fd = ss.ss_family == AF_INET ? in->fd4 : in->fd6;
	if (fd < 0)
		return fd;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SO_MARK;
	c->cmsg_len = CMSG_LEN(sizeof(mark));
	memcpy(CMSG_DATA(c), &mark, sizeof(mark));
	return sendmsg(fd, &mh, 0) < 0 ? -errno : 0;
}

static int inject_go(struct inject *in, bool local, const void *pkt, uint32_t len, uint32_t mark)
{
	if (!in)
		return -ENODEV;
	if (in->fake) {
		in->fake(in->arg, local, pkt, len);
		return 0;
	}
	return inject_send(in, pkt, len, mark);
}

int inject_wire(struct inject *in, const void *pkt, uint32_t len, uint32_t foreign, enum mark_class cls)
{
	if (!in)
		return -ENODEV;
	return inject_go(in, false, pkt, len, mark_put(foreign, in->mask, cls ? MARK_REQ(cls) : 0));
}

int inject_local(struct inject *in, const void *pkt, uint32_t len, uint32_t foreign)
{
	return inject_go(in, true, pkt, len, in ? mark_put(foreign, in->mask, MARK_LOCAL) : 0);
}
