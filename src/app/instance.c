/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * instance.c - the life of an instance, as a table
 *
 *     STARTING --READY--> READY --DRAIN--> DRAINING
 *        |  \               |  \              |
 *        |   LATE,STOP    EXIT  SICK,STOP   DRAINED,LATE,STOP
 *        |      \           |     \           |
 *        +-EXIT--\----------+------\----------+---> DEAD --> freed
 *                 +-----------------+-> STOPPING --EXIT--^
 *
 * Everything that happens to an instance is an event (app_priv.h); the table
 * says the next state and what is done on the way. A hole in it is a mistake of
 * ours, not of the instance: it is warned about and the event is dropped.
 *
 * Two ways to STOPPING: politely (stop signal, then SIGKILL to the whole cgroup when
 * `timeout stop` is over), and for an instance that was late or hangs at once by
 * SIGKILL to the whole cgroup: nobody would answer politeness.
 *
 * Whenever an instance leaves STARTING or READY its application is told from
 * inside the event, so that a standby takes over before anything else happens
 * in this turn of the loop. What is left in a dead one's cgroup has been sent
 * SIGKILL by then, and its port stays taken until all of it is gone.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "app_priv.h"
#include "core/bug.h"
#include "core/clock.h"
#include "driver.h"

#define INST_CLEAN_FIRST 0.001 /* s: then doubling */
#define INST_CLEAN_LAST  0.5
#define INST_STATUS_MS   2000 /* to wait for the exit status */
#define INST_STUCK_MS    10000

const char *const inst_st_name[INST_ST_COUNT] = {
	[INST_ST_HOLE] = "none",         [INST_ST_STARTING] = "starting", [INST_ST_READY] = "ready",
	[INST_ST_DRAINING] = "draining", [INST_ST_STOPPING] = "stopping", [INST_ST_DEAD] = "dead",
};

static const char *const inst_ev_name[INST_EV_COUNT] = {
	[INST_EV_SPAWNED] = "spawned", [INST_EV_SPAWN_FAILED] = "spawn failed",
	[INST_EV_READY] = "ready",     [INST_EV_LATE] = "late",
	[INST_EV_SICK] = "sick",       [INST_EV_EXIT] = "exit",
	[INST_EV_DRAIN] = "drain",     [INST_EV_DRAINED] = "drained",
	[INST_EV_STOP] = "stop",
};

const char *inst_role_name(enum inst_role r)
{
	return r == INST_PRIMARY ? "primary" : "standby";
}

void instance_log(struct instance *in, int level, const char *fmt, ...)
{
	char text[OUTPUT_LINE + 128];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_printf(in->w, &in->cfg->log, level, "app %s: %s: %s", in->app->name, in->name, text);
}

/* The first cause is the cause. */
void instance_cause(struct instance *in, const char *fmt, ...)
{
	va_list ap;

	if (*in->cause)
		return;
	va_start(ap, fmt);
	vsnprintf(in->cause, sizeof(in->cause), fmt, ap);
	va_end(ap);
}

/* What must hold in each state. */
static void instance_assert(const struct instance *in)
{
	BUG_ON(in->app->primary == in && !instance_alive(in));
	BUG_ON(in->app->primary == in && in->role != INST_PRIMARY);
	BUG_ON(in->measure.running && in->st != INST_ST_STARTING);
	BUG_ON(in->st == INST_ST_READY && !in->ready_at_ms);
	BUG_ON((in->st == INST_ST_STOPPING || in->st == INST_ST_DEAD) && in->probe.running);
}

static void instance_set_state(struct instance *in, enum inst_state st)
{
	if (in->st == st)
		return;
	instance_log(in, LOG_INFO, "%s, %s -> %s%s%s", inst_role_name(in->role), inst_st_name[in->st],
		     inst_st_name[st], *in->cause ? ": " : "", in->cause);
	in->st = st;
}

static void instance_deadline(struct instance *in, unsigned ms)
{
	ev_timer_stop(in->w->loop, &in->deadline);
	ev_timer_set(&in->deadline, ms / 1000.0, 0.);
	ev_timer_start(in->w->loop, &in->deadline);
}

