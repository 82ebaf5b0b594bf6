/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * queue.c - requests that wait for a server: one queue a backend, oldest first
 *
 * Whoever frees a slot, brings a server up or moves an endpoint runs the queue:
 * from the front, until nobody can be served. What is served must not free slots
 * while the queue is walked, hence the guard against running it twice.
 */
#include "l7/l7_priv.h"
#include "l7/stream_priv.h"

void queue_add(struct proxy *px, struct stream *s)
{
	if (s->queued)
		return;
	s->queued = true;
	s->log.be_queue_pos = px->nb_queue;
	list_add_tail(&px->queue, &s->q_node);
	px->nb_queue++;
	px->queue_max = MAX(px->queue_max, px->nb_queue);
}

void queue_del(struct stream *s)
{
	if (!s->queued)
		return;
	s->queued = false;
	list_del(&s->q_node);
	s->be->nb_queue--;
}

static bool queue_any_free(struct proxy *px)
{
	bool backup = !proxy_usable(px, false);
	struct server *srv;

	list_for_each(srv, &px->servers, node)
		if (srv->cfg->backup == backup && server_usable(srv) && (!srv->cfg->maxconn || srv->cur < srv->cfg->maxconn))
			return true;
	return false;
}

static bool queue_hopeless(const struct proxy *px)
{
	struct server *srv;

	list_for_each(srv, &px->servers, node)
		if (server_usable(srv) || (srv->ep && !(srv->admin & SRV_ADM_MAINT)))
			return false;
	return true;
}

void queue_run(struct proxy *px)
{
	if (px->queue_running || px->l7->ending)
		return;
	px->queue_running = true;
	proxy_get(px);
	while (!list_empty(&px->queue) && (px->gone || queue_any_free(px) || queue_hopeless(px))) {
		struct stream *s = list_first(&px->queue, struct stream, q_node);

		backend_assign(s); /* leaves the queue, or comes back at its end */
		stream_process(s);
		if (s->queued)
			break;
	}
	px->queue_running = false;
	proxy_put(px);
}
