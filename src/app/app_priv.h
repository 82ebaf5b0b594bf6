/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * app_priv.h - what the files of the application half share
 *
 *   app_cfg    one `app` section; immutable, in an epoch
 *   app        the application at run time, found by name; outlives epochs
 *   instance   one start of it: a process (driver_process.c) in a cgroup, on a port
 *
 *   app_cfg.c   the section               instance.c   the life of an instance, as a table
 *   app.c       what should run           health.c     ready yet? still well?
 *   promote.c   who serves                measure.c    what the start took
 *   backoff.c   when to try again         output.c     its lines, to the log
 *   appmgr.c    layer, reload, history    drain.c      who is still connected
 *   app_cli.c   commands                  driver.h     how instances are run
 *   port.c      ports                     reserve.c    memory for failovers
 */
#ifndef STANDIN_APP_PRIV_H
#define STANDIN_APP_PRIV_H

#include <ev.h>

#include "app/cgroup.h"
#include "app/sizing.h"
#include "app/store.h"
#include "cfg/epoch.h"
#include "core/endpoint.h"
#include "core/helper.h"
#include "core/log.h"
#include "core/probe.h"
#include "core/worker.h"
#include "keeper/keeper.h"

struct app_driver;

/* ---- configuration ---- */

enum ready_kind { READY_TCP, READY_HTTP, READY_DELAY };
enum promote_kind { PROMOTE_NOTHING, PROMOTE_EXEC, PROMOTE_SIGNAL, PROMOTE_HTTP };

struct app_cfg {
	struct cfg_object obj; /* kind "app" */
	struct list node;      /* in struct app_part */
	const struct app_driver *driver;

	/* all strings: arena of the epoch; words as written, expand.c's names in them */
	char **argv; /* NULL-terminated; argv[0] is an absolute path */
	int argc, command_line;
	char **env; /* "NAME=value" */
	int nb_env;
	char *dir, *user, *group, *home;
	uid_t uid;
	gid_t gid;
	mode_t umask;
	struct {
		int resource;
		uint64_t soft, hard;
	} rlimit[KEEPER_MAX_RLIMITS];
	int nb_rlimits;
	struct addr listen; /* port: the first of the range */
	uint16_t port_last;
	bool has_listen;
	char *release;  /* as configured, or a digest */
	char *identity; /* digest of what a running instance cannot change any more */
	struct app_spec spec;

	enum ready_kind ready;
	char *ready_path;
	unsigned ready_delay_ms, status_min, status_max;
	unsigned start_ms, stop_ms, check_ms;
	unsigned inter_ms, fall, rise; /* inter 0: no checks */
	unsigned standby, margin_pct;
	unsigned backoff_min_ms, backoff_max_ms, limit, period_ms;
	int stop_signal;
	enum promote_kind promote;
	char **promote_argv; /* exec */
	int promote_signal;
	char *promote_path; /* http */
	char *depends;
	struct log_set log;
};

struct app_part {
	struct list apps; /* struct app_cfg, as written */
};

extern struct cfg_module app_module;
const struct app_part *app_part(const struct epoch *ep);
void *app_cfg_create(struct epoch *ep);
void app_cfg_resolve(struct epoch *ep, struct diag *d);

/* ---- when to try again: backoff.c; pure ---- */

#define BACKOFF_WINDOW 64 /* largest `limit` */

struct backoff {
	unsigned row; /* failures in a row */
	uint64_t not_before_ms;
	uint64_t failed_ms[BACKOFF_WINDOW]; /* ring */
	unsigned nb;
};

struct backoff_policy {
	unsigned min_ms, max_ms, limit, period_ms;
};

#define BACKOFF_STABLE_MS 10000 /* serving so long ends a row of failures */

/* A failure at <now>, after being ready for <ready_ms> (0: never was). */
void backoff_fail(struct backoff *b, const struct backoff_policy *p, uint64_t now, uint64_t ready_ms);
/* How long to wait before the next start; 0: now. *over: the limit is reached; the wait then lasts until the
 * period has room again. */
uint64_t backoff_wait(const struct backoff *b, const struct backoff_policy *p, uint64_t now, bool *over);
void backoff_reset(struct backoff *b);

/* ---- measuring a start: measure.c ---- */

struct measure {
	ev_timer timer;
	uint64_t begin_us;
	struct start_rec rec;
	bool running;
};

/* ---- output: output.c ---- */

#define OUTPUT_LINE 1024 /* longer lines are cut into pieces */

struct output {
	ev_io io;
	int fd; /* owns; -1 */
	unsigned len;
	uint64_t second;            /* of the rate */
	unsigned lines, suppressed; /* in it */
	char line[OUTPUT_LINE];
};

/* ---- instances: instance.c ---- */

enum inst_role { INST_PRIMARY, INST_STANDBY };