static void instance_late(struct ev_loop *loop, ev_timer *t, int revents)
{
	instance_event(container_of(t, struct instance, deadline), INST_EV_LATE);
}

void instance_target(const struct instance *in, struct addr *to)
{
	struct addr any = { .family = in->addr.family };

	*to = in->addr;
	if (addr_eq_ip(&any, &in->addr)) {
		if (to->family == AF_INET)
			to->ip.v4.s_addr = htonl(INADDR_LOOPBACK);
		else
			to->ip.v6 = in6addr_loopback;
	}
}

int instance_set_limits(struct instance *in, const struct app_spec *spec)
{
	unsigned failed = 0;
	int rc = in->driver->limit(in, spec, &in->limits, &failed);

	for (enum cg_ctl c = 0; c < CG_COUNT; c++)
		if (failed & CG_BIT(c))
			app_event(in->app, in, LOG_WARNING, "resize", "the limit of %s could not be set: %s",
				  cg_ctl_name(c), strerror(-rc));
	return rc;
}

/* ---- on the way from state to state ---- */

/* Its end was not asked for. */
static void inst_failed(struct instance *in, const char *kind)
{
	app_event(in->app, in, LOG_WARNING, kind, "%s: %s", inst_role_name(in->role), in->cause);
	app_lost(in->app, in, true);
}

static void inst_bury(struct instance *in)
{
	health_end(in);
	drain_cancel(in);
	measure_cancel(in);
	ev_timer_stop(in->w->loop, &in->deadline);
	in->dead_ms = clock_ms(in->w);
	ev_timer_stop(in->w->loop, &in->tick);
	ev_timer_set(&in->tick, INST_CLEAN_FIRST, INST_CLEAN_FIRST);
	ev_timer_start(in->w->loop, &in->tick);
}

static void inst_on_spawned(struct instance *in, enum inst_state from)
{
	measure_begin(in);
	health_begin(in);
}

static void inst_on_spawn_failed(struct instance *in, enum inst_state from)
{
	in->status_known = true;
	inst_bury(in);
	if (from == INST_ST_STARTING)
		inst_failed(in, "failed");
}

static void inst_on_ready(struct instance *in, enum inst_state from)
{
	ev_timer_stop(in->w->loop, &in->deadline);
	in->ready_at_ms = clock_ms(in->w);
	measure_end(in, START_OK);
	app_event(in->app, in, LOG_NOTICE, "ready",
		  "%s ready in %u ms on port %u, memory %.1f MiB of it not cache", inst_role_name(in->role),
		  in->measure.rec.ready_ms, in->addr.port, in->measure.rec.noncache / 1048576.0);
	health_watch(in);
	app_ready(in->app, in);
}

/* By force: all of it, now, and again until it is gone. */
static void inst_kill(struct instance *in, enum inst_state from)
{
	if (from == INST_ST_STOPPING && !in->exit_us)
		instance_log(in, LOG_WARNING, "still there: killed");
	in->driver->kill(in);
	if (!in->killed)
		app_reconcile_later(in->app); /* it may wait for this one's end */
	in->killed = true;
	instance_deadline(in, 1000);
}

static void inst_on_late(struct instance *in, enum inst_state from)
{
	instance_cause(in, "not ready in %u ms", in->cfg->start_ms);
	health_end(in);
	measure_end(in, START_TIMEOUT);
	inst_kill(in, from);
	inst_failed(in, "failed");
}

static void inst_on_sick(struct instance *in, enum inst_state from)
{
	health_end(in);
	inst_kill(in, from);
	inst_failed(in, "failed");
}

static void inst_on_exit(struct instance *in, enum inst_state from)
{
	in->exit_us = clock_us();
	if (from == INST_ST_STARTING) {
		instance_cause(in, "ended before it was ready");
		measure_end(in, START_EXIT);
	}
	in->driver->kill(in); /* what it left behind */
	inst_bury(in);
	if (!in->asked && (from == INST_ST_STARTING || from == INST_ST_READY)) {
		instance_cause(in, "ended");
		inst_failed(in, "failed");
	}
}

