/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * health.c - is it ready yet, and is it still well?
 *
 * STARTING: it is asked as `ready` says, first after 1 ms, then ever less often
 * up to every 50 ms, so that the time to ready is known within a few percent. A
 * `delay` is waited for.
 *
 * READY: it is asked the same every `inter`. `fall` failures without `rise`
 * successes in a row between them make it sick. What we lack ourselves
 * (descriptors, ports) is never held against it. A tcp probe cannot see a process
 * that was stopped: its kernel answers; http can. With `delay` there is nothing
 * to ask: the process lives.
 *
 * The tick timer serves whoever owns the instance's state; in DEAD that is the cleaning up.
 */
#include "app_priv.h"

#define HEALTH_FIRST_MS 1
#define HEALTH_LAST_MS  50

static void health_after(struct instance *in, unsigned ms)
{
	ev_timer_stop(in->w->loop, &in->tick);
	ev_timer_set(&in->tick, ms / 1000.0, 0.);
	ev_timer_start(in->w->loop, &in->tick);
}

static void health_ask(struct instance *in)
{
	struct probe_spec ps = { .kind = in->cfg->ready == READY_HTTP ? PROBE_HTTP : PROBE_TCP,
				 .timeout_ms = in->cfg->check_ms,
				 .path = in->cfg->ready_path,
				 .status_min = in->cfg->status_min,
				 .status_max = in->cfg->status_max };

	instance_target(in, &ps.addr);
	probe_start(&in->probe, &ps);
}

static void health_tick(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct instance *in = container_of(t, struct instance, tick);

	switch (in->st) {
	case INST_ST_STARTING:
		if (in->cfg->ready == READY_DELAY)
			instance_event(in, INST_EV_READY);
		else
			health_ask(in);
		break;
	case INST_ST_READY: health_ask(in); break;
	case INST_ST_DRAINING: drain_begin(in); break;
	case INST_ST_DEAD: instance_clean(in); break;
	default: break;
	}
}

static void health_not_ready(struct instance *in)
{
	in->probe_wait_ms = MIN(in->probe_wait_ms + (in->probe_wait_ms + 1) / 2, HEALTH_LAST_MS);
	health_after(in, in->probe_wait_ms);
}

static void health_checked(struct instance *in, enum probe_result res)
{
	if (res == PROBE_OK) {
		if (++in->passes >= in->cfg->rise)
			in->fails = 0;
	} else if (res != PROBE_NO_RESOURCE) {
		in->passes = 0;
		in->fails++;
		instance_log(in, LOG_WARNING, "check failed: %s, %u of %u", probe_result_name(res), in->fails,
			     in->cfg->fall);
	}
	if (in->fails >= in->cfg->fall) {
		instance_cause(in, "%u checks failed, the last one: %s", in->fails, probe_result_name(res));
		instance_event(in, INST_EV_SICK);
		return;
	}
	health_after(in, in->cfg->inter_ms);
}

static void health_done(struct probe *p, enum probe_result res)
{
	struct instance *in = container_of(p, struct instance, probe);

	if (in->st == INST_ST_READY)
		health_checked(in, res);
	else if (res == PROBE_OK)
		instance_event(in, INST_EV_READY);
	else
		health_not_ready(in);
}

void health_init(struct instance *in)
{
	ev_init(&in->tick, health_tick);
	probe_init(&in->probe, in->w, health_done);
}

void health_begin(struct instance *in)
{
	in->probe_wait_ms = HEALTH_FIRST_MS;
	health_after(in, in->cfg->ready == READY_DELAY ? in->cfg->ready_delay_ms : HEALTH_FIRST_MS);
}

void health_watch(struct instance *in)
{
	if (in->cfg->inter_ms && in->cfg->ready != READY_DELAY)
		health_after(in, in->cfg->inter_ms);
}

void health_adopt(struct instance *in)
{
	bool asking = in->probe.running;

	if (in->st == INST_ST_READY) { /* `check` may have changed */
		health_end(in);
		health_watch(in);
	} else if (in->st == INST_ST_STARTING && asking) {
		probe_cancel(&in->probe);
		health_after(in, in->probe_wait_ms);
	}
}

void health_end(struct instance *in)
{
	ev_timer_stop(in->w->loop, &in->tick);
	probe_cancel(&in->probe);
}
