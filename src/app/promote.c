/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * promote.c - who serves: an instance becomes the primary
 *
 * The order is what keeps the promises (doc/internals/app.md):
 *   1. the old primary is dead, or its cgroup was sent SIGKILL, or it was only
 *      unpublished (failover on purpose, which lets it finish)
 *   2. the new one's limits are raised in place to the full specification
 *   3. it is told, as `on-promote` says. A signal takes no time. A command or a
 *      request does: meanwhile nobody is published, so clients wait rather than
 *      meet a primary that does not know it is one. It has PROMOTE_MS; if it fails
 *      that is logged and the instance serves all the same: a service that may be
 *      incomplete is better than none
 *   4. the endpoint says where it is; subscribers switch from inside that call
 * Step 3 is for standbys only; an instance that was started as the primary was
 * never anything else.
 *
 * A STARTING standby can become the primary, too, when there is nothing better:
 * steps 2 now, 3 and 4 when it is ready.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app_priv.h"
#include "core/clock.h"
#include "driver.h"

#define PROMOTE_MS 5000

struct promotion {
	struct app *app;
	struct instance *in; /* borrows: the app's primary, or the promotion is cancelled */
	struct epoch *ep;    /* counted: the probe borrows its words */
	ev_timer timer;
	struct probe probe;
	struct keeper_child child;
	int pidfd; /* owns; -1 */
};

void app_publish(struct app *a)
{
	struct instance *in = a->primary;
	struct addr addr;

	if (a->w->apps->stopping)
		return; /* the daemon ends: nobody is to be alarmed by that */
	if (in && in->st == INST_ST_READY && in->told) {
		instance_target(in, &addr);
		if (a->endpoint->state != ENDPOINT_UP || !addr_eq(&a->endpoint->addr, &addr))
			endpoint_publish(a->w, a->endpoint, ENDPOINT_UP, &addr);
	} else if (a->endpoint->state != ENDPOINT_DOWN) {
		endpoint_publish(a->w, a->endpoint, ENDPOINT_DOWN, NULL);
	}
}

/* Steps 4 and the books. */
static void app_serves(struct app *a, struct instance *in)
{
	bool stood_by = !in->told;
	uint64_t us;

	in->told = true;
	app_publish(a);
	if (!a->lost_us)
		return;
	us = clock_us() - a->lost_us;
	a->lost_us = 0;
	a->failovers += stood_by;
	app_event(a, in, LOG_NOTICE, stood_by ? "failover" : "recovered", "from %s, in %llu.%03llu ms",
		  a->lost, (unsigned long long)us / 1000, (unsigned long long)us % 1000);
}

/* ---- on-promote ---- */

static void promotion_free(struct promotion *pr)
{
	struct worker *w = pr->app->w;

	ev_timer_stop(w->loop, &pr->timer);
	probe_cancel(&pr->probe);
	keeper_forget(w, &pr->child);
	if (pr->pidfd >= 0) {
		syscall(SYS_pidfd_send_signal, pr->pidfd, SIGKILL, NULL, 0); /* no effect once it ended */
		close(pr->pidfd);
	}
	epoch_put(pr->ep);
	free(pr);
}

void app_promotion_cancel(struct app *a)
{
	if (a->promotion)
		promotion_free(a->promotion);
	a->promotion = NULL;
}

/* <failed>: why it did, or NULL. Frees <pr>. */
static void promotion_end(struct promotion *pr, const char *failed)
{
	struct app *a = pr->app;
	struct instance *in = pr->in;

	if (failed)
		app_event(a, in, LOG_ERR, "promote", "on-promote: %s; it serves all the same", failed);
	app_promotion_cancel(a);
	app_serves(a, in);
	app_reconcile_later(a);
}

static void promotion_late(struct ev_loop *loop, ev_timer *t, int revents)
{
	promotion_end(container_of(t, struct promotion, timer), "it took too long");
}

static void promotion_answered(struct probe *p, enum probe_result res)
{
	promotion_end(container_of(p, struct promotion, probe),
		      res == PROBE_OK ? NULL : probe_result_name(res));
}

static void promotion_started(struct worker *w, struct keeper_child *c, int err, const char *what, pid_t pid,
			      int pidfd)
{
	struct promotion *pr = container_of(c, struct promotion, child);
	char text[128];

	if (!err) {
		pr->pidfd = pidfd;
		return;
	}
	snprintf(text, sizeof(text), "%s: %s", what, strerror(err));
	promotion_end(pr, text);
}

