/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * msg.c - one message with its descriptor, between loop and keeper
 *
 * A record of the socket pair is a message. What does not fit the rules (cut
 * off, wrong length, more descriptors than one) is thrown away with its
 * descriptors closed: -EBADMSG, and the next message is unharmed. A message whose one
 * descriptor the kernel could not put into our table (EMFILE) is still worth having.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keeper_priv.h"

int kmsg_send(int sock, struct kmsg *m, const void *body, size_t n, int fd)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl = { 0 };
	struct iovec iov[2] = { { .iov_base = m, .iov_len = sizeof(*m) },
				{ .iov_base = (void *)body, .iov_len = n } };
	struct msghdr mh = { .msg_iov = iov, .msg_iovlen = n ? 2 : 1 };

	m->len = sizeof(*m) + n;
	m->nb_fds = fd >= 0;
	if (fd >= 0) {
		struct cmsghdr *c;

		mh.msg_control = ctl.room;
		mh.msg_controllen = sizeof(ctl.room);
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	for (;;) {
		if (sendmsg(sock, &mh, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

/* Takes the descriptors out of <mh>: the first one if it is alone, none of several. */
static int kmsg_take_fd(struct msghdr *mh, unsigned *nb)
{
	int got = -1;

	*nb = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(mh); c; c = CMSG_NXTHDR(mh, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if ((*nb)++ == 0)
				got = fd;
			else
				close(fd);
		}
	}
	return got;
}

ssize_t kmsg_recv(int sock, void *buf, size_t size, int *fd)
{
	union {
		char room[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = ctl.room, .msg_controllen = sizeof(ctl.room)
	};
	const struct kmsg *m = buf;
	bool lost;
	unsigned nb;
	ssize_t n;

	*fd = -1;
	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : 0;
	*fd = kmsg_take_fd(&mh, &nb);
	lost = (mh.msg_flags & MSG_CTRUNC) && !nb;
	if ((mh.msg_flags & MSG_TRUNC) || ((mh.msg_flags & MSG_CTRUNC) && !lost) || (size_t)n < sizeof(*m) ||
	    m->len != (size_t)n || m->nb_fds != nb + lost || nb > 1) {
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
		return -EBADMSG;
	}
	return n;
}
