/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * The life of instances and the decisions about them, with a driver that only
 * pretends: the test says what happens, the real tables and the real loop do the
 * rest. Readiness is `delay 1ms`, so no socket is involved.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/app/driver.h"
#include "core/clock.h"
#include "core/layer.h"

#define MEMORY (100ULL << 20)

static struct worker w;
static char dir[64];

/* ---- the driver that pretends ---- */

struct fake {
	struct instance *in;
	ev_timer spawned;
	int signalled, kills;
	struct app_spec limits;
	bool clean, refuse;
};

static bool fake_refuses, fake_silent; /* start() fails; the process never execs */
static unsigned fake_starts;
static enum endpoint_state state_when_limited;

static void fake_spawned(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct fake *f = container_of(t, struct fake, spawned);

	f->in->pid = 1000 + fake_starts;
	instance_event(f->in, INST_EV_SPAWNED);
}

static int fake_start(struct instance *in)
{
	struct fake *f = calloc(1, sizeof(*f));

	fake_starts++;
	in->drv = f;
	f->in = in;
	f->clean = true;
	f->limits = in->limits;
	ev_timer_init(&f->spawned, fake_spawned, 0, 0);
	if (fake_refuses) {
		instance_cause(in, "refused by the test");
		return -EPERM;
	}
	if (!fake_silent)
		ev_timer_start(w.loop, &f->spawned);
	return 0;
}

static void fake_signal(struct instance *in, int sig)
{
	((struct fake *)in->drv)->signalled = sig;
}

static void fake_kill(struct instance *in)
{
	((struct fake *)in->drv)->kills++;
}

static int fake_limit(struct instance *in, const struct app_spec *spec, struct app_spec *holds, unsigned *failed)
{
	((struct fake *)in->drv)->limits = *holds = *spec;
	state_when_limited = in->app->endpoint->state;
	*failed = 0;
	return 0;
}

static void fake_usage(struct instance *in, struct cgroup_usage *u)
{
	*u = (struct cgroup_usage){ .memory = 12 << 20, .noncache = 10 << 20, .mapped = 1 << 20, .majfaults = 1,
				    .cpu_us = 5000, .pids = 2 };
}

static uint64_t fake_file_rss(struct instance *in)
{
	return 1 << 20;
}

static int fake_clean(struct instance *in)
{
	struct fake *f = in->drv;

	if (!f->clean)
		return -EBUSY;
	ev_timer_stop(w.loop, &f->spawned);
	free(f);
	in->drv = NULL;
	return 0;
}

static int fake_check(const struct app_cfg *cfg, char **err)
{
	return 0;
}

static struct app_driver fake_driver = { .name = "fake", .check = fake_check, .start = fake_start,
					 .signal = fake_signal, .kill = fake_kill, .limit = fake_limit,
					 .usage = fake_usage, .sample = fake_usage, .file_rss = fake_file_rss, .clean = fake_clean };

/* ---- what the test can do ---- */

static void on_timeout(struct ev_loop *loop, ev_timer *t, int revents)
{
}

static void run_ms(unsigned ms)
{
	uint64_t end = clock_us() + ms * 1000ULL;
	ev_timer t;

	ev_timer_init(&t, on_timeout, 0.001, 0.001);
	ev_timer_start(w.loop, &t);
	while (clock_us() < end)
		ev_run(w.loop, EVRUN_ONCE);
	ev_timer_stop(w.loop, &t);
}

static struct app *web(void)
{
	return app_find(&w, "web");
}

static struct instance *find(enum inst_role role, enum inst_state st)
{
	struct instance *in;

	list_for_each(in, &web()->instances, node)
		if (in->role == role && in->st == st)
			return in;
	return NULL;
}