static void promotion_exited(struct worker *w, struct keeper_child *c, int status)
{
	struct promotion *pr = container_of(c, struct promotion, child);
	char text[64];

	if (pr->pidfd >= 0)
		close(pr->pidfd);
	pr->pidfd = -1;
	snprintf(text, sizeof(text),
		 WIFSIGNALED(status) ? "it ended by signal %d" : "it ended with status %d",
		 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	promotion_end(pr, status == 0 ? NULL : text);
}

/* The command runs as the instance's user, with its variables, outside of its limits. */
static int promotion_exec(struct promotion *pr)
{
	const struct app_cfg *cfg = pr->in->cfg;
	char **argv, **env;
	struct keeper_spawn sp = { .dir = cfg->dir,
				   .uid = cfg->uid,
				   .gid = cfg->gid,
				   .umask = cfg->umask,
				   .out_fd = -1,
				   .stop_signal = SIGKILL };
	static char *vars[] = { "PORT=$PORT", "ADDR=$ADDR", "INSTANCE=$INSTANCE",
				"PATH=/usr/sbin:/usr/bin:/sbin:/bin" };
	int n = 0, rc = -1;

	while (cfg->promote_argv[n])
		n++;
	argv = app_expand_all(pr->in, cfg->promote_argv, n, 0);
	env = app_expand_all(pr->in, vars, ARRAY_SIZE(vars), 0);
	if (argv && env) {
		sp.path = argv[0];
		sp.argv = argv;
		sp.envp = env;
		rc = keeper_spawn(pr->app->w, &sp, &pr->child);
	}
	app_free_all(argv);
	app_free_all(env);
	return rc;
}

static void promotion_http(struct promotion *pr)
{
	struct probe_spec ps = { .kind = PROBE_HTTP,
				 .timeout_ms = PROMOTE_MS,
				 .path = pr->in->cfg->promote_path };

	instance_target(pr->in, &ps.addr);
	probe_start(&pr->probe, &ps);
}

static void promotion_begin(struct app *a, struct instance *in)
{
	struct promotion *pr = calloc(1, sizeof(*pr));

	if (!pr) {
		app_serves(a, in);
		return;
	}
	pr->app = a;
	pr->in = in;
	pr->ep = epoch_get(in->ep);
	pr->pidfd = -1;
	pr->child.started = promotion_started;
	pr->child.exited = promotion_exited;
	probe_init(&pr->probe, a->w, promotion_answered);
	ev_timer_init(&pr->timer, promotion_late, PROMOTE_MS / 1000.0, 0.);
	ev_timer_start(a->w->loop, &pr->timer);
	a->promotion = pr;
	app_publish(a); /* nobody, for now */
	if (in->cfg->promote == PROMOTE_HTTP)
		promotion_http(pr);
	else if (promotion_exec(pr) < 0)
		promotion_end(pr, "the keeper does not take the command");
}

/* ---- */

void app_serve(struct app *a)
{
	struct instance *in = a->primary;

	if (in->told || in->cfg->promote == PROMOTE_NOTHING) {
		app_serves(a, in);
	} else if (in->cfg->promote == PROMOTE_SIGNAL) {
		in->driver->signal(in, in->cfg->promote_signal);
		app_serves(a, in);
	} else {
		promotion_begin(a, in);
	}
}

void app_promote(struct app *a, struct instance *in)
{
	instance_set_limits(in, &in->cfg->spec);
	in->role = INST_PRIMARY;
	a->primary = in;
	if (in->st == INST_ST_READY) {
		app_serve(a);
		return;
	}
	in->measure.rec.standby = false; /* from here on it is measured as what it is now */
	in->measure.rec.spec = in->limits;
	app_publish(a);
}

void app_switch(struct app *a, struct instance *to, const char *why)
{
	struct instance *from = a->primary;

	app_promotion_cancel(a);
	snprintf(a->lost, sizeof(a->lost), "%s (%s)", from->name, why);
	a->lost_us = clock_us();
	from->role = INST_STANDBY; /* before the event: nobody mistakes its end for the primary's */
	app_promote(a, to);
	instance_cause(from, "%s", why);
	instance_event(from, INST_EV_DRAIN);
}
