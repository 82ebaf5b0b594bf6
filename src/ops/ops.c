/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ops.c - the layer of operation: its run-time object and the soft stop
 *
 * Soft stop (SIGUSR1): every layer takes no new work; the process ends when
 * none is busy, or when hard-stop-after is over. Asking twice is asking once.
 */
#include "ops/ops.h"

#include <errno.h>
#include <stdlib.h>

#include "core/layer.h"
#include "ops_priv.h"

#define OPS_SOCKET_WORDS 32

#define OPS_STOP_POLL_S 0.1

static int ops_init(struct worker *w)
{
	struct ops *ops = calloc(1, sizeof(*ops));

	if (!ops)
		return -ENOMEM;
	ops->w = w;
	list_init(&ops->listeners);
	list_init(&ops->conns);
	list_init(&ops->reload_waiters);
	w->ops = ops;
	return 0;
}

/* -S <address>[,<word>,<argument>]...: <text> is cut into them. */
static int ops_master_socket(struct ops_socket_cfg *sc, char *text, char **err)
{
	char *words[OPS_SOCKET_WORDS], *rest = text;
	int n = 0;

	while (rest && n < OPS_SOCKET_WORDS)
		words[n++] = strsep(&rest, ",");
	sc->spec = words[0];
	if (cfg_parse_addr(sc->spec, &sc->addr, err) < 0)
		return -EINVAL;
	return ops_socket_words(sc, words + 1, n - 1, err);
}

int ops_set_options(struct worker *w, const struct ops_options *opt)
{
	struct ops_socket_cfg sc = { .level = CLI_ADMIN, .uid = -1, .gid = -1 };
	struct cli_listener *l;
	char *err = NULL, *text;
	int rc;

	w->ops->opt = opt;
	successor_listen(w->ops);
	if (!opt->master_cli)
		return 0;
	text = strdup(opt->master_cli);
	if (!text)
		return -ENOMEM;
	rc = ops_master_socket(&sc, text, &err);
	if (rc == 0)
		rc = cli_listener_open(w->ops, &sc, &l, &err);
	if (rc == 0)
		l->permanent = true;
	else
		msg_alert("-S: %s", err ? err : "invalid address");
	free(err);
	free(text);
	return rc;
}

static void ops_destroy(struct worker *w)
{
	struct cli_listener *l, *ltmp;
	struct cli_conn *c, *ctmp;
	struct ops *ops = w->ops;

	list_for_each_safe(c, ctmp, &ops->conns, node)
		cli_conn_close(c);
	ops_reload_abandon(ops);
	list_for_each_safe(l, ltmp, &ops->listeners, node)
		cli_listener_close(l);
	ev_timer_stop(w->loop, &ops->stop_poll);
	ev_timer_stop(w->loop, &ops->hard_stop);
	free(ops);
	w->ops = NULL;
}

/* ---- soft stop ---- */

static void ops_on_stop_poll(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct ops *ops = t->data;

	if (layers_busy(ops->w) == 0)
		worker_stop(ops->w, 0);
}

static void ops_on_hard_stop(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct ops *ops = t->data;

	msg_warning("soft-stop running for too long, performing a hard-stop.");
	worker_stop(ops->w, 0);
}

void ops_soft_stop(struct worker *w)
{
	struct ops *ops = w->ops;
	unsigned hard_ms = w->epoch ? w->epoch->global.hard_stop_after_ms : 0;

	if (w->stopping)
		return;
	w->stopping = true;
	layers_soft_stop(w);
	ev_timer_init(&ops->stop_poll, ops_on_stop_poll, 0., OPS_STOP_POLL_S);
	ops->stop_poll.data = ops;
	ev_timer_start(w->loop, &ops->stop_poll);
	if (hard_ms) {
		ev_timer_init(&ops->hard_stop, ops_on_hard_stop, hard_ms / 1000.0, 0.);
		ops->hard_stop.data = ops;
		ev_timer_start(w->loop, &ops->hard_stop);
	}
}

static struct layer ops_layer = { .name = "stats socket", .order = LAYER_OPS, .init = ops_init, .destroy = ops_destroy };

INITCALL ops_register(void)
{
	layer_register(&ops_layer);
}
