/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ending.c - the end of a promoted connection
 *
 * The stream is over and gave back what pseudo sockets it still had. An abort
 * becomes resets. Otherwise the kernel closes them as it closes any socket, in
 * the background; the flow is CLOSING and what still comes by the queue goes to
 * the sockets (or to nobody: the steering drops what is routed to a socket that is
 * gone, so no reset leaves by accident).
 */
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

	bf->s = NULL;
	for (d = 0; d < 2; d++)
		bf->fd[d] = fd[d];
	if (f->hold) {
		border_deliver_held(bf);
		if (f->q)
			pktq_flush(f->q);
	}
	for (d = 0; d < 2; d++)
		ending_close(&bf->fd[d], abort);
	border_done(bf, "ended");
	border_flow_free(bf);
	f->sockets = true;
	l3_flow_end(f, f->end ? f->end : abort ? "aborted" : "closed");
}

void border_ending_packet(struct visit *v)
{
	border_deliver(v);
}

void border_ending_poll(struct border_flow *bf)
{
}

void border_ending_over(struct border_flow *bf)
{
	border_close(bf);
	border_flow_free(bf);
}
