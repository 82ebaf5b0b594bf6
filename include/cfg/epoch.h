/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * epoch.h - one configuration: immutable once built, counted, many may live
 *
 * An epoch is built beside the running one, on the helper thread, without
 * touching anything global. Each layer keeps its part of it: frontends and
 * backends are l7's, gateways l3's, apps app's. Run-time objects (streams,
 * flows, instances) hold a reference to the epoch they were made under and
 * drop it when done.
 *
 * The life of an epoch:
 *   epoch_build()    read files, parse lines, resolve references; all errors collected
 *   epoch_apply()    in the loop: every module's prepare() (may fail: ports, files), then
 *                    every commit() (may not fail); on failure abort() for those prepared
 *   epoch_put()      the last user frees it
 *
 * What run-time objects need across epochs (counters, listeners' descriptors,
 * server states) belongs to run-time objects found by name, never to an epoch.
 */
#ifndef STANDIN_CFG_EPOCH_H
#define STANDIN_CFG_EPOCH_H

#include "cfg/diag.h"
#include "core/log.h"
#include "core/pool.h"

struct worker;
struct epoch;

#define EPOCH_MAX_PARTS 16
#define EPOCH_BUCKETS   1024

/* A layer's share in configurations. Static; registered by INITCALL. */
struct cfg_module {
	const char *name;
	int order; /* prepare and commit run in rising order, abort in falling */

	/* building: on the helper thread; may only touch the epoch */
	void *(*create)(struct epoch *ep);                 /* its part, empty */
	/* All sections are read: check, cross-refer. Called also when lines were wrong, so that everything is told at
	 * once (not when a section could not even be opened): objects may lack what a wrong line would have set. */
	void (*resolve)(struct epoch *ep, struct diag *d);
	void (*destroy)(void *part);

	/* applying: in the loop. <old> is NULL at start. */
	int (*prepare)(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d); /* 0 or <0 */
	void (*commit)(struct worker *w, struct epoch *ep, struct epoch *old);
	void (*abort)(struct worker *w, struct epoch *ep);

	int index; /* into epoch->part; cfg_module_register()'s */
	struct cfg_module *next;
};

void cfg_module_register(struct cfg_module *m);

/* An object of the configuration that others may refer to by name: proxies, gateways, apps, ACL
 * files. Embedded in the owner's struct. */
struct cfg_object {
	struct list node;   /* in epoch->objects */
	struct cfg_object *next; /* in epoch->by_name */
	const char *kind;   /* "frontend", "backend", "gateway", "app", ... */
	const char *name;   /* arena of the epoch */
	const char *file;
	int line;
};

/* Words of the `global` section that every layer needs. */
struct cfg_global {
	struct log_set log;
	unsigned maxconn;         /* 0: from the descriptor limit */
	unsigned maxpipes;        /* 0: a quarter of maxconn */
	bool nosplice;
	uint64_t maxflows;        /* default 1000000 */
	uint32_t mark_mask;       /* four adjacent bits; default 0x0f000000 */
	uint32_t route_table;     /* default 1000 */
	const char *state_db;     /* default /var/lib/standin/standin.db */
	const char *pidfile, *user, *group, *node, *description;
	const char *ca_base, *crt_base; /* put before relative ca-file and crt names, or NULL */
	bool daemon, master_worker, quiet, zero_warning;
	int uid, gid;             /* of user/uid and group/gid; -1: unchanged */
	unsigned promotion_reserve;
	bool promotion_refuse;
	unsigned bufsize;         /* tune.bufsize, default 16384 */
	uint64_t hold_max, hold_flow_max; /* tune.hold.maxmem, tune.hold.flowmem: bytes of packets that wait without a verdict, of all
				   * connections and of one; default 256m, 16m */
	uint64_t inspect_max;     /* tune.inspect.size: payload bytes that a gateway's rules may wait for; default 64k */
	unsigned max_hdr;         /* tune.http.maxhdr, default 101 */
	unsigned stats_timeout_ms;
	unsigned hard_stop_after_ms;
};

/* What is being read: for those who note something that can be checked only when all sections are read. */
struct cfg_place {
	const char *file;         /* arena; NULL: nothing is being read */
	int line;
	const struct cfg_object *obj; /* the open section; NULL: one that nobody can refer to */
};

struct epoch {
	unsigned refs;            /* atomic: counted */
	uint64_t id;              /* 1, 2, ...; set when applied */
	struct arena arena;       /* owns all strings and objects of the configuration; its owner is the epoch */
	struct cfg_place at;
	struct cfg_global global;
	struct list objects;      /* struct cfg_object */
	struct cfg_object *by_name[EPOCH_BUCKETS]; /* the same, found by name; the first declared comes first */
	struct cfg_env *env;      /* the process's environment as setenv and its kin changed it */
	void *part[EPOCH_MAX_PARTS];
	char **files;             /* as given by -f, for reload */
	int nb_files;
};

/* Reads and checks <files> (files or directories, in order). Messages go to <d>.
 * Returns a new epoch with one reference, or NULL when there were errors. */
struct epoch *epoch_build(char *const *files, int nb_files, struct diag *d);

/* Makes <ep> the configuration of <w>: takes a reference, drops that of the old one.
 * 0, or <0 with the reasons in <d> and nothing changed. Loop thread. */
int epoch_apply(struct worker *w, struct epoch *ep, struct diag *d);

struct epoch *epoch_get(struct epoch *ep);
/* How many there are: the one in force, and older ones that something still runs under. */
unsigned epochs_alive(void);
void epoch_put(struct epoch *ep); /* NULL is fine */

static inline void *epoch_part(const struct epoch *ep, const struct cfg_module *m)
{
	return ep->part[m->index];
}

/* NULL when there is none. */
const char *epoch_getenv(const struct epoch *ep, const char *name);
/* "NAME=value"..., NULL: for a child process. The array is <a>'s, the strings the epoch's. NULL on no memory. */
char **epoch_environ(struct epoch *ep, struct arena *a);

/* Adds an object; reports a duplicate (same kind and name) to <d> with both places. */
void epoch_add_object(struct epoch *ep, struct cfg_object *o, struct diag *d);
struct cfg_object *epoch_find(const struct epoch *ep, const char *kind, const char *name);
/* Nearest name of that kind, for "did you mean", or NULL. */
const char *epoch_nearest(const struct epoch *ep, const char *kind, const char *name);

#endif