#define RUN_UNTIL(cond)                                                                                      \
	do {                                                                                                 \
		uint64_t end_ = clock_us() + 3000000;                                                        \
		while (!(cond) && clock_us() < end_)                                                         \
			run_ms(1);                                                                           \
		cr_assert(cond, "not within 3 s: " #cond);                                                   \
	} while (0)

static void die(struct instance *in, int status)
{
	instance_event(in, INST_EV_EXIT);
	instance_status(in, status);
}

static bool happened(const char *kind)
{
	const struct app_event *e;

	list_for_each(e, &w.apps->events, e.node)
		if (!strcmp(e->e.kind, kind))
			return true;
	return false;
}

static void configure(const char *more)
{
	char path[128], *files[] = { path };
	struct epoch *ep;
	struct diag d;
	FILE *f;

	snprintf(path, sizeof(path), "%s/cfg", dir);
	f = fopen(path, "w");
	fprintf(f,
		"global\n state-db %s/state.db\n"
		"app web\n driver fake\n command /bin/true\n user nobody\n listen 127.0.0.1:21300-21309\n"
		" resources memory 100m cpu 1.0 pids 64\n ready delay 1ms\n timeout start 200ms\n timeout stop 100ms\n"
		" restart backoff 10ms 50ms limit 3 per 1m\n%s",
		dir, more);
	fclose(f);
	diag_init(&d);
	ep = epoch_build(files, 1, &d);
	diag_print(&d);
	cr_assert_not_null(ep);
	cr_assert_eq(epoch_apply(&w, ep, &d), 0);
	epoch_put(ep);
	diag_free(&d);
}

static void setup(void)
{
	static bool registered;

	strcpy(dir, "/tmp/app-life-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	if (!registered)
		app_driver_register(&fake_driver);
	registered = true;
	cr_assert_eq(worker_init(&w), 0);
	w.keeper = (struct keeper *)&w; /* there is one; nobody talks to it */
	cr_assert_eq(layers_init(&w), 0);
	w.apps->cgroups_known = true; /* the driver that pretends needs none */
	fake_starts = fake_refuses = fake_silent = 0;
}

static void teardown(void)
{
	struct instance *in;
	struct app *a;
	char cmd[128];

	list_for_each(a, &w.apps->apps, node)
		list_for_each(in, &a->instances, node) {
			in->status_known = true;
			((struct fake *)in->drv)->clean = true;
			if (in->st != INST_ST_DEAD)
				die(in, 0);
		}
	w.keeper = NULL;
	w.apps->cgroups_known = false;
	layers_destroy(&w);
	worker_destroy(&w);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(life, .init = setup, .fini = teardown, .timeout = 20);

static struct instance *primary_and_standby(void)
{
	configure("");
	RUN_UNTIL(find(INST_STANDBY, INST_ST_READY));
	cr_assert_eq(web()->primary->st, INST_ST_READY);
	cr_assert_eq(web()->endpoint->state, ENDPOINT_UP);
	return find(INST_STANDBY, INST_ST_READY);
}

Test(life, a_primary_is_started_at_full_size_then_a_standby_in_its_minimum)
{
	struct instance *s = primary_and_standby();

	cr_assert_eq(((struct fake *)web()->primary->drv)->limits.memory, MEMORY);
	cr_assert_lt(((struct fake *)s->drv)->limits.memory, MEMORY / 4);
	cr_assert_eq(fake_starts, 2);
	cr_assert_neq(s->addr.port, web()->primary->addr.port);
	cr_assert_eq(web()->endpoint->addr.port, web()->primary->addr.port);
}

Test(life, the_death_of_a_primary_is_answered_from_inside_the_event)
{
	struct instance *s = primary_and_standby(), *p = web()->primary;
	uint64_t generation = web()->endpoint->generation;

	instance_event(p, INST_EV_EXIT);
	/* no turn of the loop in between */
	cr_assert_eq(web()->primary, s);
	cr_assert_eq(web()->endpoint->state, ENDPOINT_UP);
	cr_assert_eq(web()->endpoint->addr.port, s->addr.port);
	cr_assert_eq(web()->endpoint->generation, generation + 1, "one publication, straight from one to the other");
	cr_assert_eq(((struct fake *)s->drv)->limits.memory, MEMORY);
	cr_assert_geq(((struct fake *)p->drv)->kills, 1, "what the dead one left behind was killed first");
	cr_assert_eq(web()->failovers, 1);
	instance_status(p, 9);
	RUN_UNTIL(find(INST_STANDBY, INST_ST_READY));
	cr_assert_eq(fake_starts, 3);
}

Test(life, a_port_is_not_used_again_before_everything_on_it_is_gone)
{
	struct instance *p;
	uint16_t port;

	primary_and_standby();
	p = web()->primary;
	port = p->addr.port;
	((struct fake *)p->drv)->clean = false;
	die(p, 9);
	for (int i = 0; i < 12; i++) {
		RUN_UNTIL(find(INST_STANDBY, INST_ST_READY));
		cr_assert_neq(find(INST_STANDBY, INST_ST_READY)->addr.port, port);
		die(find(INST_STANDBY, INST_ST_READY), 9);
		backoff_reset(&web()->backoff[INST_STANDBY]);
	}
	cr_assert_geq(((struct fake *)p->drv)->kills, 2, "and it is killed again meanwhile");
}

Test(life, without_a_ready_standby_nobody_is_published_until_the_next_is_ready)
{
	struct instance *s = primary_and_standby(), *p = web()->primary;

	fake_silent = true;
	die(s, 9);
	run_ms(30);
	die(p, 9);
	cr_assert_eq(web()->endpoint->state, ENDPOINT_DOWN);
	/* the standby that was starting becomes the primary, at full size */
	cr_assert_not_null(web()->primary);
	cr_assert_eq(web()->primary->st, INST_ST_STARTING);
	cr_assert_eq(((struct fake *)web()->primary->drv)->limits.memory, MEMORY);
	fake_silent = false;
	ev_timer_start(w.loop, &((struct fake *)web()->primary->drv)->spawned);
	RUN_UNTIL(web()->endpoint->state == ENDPOINT_UP);
}

Test(life, one_that_is_late_is_killed_and_counted)
{
	fake_silent = true;
	configure(" standby 0\n");
	RUN_UNTIL(find(INST_PRIMARY, INST_ST_STOPPING));
	cr_assert_null(web()->primary);
	cr_assert_geq(((struct fake *)find(INST_PRIMARY, INST_ST_STOPPING)->drv)->kills, 1);
	cr_assert_eq(web()->backoff[INST_PRIMARY].nb, 1);
	cr_assert(happened("failed"));
}

Test(life, too_many_failures_of_primaries_give_up_until_told_otherwise)
{
	fake_refuses = true;
	configure(" standby 0\n");
	RUN_UNTIL(web()->gave_up);
	cr_assert_eq(fake_starts, 3);
	run_ms(150);
	cr_assert_eq(fake_starts, 3);
	cr_assert_str_eq(app_state(web()), "gave-up");
	cr_assert(happened("give-up"));
}

Test(life, a_standby_that_fails_again_and_again_does_not_stop_the_primary)
{
	primary_and_standby();
	fake_refuses = true;
	die(find(INST_STANDBY, INST_ST_READY), 9);
	run_ms(200);
	cr_assert(!web()->gave_up);
	cr_assert_eq(web()->endpoint->state, ENDPOINT_UP);
	cr_assert_leq(fake_starts, 5, "three failures within the period, then it waits");
}

Test(life, stopping_is_polite_first_and_forceful_then)
{
	struct instance *p;

	primary_and_standby();
	p = web()->primary;
	web()->want = APP_STOP;
	app_reconcile(web());
	cr_assert_eq(p->st, INST_ST_STOPPING);
	cr_assert_eq(((struct fake *)p->drv)->signalled, SIGTERM);
	cr_assert_eq(((struct fake *)p->drv)->kills, 0);
	cr_assert_eq(web()->endpoint->state, ENDPOINT_DOWN);
	RUN_UNTIL(((struct fake *)p->drv)->kills > 0);
	die(p, 9);
	run_ms(30);
	cr_assert_eq(web()->backoff[INST_PRIMARY].nb, 0, "an end that was asked for is no failure");
}

Test(life, one_that_is_to_stop_before_it_runs_gets_its_signal_once_it_does)
{
	struct instance *p;

	fake_silent = true;
	configure(" standby 0\n");
	RUN_UNTIL(find(INST_PRIMARY, INST_ST_STARTING));
	p = find(INST_PRIMARY, INST_ST_STARTING);
	web()->want = APP_STOP;
	app_reconcile(web());
	cr_assert_eq(p->st, INST_ST_STOPPING);
	cr_assert_eq(((struct fake *)p->drv)->signalled, 0);
	p->pid = 1;
	instance_event(p, INST_EV_SPAWNED);
	cr_assert_eq(((struct fake *)p->drv)->signalled, SIGTERM);
}

Test(life, failover_on_purpose_publishes_first_and_lets_the_old_one_finish)
{
	struct instance *s = primary_and_standby(), *p = web()->primary;

	app_switch(web(), s, "on demand");
	cr_assert_eq(web()->primary, s);
	cr_assert_eq(web()->endpoint->addr.port, s->addr.port);
	cr_assert_eq(p->st, INST_ST_DRAINING);
	cr_assert_eq(((struct fake *)p->drv)->signalled, 0);
	RUN_UNTIL(p->st == INST_ST_STOPPING); /* nobody is connected to it */
	cr_assert_eq(((struct fake *)p->drv)->signalled, SIGTERM);
	die(p, 0);
	RUN_UNTIL(find(INST_STANDBY, INST_ST_READY));
	cr_assert_eq(web()->failovers, 1);
}

Test(life, a_standby_that_becomes_sick_is_replaced)
{
	struct instance *s = primary_and_standby();

	instance_cause(s, "the test says so");
	instance_event(s, INST_EV_SICK);
	cr_assert_eq(s->st, INST_ST_STOPPING);
	cr_assert_geq(((struct fake *)s->drv)->kills, 1);
	die(s, 9);
	RUN_UNTIL(find(INST_STANDBY, INST_ST_READY));
	cr_assert_eq(web()->failovers, 0);
}

Test(life, limits_are_raised_before_anybody_is_told)
{
	struct instance *s = primary_and_standby(), *p = web()->primary;

	die(s, 9);
	fake_silent = true;
	run_ms(30);
	instance_event(p, INST_EV_EXIT);
	instance_status(p, 9);
	cr_assert_eq(state_when_limited, ENDPOINT_UP, "the old address was still there: no gap was made for it");
	cr_assert_eq(web()->endpoint->state, ENDPOINT_DOWN);
}

Test(life, a_reload_that_changes_nothing_changes_nothing)
{
	struct instance *s = primary_and_standby(), *p = web()->primary;

	configure("");
	run_ms(30);
	cr_assert_eq(web()->primary, p);
	cr_assert_eq(find(INST_STANDBY, INST_ST_READY), s);
	cr_assert_eq(p->ep, w.epoch, "instances live under the new configuration");
	cr_assert_eq(fake_starts, 2);
}

Test(life, a_changed_app_is_replaced_standby_first)
{
	struct instance *p;

	primary_and_standby();
	p = web()->primary;
	configure(" env V=2\n");
	cr_assert_eq(web()->primary, p);
	RUN_UNTIL(web()->primary != p);
	cr_assert_eq(web()->endpoint->state, ENDPOINT_UP);
	cr_assert_neq(web()->endpoint->addr.port, p->addr.port);
	cr_assert(!instance_alive(p));
	cr_assert_str_eq(web()->primary->cfg->env[0], "V=2");
}

Test(life, an_event_that_cannot_come_is_dropped)
{
	primary_and_standby();
	instance_event(web()->primary, INST_EV_SPAWN_FAILED);
	cr_assert_eq(web()->primary->st, INST_ST_READY);
}

Test(life, variables_are_expanded_and_other_dollars_left_alone)
{
	struct instance *in;
	char want[128], *got;

	primary_and_standby();
	in = web()->primary;
	got = app_expand(in, "$PORT ${PORT}x $ADDR $INSTANCE $MEMORY_MB $CPUS $PORTS ${PORT $ $$ $HOME 100$");
	snprintf(want, sizeof(want), "%u %ux 127.0.0.1 web-1 100 1 $PORTS ${PORT $ $$ $HOME 100$", in->addr.port,
		 in->addr.port);
	cr_assert_str_eq(got, want);
	free(got);
}