static void inst_on_stop(struct instance *in, enum inst_state from)
{
	in->asked = true;
	health_end(in);
	drain_cancel(in);
	measure_cancel(in);
	if (in->pid)
		in->driver->signal(in, in->cfg->stop_signal);
	instance_deadline(in, in->cfg->stop_ms);
	app_event(in->app, in, LOG_INFO, "stop", "%s: %s", inst_role_name(in->role),
		  *in->cause ? in->cause : "stopped");
	app_lost(in->app, in, false);
}

/* It was to be stopped before it ran. */
static void inst_on_spawned_late(struct instance *in, enum inst_state from)
{
	if (in->asked)
		in->driver->signal(in, in->cfg->stop_signal);
	else
		in->driver->kill(in);
}

static void inst_on_drain(struct instance *in, enum inst_state from)
{
	in->asked = true;
	health_end(in);
	instance_deadline(in, in->cfg->stop_ms);
	drain_begin(in);
	app_lost(in->app, in, false);
}

static const struct {
	enum inst_state next;
	void (*act)(struct instance *in, enum inst_state from);
} inst_table[INST_ST_COUNT][INST_EV_COUNT] = {
	[INST_ST_STARTING] = {
		[INST_EV_SPAWNED]      = { INST_ST_STARTING, inst_on_spawned },
		[INST_EV_SPAWN_FAILED] = { INST_ST_DEAD,     inst_on_spawn_failed },
		[INST_EV_READY]        = { INST_ST_READY,    inst_on_ready },
		[INST_EV_LATE]         = { INST_ST_STOPPING, inst_on_late },
		[INST_EV_EXIT]         = { INST_ST_DEAD,     inst_on_exit },
		[INST_EV_DRAIN]        = { INST_ST_STOPPING, inst_on_stop },
		[INST_EV_STOP]         = { INST_ST_STOPPING, inst_on_stop },
	},
	[INST_ST_READY] = {
		[INST_EV_SICK]         = { INST_ST_STOPPING, inst_on_sick },
		[INST_EV_EXIT]         = { INST_ST_DEAD,     inst_on_exit },
		[INST_EV_DRAIN]        = { INST_ST_DRAINING, inst_on_drain },
		[INST_EV_STOP]         = { INST_ST_STOPPING, inst_on_stop },
	},
	[INST_ST_DRAINING] = {
		[INST_EV_DRAIN]        = { INST_ST_DRAINING, NULL },
		[INST_EV_DRAINED]      = { INST_ST_STOPPING, inst_on_stop },
		[INST_EV_LATE]         = { INST_ST_STOPPING, inst_on_stop },
		[INST_EV_EXIT]         = { INST_ST_DEAD,     inst_on_exit },
		[INST_EV_STOP]         = { INST_ST_STOPPING, inst_on_stop },
	},
	[INST_ST_STOPPING] = {
		[INST_EV_SPAWNED]      = { INST_ST_STOPPING, inst_on_spawned_late },
		[INST_EV_SPAWN_FAILED] = { INST_ST_DEAD,     inst_on_spawn_failed },
		[INST_EV_LATE]         = { INST_ST_STOPPING, inst_kill },
		[INST_EV_EXIT]         = { INST_ST_DEAD,     inst_on_exit },
		[INST_EV_DRAIN]        = { INST_ST_STOPPING, NULL },
		[INST_EV_STOP]         = { INST_ST_STOPPING, NULL },
	},
	[INST_ST_DEAD] = {
		[INST_EV_DRAIN]        = { INST_ST_DEAD,     NULL },
		[INST_EV_STOP]         = { INST_ST_DEAD,     NULL },
	},
};

void instance_event(struct instance *in, enum inst_event ev)
{
	enum inst_state from = in->st, next = inst_table[from][ev].next;

	if (WARN_ON(next == INST_ST_HOLE)) {
		instance_log(in, LOG_ERR, "event '%s' in state %s was dropped: please report this",
			     inst_ev_name[ev], inst_st_name[from]);
		return;
	}
	instance_set_state(in, next);
	if (inst_table[from][ev].act)
		inst_table[from][ev].act(in, from);
	instance_assert(in);
}

