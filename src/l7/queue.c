/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * queue.c - requests that wait for a server: one queue a backend, oldest first
 *
 * Those that stick to a server (stick.c) which is full wait in its own queue, so that they keep nobody else
 * waiting and nobody takes the slot they wait for.
 *
 * Whoever frees a slot, brings a server up or moves an endpoint runs the queue:
 * from the front, until nobody can be served. What is served must not free slots
 * while the queue is walked, hence the guard against running it twice.
 */
#include "l7/l7_priv.h"
#include "l7/stream_priv.h"

void queue_add(struct proxy *px, struct stream *s, struct server *srv)
{
	if (s->queued)
		return;
	s->queued = true;
	s->queue_srv = srv;
	if (srv) {
		s->log.srv_queue_pos = srv->queued++;
		list_add_tail(&srv->queue, &s->q_node);
		return;
	}
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
	if (s->queue_srv)
		s->queue_srv->queued--;
	else
		s->be->nb_queue--;
	s->queue_srv = NULL;
}

void queue_server_gone(struct server *srv)
{
	struct stream *s;

	while ((s = list_first(&srv->queue, struct stream, q_node))) {
		queue_del(s);
		queue_add(s->be, s, NULL);
	}
}

static bool queue_has_slot(const struct server *srv)
{
	return !srv->cfg->maxconn || srv->cur < srv->cfg->maxconn;
}

static bool queue_any_free(struct proxy *px)
{
	bool backup = !proxy_usable(px, false);
	struct server *srv;

	list_for_each(srv, &px->servers, node)
		if (srv->cfg->backup == backup && server_usable(srv) && queue_has_slot(srv))
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

/* Leaves the queue, or comes back at its end: false. */
static bool queue_serve(struct stream *s)
{
	backend_assign(s);
	stream_process(s);
	return !s->queued;
}

/* A server with room, or one that went down, for which streams wait. */
static struct server *queue_of_server(const struct proxy *px)
{
	struct server *srv;

	list_for_each(srv, &px->servers, node)
		if (srv->queued && (!server_accepts(srv) || queue_has_slot(srv)))
			return srv;
	return NULL;
}

/* Who sticks to a server comes before those whom any will do. */
static void queue_run_servers(struct proxy *px)
{
	struct server *srv;

	while ((srv = queue_of_server(px)))
		if (!queue_serve(list_first(&srv->queue, struct stream, q_node)))
			return;
}

void queue_run(struct proxy *px)
{
	if (px->queue_running || px->l7->ending)
		return;
	px->queue_running = true;
	proxy_get(px);
	queue_run_servers(px);
	while (!list_empty(&px->queue) && (px->gone || queue_any_free(px) || queue_hopeless(px))) {
		if (!queue_serve(list_first(&px->queue, struct stream, q_node)))
			break;
	}
	px->queue_running = false;
	proxy_put(px);
}