/* State 0 is a hole in the table: an event that cannot come there.
 *   STARTING  asked of the driver, its process runs or will; not ready. Leaves by READY, LATE, EXIT, STOP.
 *   READY     answers. A standby waits, the primary serves. Leaves by SICK, EXIT, DRAIN, STOP.
 *   DRAINING  no longer published, its connections may end. Leaves by DRAINED, EXIT, STOP.
 *   STOPPING  told to end, by its stop signal or by SIGKILL; nobody's any more. Leaves by EXIT.
 *   DEAD      its main process is gone; the rest of its cgroup is being killed, then it is freed. */
enum inst_state {
	INST_ST_HOLE,
	INST_ST_STARTING,
	INST_ST_READY,
	INST_ST_DRAINING,
	INST_ST_STOPPING,
	INST_ST_DEAD,
	INST_ST_COUNT
};
enum inst_event {
	INST_EV_SPAWNED,      /* exec'd; in->pid */
	INST_EV_SPAWN_FAILED, /* never ran; in->cause */
	INST_EV_READY,
	INST_EV_LATE,  /* the state's time is over */
	INST_EV_SICK,  /* `fall` checks failed */
	INST_EV_EXIT,  /* the main process is gone */
	INST_EV_DRAIN, /* let it finish what it does, then stop it */
	INST_EV_DRAINED,
	INST_EV_STOP, /* end it */
	INST_EV_COUNT
};

struct instance {
	struct list node; /* in app->instances */
	struct app *app;  /* borrows; NULL never */
	struct worker *w;
	struct epoch *ep; /* counted */
	const struct app_cfg *cfg;
	const struct app_driver *driver;
	char name[STORE_NAME_LEN]; /* "web-7": $INSTANCE */
	enum inst_role role;
	enum inst_state st;
	struct addr addr;
	pid_t pid; /* 0: not yet, or none */
	struct app_spec limits;
	uint64_t born_ms, ready_at_ms;
	uint64_t exit_us;  /* when its end was seen */
	bool asked;        /* its end was asked for: no failure */
	bool killed;       /* SIGKILL was sent to all of it */
	bool status_known; /* how it ended */
	bool outdated;     /* to be replaced, though its configuration is the current one */
	bool told;         /* on-promote is done with, or was never due: it began as the primary */
	uint64_t dead_ms;  /* since when there is only the cleaning up */
	char cause[160];   /* why it ends or ended; "" */
	ev_timer deadline; /* of the state */
	ev_timer tick;     /* next probe, check, look at the drain, try to clean */
	struct probe probe;
	unsigned probe_wait_ms, fails, passes;
	struct measure measure;
	struct output out;
	struct drain *drain; /* owns; a count under way */
	void *drv;           /* the driver's */
};

extern const char *const inst_st_name[INST_ST_COUNT];
const char *inst_role_name(enum inst_role r);

/* Makes one and asks the driver to start it inside <limits>; what fails from then on is an event of its life.
 * NULL when there was not even a port for it, and why, as errno. */
