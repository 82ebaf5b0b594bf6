/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cgroup.h - control groups v1, v2 and both, as one thing
 *
 * src/app/cgroup.c tells how places are chosen. All paths are written and read
 * with plain system calls that the kernel answers from memory (a limit: 2 us,
 * FACTS §6), so they are called from the loop.
 */
#ifndef STANDIN_APP_CGROUP_H
#define STANDIN_APP_CGROUP_H

#include <sys/types.h>

#include "app/spec.h"

/* What is wanted of the host, each from wherever it offers it. */
enum cg_ctl { CG_MEMORY, CG_CPU, CG_CPUACCT, CG_PIDS, CG_FREEZER, CG_COUNT };
#define CG_BIT(ctl)  (1U << (ctl))
#define CG_LIMITS    (CG_BIT(CG_MEMORY) | CG_BIT(CG_CPU) | CG_BIT(CG_PIDS))
#define CG_MAX_HIERS 5

struct cgroup_hier {
	bool v2;
	char *base; /* owns: "<mount point><our own group>", or the one it stands beside */
	char *tree; /* owns: "<base>/standin-<x>", made by cgroup_host_init() */
	char *leaf; /* owns: where the daemon moved itself, or NULL (v2) */
};

struct cgroup_host {
	struct cgroup_hier hier[CG_MAX_HIERS];
	int nb_hiers;
	int8_t where[CG_COUNT];     /* index into hier, -1: not to be had */
	char why_not[CG_COUNT][96]; /* and why: "not mounted", "/sys/...: Read-only file system" */
};

/* Finds out what the host offers and makes the trees. <root> is "" (tests: a directory with its own proc/ and
 * sys/); <tree> begins with "standin-" and is ours alone; <movable>: processes that may be moved with us.
 * Never fails as a whole: what is missing says so in why_not. */
void cgroup_host_init(struct cgroup_host *h, const char *root, const char *tree, const pid_t *movable,
		      int nb_movable);
/* Removes the trees (all instances' groups must have been) and frees. */
void cgroup_host_free(struct cgroup_host *h, const pid_t *movable, int nb_movable);
static inline bool cgroup_has(const struct cgroup_host *h, enum cg_ctl ctl)
{
	return h->where[ctl] >= 0;
}
const char *cg_ctl_name(enum cg_ctl ctl);

struct cgroup {
	const struct cgroup_host *host; /* borrows; NULL: not made */
	char *dir[CG_MAX_HIERS];        /* owns */
	char *procs[CG_MAX_HIERS + 1];  /* owns: the cgroup.procs to join; ends with NULL */
	struct app_spec limits;         /* what holds; 0 also where the host has no such limit */
};

/* Makes <tree>/<name> in every hierarchy. 0, or -errno and nothing is left. -EEXIST: the name is in use. */
int cgroup_create(struct cgroup *cg, const struct cgroup_host *h, const char *name);
/* Sets all limits. Those that could not be set are bits of CG_BIT() in *failed; the others hold. 0, or the
 * first error as -errno: -EBUSY memory in use exceeds the new limit. Limits the host does not have are not
 * errors. */
int cgroup_set(struct cgroup *cg, const struct app_spec *spec, unsigned *failed);
/* SIGKILLs everything in it. How many processes were still there. */
int cgroup_kill(const struct cgroup *cg);
bool cgroup_empty(const struct cgroup *cg);
/* Removes the directories and frees. 0; -EBUSY: not empty, nothing freed. */
int cgroup_remove(struct cgroup *cg);

struct cgroup_usage {
	uint64_t memory, noncache;    /* bytes now. noncache: what reclaim cannot take without swap */
	uint64_t mapped, cache;
	uint64_t peak;                /* bytes: raw, page cache included, since made */
	uint64_t mem_hits, pids_hits; /* signs of having run into a limit, counted */
	uint64_t oom_kills, majfaults;
	uint64_t cpu_us, throttled_us;
	uint32_t pids;
};
/* Fields the host cannot tell are 0. */
void cgroup_usage(const struct cgroup *cg, struct cgroup_usage *u);
/* The part that rises and falls only (memory, noncache, mapped, cache, pids), for a third of the price: three
 * files. */
void cgroup_sample(const struct cgroup *cg, struct cgroup_usage *u);
/* The largest set of mapped file pages any of its processes has (RssFile), whoever they are charged to. */
uint64_t cgroup_file_rss(const struct cgroup *cg);

#endif