/* A standby that outgrew its minimum after it was ready: the start was not the whole truth about it. */
static void inst_outgrew(struct instance *in)
{
	struct start_rec rec = in->measure.rec;

	if (in->role != INST_STANDBY || in->asked || !in->ready_at_ms || !rec.standby)
		return;
	rec.at_ms = clock_wall_ms();
	rec.result = START_OOM;
	measure_record(in, &rec);
	app_resize(in->app);
}

void instance_status(struct instance *in, int status)
{
	char text[96] = "and nobody knows how";
	struct cgroup_usage u;

	if (WIFSIGNALED(status) && status != -1)
		snprintf(text, sizeof(text), "by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else if (status != -1)
		snprintf(text, sizeof(text), "with status %d", WEXITSTATUS(status));
	in->status_known = true;
	in->driver->usage(in, &u); /* its cgroup is still there */
	if (u.oom_kills)
		inst_outgrew(in);
	app_event(in->app, in, in->asked ? LOG_INFO : LOG_WARNING, "exit", "%s ended %s%s",
		  inst_role_name(in->role), text, u.oom_kills ? ", out of memory" : "");
}

/* ---- made and freed ---- */

static void instance_free(struct instance *in)
{
	struct app *a = in->app;

	BUG_ON(a->primary == in);
	output_close(in);
	drain_cancel(in);
	probe_cancel(&in->probe);
	measure_cancel(in);
	ev_timer_stop(in->w->loop, &in->deadline);
	ev_timer_stop(in->w->loop, &in->tick);
	list_del(&in->node);
	epoch_put(in->ep);
	free(in);
	app_instance_freed(a);
}

void instance_clean(struct instance *in)
{
	uint64_t age = clock_ms(in->w) - in->dead_ms;
	double next = MIN(in->tick.repeat * 2, INST_CLEAN_LAST);

	if (!in->status_known && age > INST_STATUS_MS)
		instance_status(in, -1);
	if (in->status_known && in->driver->clean(in) == 0) {
		instance_free(in);
		return;
	}
	if (in->status_known)
		in->driver->kill(in);
	if (age > INST_STUCK_MS && age < INST_STUCK_MS + 1000 * INST_CLEAN_LAST)
		instance_log(in, LOG_ERR, "processes of it cannot be killed; its port stays unused");
	in->tick.repeat = next;
	ev_timer_again(in->w->loop, &in->tick);
}

void instance_abandon(struct instance *in)
{
	if (in->app->primary == in)
		in->app->primary = NULL;
	health_end(in);
	in->driver->kill(in);
	if (in->driver->clean(in) < 0)
		instance_log(in, LOG_ERR, "could not be ended");
	instance_free(in);
}

struct instance *instance_start(struct app *a, enum inst_role role, const struct app_spec *limits, int *why)
{
	struct instance *in;
	uint16_t port = app_port(a, why);

	if (!port)
		return NULL;
	in = calloc(1, sizeof(*in));
	if (!in) {
		*why = ENOMEM;
		return NULL;
	}
	in->app = a;
	in->w = a->w;
	in->ep = epoch_get(a->ep);
	in->cfg = a->cfg;
	in->driver = a->cfg->driver;
	in->role = role;
	in->told = role == INST_PRIMARY;
	in->st = INST_ST_STARTING;
	in->limits = *limits;
	in->addr = a->cfg->listen;
	in->addr.port = port;
	in->born_ms = clock_ms(a->w);
	in->out.fd = -1;
	snprintf(in->name, sizeof(in->name), "%.50s-%u", a->name, ++a->last_nr);
	health_init(in);
	ev_init(&in->deadline, instance_late);
	list_add_tail(&a->instances, &in->node);
	app_event(a, in, LOG_INFO, "start", "%s in memory %.1f MiB, cpu %.3f, pids %u (0: not limited)",
		  inst_role_name(role), limits->memory / 1048576.0, limits->cpu_milli / 1000.0, limits->pids);
	instance_deadline(in, in->cfg->start_ms);
	if (in->driver->start(in) < 0)
		instance_event(in, INST_EV_SPAWN_FAILED);
	return in;
}