struct instance *instance_start(struct app *a, enum inst_role role, const struct app_spec *limits, int *why);
void instance_event(struct instance *in, enum inst_event ev);
/* How it ended, as of waitpid(); -1: nobody knows. For drivers. */
void instance_status(struct instance *in, int status);
void instance_cause(struct instance *in, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Writes all three limits, in place; warns about those that did not take. 0 or -errno. */
int instance_set_limits(struct instance *in, const struct app_spec *spec);
void instance_log(struct instance *in, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* DEAD: frees it if nothing is left to be waited for; the tick timer's. */
void instance_clean(struct instance *in);
/* The daemon ends and it could not be ended: forget it. */
void instance_abandon(struct instance *in);
static inline bool instance_alive(const struct instance *in)
{
	return in->st == INST_ST_STARTING || in->st == INST_ST_READY;
}

/* Where to connect to it: in->addr, or loopback where that is any address. */
void instance_target(const struct instance *in, struct addr *to);

/* health.c */
void health_begin(struct instance *in); /* STARTING: look until it is ready */
void health_watch(struct instance *in); /* READY: check every `inter` */
void health_end(struct instance *in);
void health_adopt(struct instance *in); /* in->cfg is another one: what was asked by the old one's words is not */
void health_init(struct instance *in);

/* measure.c */
void measure_begin(struct instance *in);
void measure_end(struct instance *in, enum start_result res); /* records it */
void measure_cancel(struct instance *in);
void measure_record(struct instance *in, const struct start_rec *rec); /* to history and store */

/* output.c. Returns the end to give to the instance, or -1; the caller closes it once it was passed on. */
int output_open(struct instance *in);
void output_close(struct instance *in);

/* drain.c */
void drain_begin(struct instance *in);
void drain_cancel(struct instance *in);

/* expand.c: a malloc'd copy of <s> with $PORT $ADDR $INSTANCE $MEMORY_MB $CPUS, also as ${PORT}, in it
 * replaced. */
char *app_expand(const struct instance *in, const char *s);
/* The same for <n> words, with room for <extra> more; app_free_all() frees it. */
char **app_expand_all(const struct instance *in, char *const *v, int n, int extra);
void app_free_all(char **v);

/* ---- applications: app.c, promote.c ---- */

enum app_want { APP_RUN, APP_STOP };

struct app {
	struct list node; /* in appmgr->apps, in order of id */
	uint64_t id;
	struct worker *w;
	char *name;                /* owns */
	struct epoch *ep;          /* counted */
	const struct app_cfg *cfg; /* in it */
	struct endpoint *endpoint; /* counted */
	enum app_want want;        /* the operator's will */
	bool retired;              /* no longer configured: freed with its last instance */
	bool gave_up;
	struct list instances;
	struct instance *primary;    /* borrows; STARTING or READY; NULL: none */
	struct promotion *promotion; /* owns; `on-promote` under way */
	unsigned last_nr;
	uint16_t last_port;
	uint64_t failovers;
	uint64_t lost_us;                /* since when its successor is awaited; 0: it is not */
	char lost[STORE_NAME_LEN + 200]; /* whose, and why */
	struct app_spec minimum;         /* what the next standby is started in */
	struct backoff backoff[2];       /* by role */
	struct task reconcile;
	ev_timer wake;
};

/* Looks again at what should run, at the end of this loop cycle. */
void app_reconcile_later(struct app *a);
void app_reconcile(struct app *a);
/* The instance left STARTING or READY. Fails over at once if it was the primary. */
void app_lost(struct app *a, struct instance *in, bool failed);
void app_ready(struct app *a, struct instance *in);
/* An instance is free for good. */
void app_instance_freed(struct app *a);
const char *app_state(const struct app *a);
void app_sizing(const struct app *a, struct sizing *out);
/* What the size rests on changed: computes it, keeps it, stores it. */
void app_resize(struct app *a);
void app_log(struct app *a, int level, const char *fmt, ...) PRINTF_LIKE(3, 4);

bool app_outdated(const struct app *a, const struct instance *in);

/* promote.c: <in> becomes the primary: limits raised, told, published. A STARTING one is published once
 * ready. */
void app_promote(struct app *a, struct instance *in);
/* The primary is ready: whatever of the above is left. */
void app_serve(struct app *a);
/* <from> is READY and serves: <to>, a READY standby, takes over, then <from> may finish. */
void app_switch(struct app *a, struct instance *to, const char *why);
void app_publish(struct app *a); /* the endpoint says what is so */
void app_promotion_cancel(struct app *a);
/* reserve.c: is there memory for `promotion-reserve` failovers once <a> has another standby? False: do not
 * start it. */
bool reserve_allows(struct app *a);
/* port.c: a free port of the range, or 0 and why the last one was not, as errno. */
uint16_t app_port(struct app *a, int *why);

/* ---- all of them: appmgr.c, history.c ---- */

#define HISTORY_STARTS 32
#define HISTORY_EVENTS 1000

struct history {
	struct list node;
	char app[STORE_NAME_LEN], release[STORE_RELEASE_LEN];
	struct start_rec rec[HISTORY_STARTS]; /* oldest first */
	unsigned nb;
};

struct app_event {
	struct store_event e; /* its node is in appmgr->events, oldest first */
	uint64_t seq;
};

struct appmgr {
	struct worker *w;
	struct list apps;
	uint64_t last_app_id;
	struct store *store; /* owns; NULL until there are apps */
	bool loaded;         /* the store has answered: sizes are known as well as they ever will */
	bool stopping;
	struct cgroup_host cgroups;
	bool cgroups_known;
	bool reserve_short; /* said already */
	unsigned measuring; /* starts under way */
	uint64_t turn_ms;   /* app_turn()'s */
	unsigned turns;
	struct list histories;
	struct list events; /* struct app_event */
	unsigned nb_events;
	uint64_t last_event; /* its seq; begins high, what the store held counts down from there */
};

struct app *app_find(struct worker *w, const char *name);
void app_free(struct app *a);

struct history *history_get(struct appmgr *m, const char *app, const char *release, bool make);
void history_add(struct appmgr *m, const char *app, const char *release, const struct start_rec *rec);
void history_forget(struct appmgr *m, const char *app);
void history_free(struct appmgr *m);
/* Remembered, stored, and logged by <a>'s `log` at <level>. <in> may be NULL. */
void app_event(struct app *a, const struct instance *in, int level, const char *kind, const char *fmt, ...)
    PRINTF_LIKE(5, 6);
/* From the store, newest first: each is older than all there are. Copied. */
void event_restore(struct appmgr *m, const struct store_event *e);

#endif
