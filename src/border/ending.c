/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ending.c - the end of a promoted connection
 *
 * The stream is over and gave back what pseudo sockets it still had. An abort
 * becomes resets. Otherwise the kernel closes them as it closes any socket, in
 * the background; the flow is CLOSING and what still comes by the queue goes to
 * the sockets (or to nobody: the steering drops what is routed to a socket that is
 * gone, so no reset leaves by accident). What stays in TIME_WAIT is sweep.c's.
 */
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "border_priv.h"

static void ending_close(int *fd, bool abort)
{
	struct linger lg = { .l_onoff = 1, .l_linger = 0 };

	if (*fd < 0)
		return;
	if (abort)
		setsockopt(*fd, SOL_SOCKET, SO_LINGER, &lg, sizeof(lg));
	close(*fd);
	*fd = -1;
}

void border_ended(struct stream *s, void *owner, int fd[2], bool abort)
{
	struct border_flow *bf = owner;
	struct flow *f = bf->f;
	int d;

	border_carried(f, f->bytes);
	bf->s = NULL;
	for (d = 0; d < 2; d++)
		bf->fd[d] = fd[d];
	if (flow_hold(f)) {
		border_deliver_held(bf);
		if (flow_queue(f))
			pktq_flush(flow_queue(f));
	}
	for (d = 0; d < 2; d++)
		ending_close(&bf->fd[d], abort);
	border_done(bf, "ended");
	border_flow_free(bf);
	f->sockets = true;
	border_of(f)->closing++;
	l3_flow_end(f, flow_end(f) ? flow_end(f) : abort ? "aborted" : "closed");
}

/* ---- when the connection is over ---- */

bool border_lingers(const struct flow *f)
{
	int d, st;

	for (d = 0; d < 2; d++) {
		st = border_socket_state(border_of(f), f, d);
		if (st && st != TCP_TIME_WAIT)
			return true;
	}
	return false;
}

/* Some clients use their port again within microseconds. As at its real peer, a SYN is a new connection's when the
 * socket is done with its sender; and whatever the old connection still has to deliver to the other end must
 * arrive before it (the sender will repeat the SYN). */
bool border_replaced(const struct flow *f, int d)
{
	const struct border_flow *bf = flow_border(f);
	int st = border_socket_state(border_of(f), f, d), other, err = 0;
	socklen_t len = sizeof(err);

	if (st && st != TCP_TIME_WAIT)
		return false;
	/* the stream may not have noticed a reset yet; there is nothing to deliver then (the client's socket is the
	 * stream's as long as it lives, the server's it may have closed) */
	if (bf && bf->s)
		return d == FLOW_CLIENT && getsockopt(bf->fd[d], SOL_SOCKET, SO_ERROR, &err, &len) == 0 && err != 0;
	other = border_socket_state(border_of(f), f, !d);
	return !other || other == TCP_TIME_WAIT || other == TCP_FIN_WAIT2;
}
