/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sizing.h - from what starts took to the least a standby needs: a pure function
 */
#ifndef STANDIN_APP_SIZING_H
#define STANDIN_APP_SIZING_H

#include "app/spec.h"

enum start_result {
	START_OK,
	START_OOM,     /* something in it was killed for memory */
	START_TIMEOUT, /* not ready in time */
	START_EXIT,    /* it ended by itself */
	START_COUNT
};

/* What one start took, from exec to ready (or to its failure). Fields that the host could not tell are 0. */
struct start_rec {
	uint64_t at_ms; /* wall clock */
	bool standby;   /* started as one, inside .spec */
	bool cold;      /* its files came from the disk */
	enum start_result result;
	uint32_t ready_ms; /* from exec to ready, or to the failure */
	uint64_t noncache; /* bytes: peak of what reclaim cannot take */
	uint64_t mapped;   /* bytes: peak of mapped file pages charged to it */
	uint64_t file_rss; /* bytes: mapped file pages at the end, whoever they are charged to */
	uint64_t cache;    /* bytes: peak of page cache charged to it */
	uint64_t peak;     /* bytes: the kernel's own peak of all of it */
	uint64_t cpu_us, throttled_us;
	uint32_t procs; /* peak of tasks */
	uint64_t majfaults, mem_hits, pids_hits, oom_kills;
	struct app_spec spec; /* the limits it ran under */
};

enum sizing_basis { SIZING_DEFAULT, SIZING_MEASURED, SIZING_RAISED, SIZING_BASIS_COUNT };

struct sizing_params {
	unsigned margin_pct;       /* `standby-margin` */
	unsigned start_timeout_ms; /* `timeout start` */
};

struct sizing {
	struct app_spec minimum;
	enum sizing_basis basis;
	unsigned starts;   /* good ones that it rests on */
	uint32_t ready_ms; /* the shortest of them; 0: none */
	char why[320];     /* the reasons, for people */
};

#define SIZING_MARGIN_DEFAULT 30
#define SIZING_MEMORY_FLOOR   (2ULL << 20)
#define SIZING_CPU_FLOOR      50 /* thousandths: 5 ms in 100 ms, FACTS §6 */
#define SIZING_PIDS_FLOOR     8

/* The least that a standby of an application limited to <spec> is to be started in, after the <nb> starts in
 * <rec> (any order). Never above <spec>, field by field; a field that <spec> does not limit stays unlimited. */
void sizing_compute(struct sizing *out, const struct start_rec *rec, size_t nb, const struct app_spec *spec,
		    const struct sizing_params *p);

const char *sizing_basis_name(enum sizing_basis b);
const char *start_result_name(enum start_result r);

#endif
