/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steering.c - from gateway sections to l3/steer.h
 *
 * steer.h knows rules, not gateways. Here a plan is made of an epoch's `steer
 * auto` gateways, applied at start before the loop runs, and at a reload on the
 * helper thread, only when its text differs from what is in force. A reload
 * that comes while a change is under way is applied after it.
 *
 * A gateway that is no longer configured but has flows stays in the plan, without match lines: its
 * connections, known by their marks, need their packets translated or brought to pseudo sockets, and the
 * first gateway's queue takes them.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "core/log.h"
#include "core/worker.h"
#include "l3/l3.h"
#include "l3/steering.h"

struct l3_steering {
	struct steer_job job;
	struct l3 *l3;
	struct buf text; /* of the job's plan */
	uint64_t epoch;  /* whose id */
};

/* The gateways of <l3> that have flows but no section any more, from <gws> on; how many. NULL: counts. */
static unsigned steering_leftovers(const struct l3 *l3, struct steer_gateway *gws)
{
	const struct gateway *gw;
	unsigned n = 0;

	list_for_each(gw, &l3->gateways, node) {
		if (!gw->removed || !gw->flows || !gw->q || gw->conf->steer_manual)
			continue;
		if (gws)
			gws[n] = (struct steer_gateway){ .name = gw->name, .queue_first = gw->q->first,
							 .queue_last = gw->q->last, .leftover = true };
		n++;
	}
	return n;
}

static const struct gateway_conf *steering_only(const struct l3_conf *lc)
{
	const struct gateway_conf *c = list_first(&lc->gateways, struct gateway_conf, node);

	return c && list_last(&lc->gateways, struct gateway_conf, node) == c ? c : NULL;
}

/* What a plan is made of: gateways, and what they have that a conf only borrows */
struct steering_input {
	struct steer_conf conf;
	struct steer_gateway *gws; /* owns */
	struct cond_box kernel[COND_BOXES_MAX];
};

/* <l3>: NULL where there is none. <narrow>: all that is only for speed, and needs more of the kernel. 0, or -ENOMEM.
 * Free ->gws. */
static int steering_collect(struct steering_input *in, const struct l3 *l3, const struct epoch *ep, bool manual_too,
			    bool narrow)
{
	const struct l3_conf *lc = epoch_part(ep, &gateway_module);
	struct steer_conf *sc = &in->conf;
	const struct gateway_conf *c;
	unsigned n = 0, nb_kernel = 0;

	*sc = (struct steer_conf){
		.mark_mask = l3 ? l3->mark_mask : ep->global.mark_mask, /* it does not change while running */
		.route_table = ep->global.route_table,
		.maxflows = ep->global.maxflows,
		.narrow = narrow,
	};
	list_for_each(c, &lc->gateways, node)
		n++;
	if (l3)
		n += steering_leftovers(l3, NULL);
	in->gws = calloc(n + 1, sizeof(*in->gws));
	if (!in->gws)
		return -ENOMEM;
	/* where the tracker tells of them; and with one gateway only, for it does not tell by which interface */
	if (narrow && offload_news_possible(l3) && (c = steering_only(lc)))
		nb_kernel = gateway_kernel_forwards(c, in->kernel, COND_BOXES_MAX);
	list_for_each(c, &lc->gateways, node) {
		if (c->steer_manual && !manual_too)
			continue;
		sc->set_mask |= c->set_mask;
		in->gws[sc->nb_gw++] = (struct steer_gateway){ .name = c->obj.name, .queue_first = c->queue_first,
							       .queue_last = c->queue_last, .block = c->block,
							       .kernel = in->kernel, .nb_kernel = nb_kernel,
							       .match = c->match, .nb_match = c->nb_match };
	}
	if (l3)
		sc->nb_gw += steering_leftovers(l3, in->gws + sc->nb_gw);
	sc->gw = in->gws;
	return 0;
}

static struct steer_plan *steering_plan(const struct l3 *l3, const struct epoch *ep, bool narrow, unsigned *nb, char **err)
{
	struct steering_input in;
	struct steer_plan *plan;

	if (steering_collect(&in, l3, ep, false, narrow) < 0)
		return NULL;
	*nb = in.conf.nb_gw;
	plan = steer_plan_make(&in.conf, err);
	free(in.gws);
	return plan;
}

static void steering_warn(void *arg, const char *line)
{
	diag_warn(arg, NULL, 0, "steering : %s", line);
}

static int steering_fail(struct diag *d, int rc, char *err)
{
	diag_error(d, NULL, 0, "steering : %s", err ? err : strerror(-rc));
	free(err);
	return rc;
}

/* Puts <ep>'s plan in force, with the narrow classes or without. */
static int steering_put(struct l3 *l3, struct epoch *ep, bool narrow, struct diag *d, char **err)
{
	struct steer_plan *plan;
	unsigned nb;
	int rc = 0;

	plan = steering_plan(l3, ep, narrow, &nb, err);
	if (!plan)
		return -EINVAL;
	offload_news(l3, steer_plan_kernel(plan));
	if (nb && !l3->steer)
		rc = steer_open(&l3->steer, NULL, err);
	if (nb && rc == 0)
		rc = steer_apply(l3->steer, plan, steering_warn, d, err);
	buf_reset(&l3->steered);
	if (nb)
		steer_plan_print(plan, &l3->steered);
	steer_plan_free(&plan);
	l3->narrow = narrow && nb && rc == 0;
	return rc;
}

int steering_start(struct l3 *l3, struct epoch *ep, struct diag *d)
{
	char *err = NULL, *why = NULL;
	int rc = steering_put(l3, ep, true, d, &err);

	if (rc == 0 || !l3->steer)
		return rc < 0 ? steering_fail(d, rc, err) : 0;
	/* the narrow classes are the only ones that need xt_bpf */
	why = err;
	err = NULL;
	rc = steering_put(l3, ep, false, d, &err);
	if (rc < 0)
		steering_fail(d, rc, err);
	else
		diag_warn(d, NULL, 0, "steering : pure ACKs and bulk transfers will be queued, too: %s", why ? why : "");
	free(why);
	return rc;
}

int steering_check(struct l3 *l3, struct epoch *ep, struct diag *d)
{
	struct steer_plan *plan;
	char *err = NULL;
	unsigned nb;
	int rc = 0;

	plan = steering_plan(NULL, ep, false, &nb, &err);
	if (!plan)
		return steering_fail(d, -EINVAL, err);
	if (nb && !l3->steer) {
		rc = steer_open(&l3->steer, NULL, &err);
		if (rc < 0)
			steering_fail(d, rc, err);
	}
	steer_plan_free(&plan);
	return rc;
}

static void steering_done(struct worker *w, struct steer_job *job)
{
	struct l3_steering *s = job->owner;
	struct l3 *l3 = s->l3;
	bool again = job->rc == 0 || s->epoch != w->epoch->id; /* what failed is not tried again by itself */

	if (job->warnings)
		log_printf(w, &w->epoch->global.log, LOG_WARNING, "steering: %s", job->warnings);
	if (job->rc < 0) {
		log_printf(w, &w->epoch->global.log, LOG_ALERT, "steering was not changed: %s",
			   job->err ? job->err : strerror(-job->rc));
		buf_free(&s->text);
	} else {
		buf_free(&l3->steered);
		l3->steered = s->text;
		offload_news(l3, steer_plan_kernel(job->plan));
	}
	l3->steering = NULL;
	free(s);
	if (again)
		task_queue(w, &l3->sweep); /* what came meanwhile, and queues that are not filled any more */
}

void steering_change(struct l3 *l3, struct epoch *ep)
{
	struct steer_plan *plan;
	struct l3_steering *s;
	struct buf text = { 0 };
	char *err = NULL;
	unsigned nb;

	if (l3->steering || !l3->steer || l3->w->stopping)
		return;
	plan = steering_plan(l3, ep, l3->narrow, &nb, &err);
	if (!plan) {
		free(err);
		return;
	}
	steer_plan_print(plan, &text);
	s = str_eq(buf_str(&text), buf_str(&l3->steered)) ? NULL : calloc(1, sizeof(*s));
	if (!s) {
		buf_free(&text);
		steer_plan_free(&plan);
		return;
	}
	if (steer_plan_kernel(plan))
		offload_news(l3, true); /* before the first of them */
	s->l3 = l3;
	s->epoch = ep->id;
	s->text = text;
	s->job = (struct steer_job){ .st = l3->steer, .plan = plan, .done = steering_done, .owner = s };
	l3->steering = s;
	steer_job_submit(l3->w, &s->job);
}

/* Rules for no new connection, that keep the connection tracker at work: it stops when nobody's rules use it. */
static int steering_keep(struct l3 *l3, char **err)
{
	const struct steer_gateway gw = { .name = "(none)", .leftover = true };
	const struct steer_conf sc = { .mark_mask = l3->mark_mask, .route_table = l3->w->epoch->global.route_table,
				       .gw = &gw, .nb_gw = 1 };
	struct steer_plan *plan = steer_plan_make(&sc, err);
	int rc = plan ? steer_apply(l3->steer, plan, NULL, NULL, err) : -ENOMEM;

	steer_plan_free(&plan);
	return rc;
}

void steering_end(struct l3 *l3, unsigned adjusted)
{
	char *err = NULL;

	if (l3->steering) /* a change of it is under way: its last word, or it puts in what we take out */
		helper_finish(l3->w, &l3->steering->job.job);
	if (l3->steer && adjusted && l3->w->epoch && steering_keep(l3, &err) == 0)
		msg_warning("steering : %u connections go on, the kernel's tracker adjusts their sequence numbers: some rules "
			    "stay, for it would stop without any. Start and stop again to take them out", adjusted);
	else if (l3->steer && steer_withdraw(l3->steer, &err) < 0) {
		msg_warning("steering : %s", err ? err : "not all of it could be taken out");
		free(err);
	}
	if (l3->steer)
		steer_close(&l3->steer);
	buf_free(&l3->steered);
}

static int steering_print_iptables(const struct steer_conf *conf, struct buf *out, char **err)
{
	struct steer_plan *plan = steer_plan_make(conf, err);

	if (!plan)
		return -EINVAL;
	steer_plan_print(plan, out);
	steer_plan_free(&plan);
	return 0;
}

const char *const steering_format_name[] = { [STEERING_IPTABLES] = "iptables", [STEERING_NFT] = "nft" };
static_assert(ARRAY_SIZE(steering_format_name) == STEERING_FORMATS, "");

int steering_print(const struct epoch *ep, enum steering_format format, struct buf *out, char **err)
{
	struct steering_input in;
	int rc = steering_collect(&in, NULL, ep, true, false);

	if (rc < 0)
		return rc;
	rc = (format == STEERING_NFT ? steer_nft_print : steering_print_iptables)(&in.conf, out, err);
	free(in.gws);
	return rc;
}
