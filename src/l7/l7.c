/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7.c - the layer: its place in the worker, its part of an epoch
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/layer.h"
#include "l7/stream_priv.h"
#include "l7/tls.h"

#define L7_SCRATCH 65536 /* bytes: the longest log line */

/* ---- part of an epoch ---- */

static void *l7_cfg_create(struct epoch *ep)
{
	struct l7_cfg *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->ep = ep;
	list_init(&c->proxies);
	return c;
}

static void px_cfg_release(struct px_cfg *px)
{
	struct bind_cfg *b;
	struct srv_cfg *s;

	rule_set_release(&px->tcp_conn);
	rule_set_release(&px->tcp_sess);
	rule_set_release(&px->tcp_req);
	rule_set_release(&px->tcp_res);
	rule_set_release(&px->http_req);
	rule_set_release(&px->http_res);
	acl_set_release(&px->acls);
	list_for_each(b, &px->binds, node)
		tls_bind_put(b->tls);
	if (px->promoted)
		tls_bind_put(px->promoted->tls);
	list_for_each(s, &px->servers, node)
		tls_server_put(s->tls);
	if (px->rt)
		proxy_put(px->rt);
}

static void l7_cfg_destroy(void *part)
{
	struct l7_cfg *c = part;
	struct px_cfg *px;

	if (!c)
		return;
	list_for_each(px, &c->proxies, part_node)
		px_cfg_release(px);
	free(c);
}

/* Buffers have one size as long as the daemon runs: streams of every configuration share them. */
static int l7_buffers(struct worker *w, const struct epoch *ep, struct diag *d)
{
	struct l7 *l7 = w->l7;

	if (l7->p_buf && l7->bufsize != ep->global.bufsize)
		diag_warn(d, NULL, 0, "'tune.bufsize' stays %u until the daemon is started anew.", l7->bufsize);
	if (l7->p_buf)
		return 0;
	l7->bufsize = ep->global.bufsize;
	l7->p_buf = pool_create(&w->pools, "l7 buffer", l7->bufsize);
	return l7->p_buf ? 0 : -ENOMEM;
}

static int l7_cfg_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d)
{
	int rc = l7_buffers(w, ep, d);

	if (rc < 0)
		return rc;
	return listeners_prepare(w->l7, l7_cfg_of(ep), d);
}

static unsigned l7_maxconn(const struct epoch *ep)
{
	struct rlimit rl;

	if (ep->global.maxconn)
		return ep->global.maxconn;
	if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur == RLIM_INFINITY)
		return 100000;
	return rl.rlim_cur > 200 ? (rl.rlim_cur - 100) / 2 : 50;
}

/* Connections that rest between requests take the new configuration at once, so that the old one can go. */
static void l7_refresh_idle(struct worker *w, struct task *t)
{
	struct l7 *l7 = container_of(t, struct l7, refresh);
	struct stream *s, *next;

	list_for_each_safe(s, next, &l7->streams, node) {
		if (s->st != STREAM_IDLE || s->ep == w->epoch)
			continue;
		if (!stream_set_epoch(s) && !s->pops)
			stream_end(s);
	}
}

static void l7_cfg_commit(struct worker *w, struct epoch *ep, struct epoch *old)
{
	struct l7 *l7 = w->l7;

	l7->maxconn = l7_maxconn(ep);
	l7->maxpipes = ep->global.nosplice ? 0 : ep->global.maxpipes ? ep->global.maxpipes : l7->maxconn / 4;
	proxies_commit(l7, l7_cfg_of(ep));
	listeners_commit(l7, l7_cfg_of(ep));
	task_queue(w, &l7->refresh);
}

static void l7_cfg_abort(struct worker *w, struct epoch *ep)
{
	listeners_abort(w->l7);
}

struct cfg_module l7_cfg_module = {
	.name = "l7",
	.order = 20,
	.create = l7_cfg_create,
	.resolve = l7_cfg_resolve,
	.destroy = l7_cfg_destroy,
	.prepare = l7_cfg_prepare,
	.commit = l7_cfg_commit,
	.abort = l7_cfg_abort,
};

/* ---- the layer ---- */

static int l7_init(struct worker *w)
{
	struct l7 *l7 = calloc(1, sizeof(*l7));

	if (!l7)
		return -ENOMEM;
	l7->w = w;
	list_init(&l7->proxies);
	list_init(&l7->listeners);
	list_init(&l7->streams);
	list_init(&l7->fresh);
	list_init(&l7->pipes);
	task_init(&l7->refresh, l7_refresh_idle);
	l7->next_id = 1;
	l7->rnd = clock_us() | 1;
	l7->p_stream = pool_create(&w->pools, "stream", sizeof(struct stream));
	l7->p_txn = pool_create(&w->pools, "txn", sizeof(struct txn));
	w->l7 = l7;
	buf_wrap(&l7->scratch, malloc(L7_SCRATCH), L7_SCRATCH);
	return l7->scratch.area && l7->p_stream && l7->p_txn ? 0 : -ENOMEM;
}

static void l7_destroy(struct worker *w)
{
	struct l7 *l7 = w->l7;
	struct stream *s, *next;

	if (!l7)
		return;
	l7->ending = true;
	list_for_each_safe(s, next, &l7->streams, node) {
		s->killed = true;
		stream_end(s);
		stream_free_now(s);
	}
	listeners_stop(l7);
	proxies_destroy(l7);
	splice_pipes_free(l7);
	task_cancel(&l7->refresh);
	buf_free(&l7->scratch);
	free(l7);
	w->l7 = NULL;
}

static void l7_soft_stop(struct worker *w)
{
	struct stream *s, *next;

	listeners_stop(w->l7);
	list_for_each_safe(s, next, &w->l7->streams, node)
		if (s->st == STREAM_IDLE && !s->pops)
			stream_end(s);
}

static unsigned l7_busy(struct worker *w)
{
	return w->l7 ? w->l7->nb_streams : 0;
}

static struct layer l7_layer = {
	.name = "l7",
	.order = LAYER_L7,
	.init = l7_init,
	.destroy = l7_destroy,
	.soft_stop = l7_soft_stop,
	.busy = l7_busy,
	.log_state = l7_log_state,
};

INITCALL l7_register(void)
{
	cfg_module_register(&l7_cfg_module);
	layer_register(&l7_layer);
}
