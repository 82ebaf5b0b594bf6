/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sizing.c - from what starts took to the least a standby needs
 *
 * Good starts give an estimate, bad starts of standbys a floor under it; the
 * larger counts. Without any good start the standby is as large as its primary.
 *
 * Memory: (1 + margin) x (peak of non-cache + mapped file when cold) + 1 MiB.
 * This is what held in every trial of FACTS §6 with the margin at its default
 * of 30 %. The cgroup's raw peak misleads (page cache: 1.8x to 10.6x between
 * cold and warm), non-cache alone is too tight once files are cold: the mapped
 * pages then thrash. "Mapped when cold" is what a start that found its files
 * cold was charged with; pages somebody else has touched first are charged to
 * him, so if all starts were warm, all file pages that a process had mapped
 * (file_rss) stand for it, which is never too little.
 *
 * CPU: what the start burnt, spread over five times the shortest start seen,
 * but at least half a second (a standby need not be faster) and at most a third of
 * the start's time limit. Floor: 5 ms in 100 ms.
 *
 * Tasks: the peak plus margin plus four: sampling sees not every short-lived one.
 *
 * Few samples: a fifth more after one start, a tenth after two, nothing after three.
 *
 * A bad start of a standby inside less than the spec raises what it lacked to
 * 1.5 times of what it had: memory after an OOM kill or thrashing (also where it
 * became ready all the same), CPU after being late and throttled, tasks after hitting their limit; all three
 * if there is no telling. It counts as long as the record is remembered.
 */
#include "app/sizing.h"

#include <stdarg.h>
#include <stdio.h>

#define MIB 1048576.0

/* Pages pushed out and needed again: in a failed start a sign of the cause, in a good one of a bad minimum.
 */
#define SIZING_THRASH    256
#define SIZING_THRASH_OK 4096

static const char *const basis_name[] = {
	[SIZING_DEFAULT] = "default",
	[SIZING_MEASURED] = "measured",
	[SIZING_RAISED] = "raised",
};
static_assert(ARRAY_SIZE(basis_name) == SIZING_BASIS_COUNT, "a name for each");

static const char *const result_name[] = {
	[START_OK] = "ok",
	[START_OOM] = "oom",
	[START_TIMEOUT] = "timeout",
	[START_EXIT] = "exit",
};
static_assert(ARRAY_SIZE(result_name) == START_COUNT, "a name for each");

const char *sizing_basis_name(enum sizing_basis b)
{
	return basis_name[b];
}

const char *start_result_name(enum start_result r)
{
	return result_name[r];
}

static void sizing_say(struct sizing *s, size_t *pos, const char *fmt, ...) PRINTF_LIKE(3, 4);
static void sizing_say(struct sizing *s, size_t *pos, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(s->why + *pos, sizeof(s->why) - *pos, fmt, ap);
	va_end(ap);
	*pos = MIN(*pos + MAX(n, 0), sizeof(s->why) - 1);
}

/* The good starts in one. */
struct sizing_peaks {
	unsigned good, cold;
	uint64_t noncache, mapped_cold, file_rss, cpu_us;
	uint32_t procs, ready_ms;
};

static struct sizing_peaks sizing_peaks(const struct start_rec *rec, size_t nb)
{
	struct sizing_peaks p = { .ready_ms = UINT32_MAX };

	for (const struct start_rec *r = rec; r < rec + nb; r++) {
		if (r->result != START_OK)
			continue;
		p.good++;
		p.noncache = MAX(p.noncache, r->noncache);
		p.file_rss = MAX(p.file_rss, MAX(r->file_rss, r->mapped));
		p.cpu_us = MAX(p.cpu_us, r->cpu_us);
		p.procs = MAX(p.procs, r->procs);
		p.ready_ms = MIN(p.ready_ms, r->ready_ms);
		if (r->cold) {
			p.cold++;
			p.mapped_cold = MAX(p.mapped_cold, r->mapped);
		}
	}
	return p;
}

static bool spec_below(const struct app_spec *a, const struct app_spec *full)
{
	return (full->memory && a->memory && a->memory < full->memory) ||
	       (full->cpu_milli && a->cpu_milli && a->cpu_milli < full->cpu_milli) ||
	       (full->pids && a->pids && a->pids < full->pids);
}

/* What bad starts of standbys say. How many there were. */
static unsigned sizing_floor(struct app_spec *floor, const struct start_rec *rec, size_t nb,
			     const struct app_spec *full)
{
	unsigned bad = 0;

	*floor = (struct app_spec){ 0 };
	for (const struct start_rec *r = rec; r < rec + nb; r++) {
		bool thrashed = r->mem_hits > (r->result == START_OK ? SIZING_THRASH_OK : SIZING_THRASH);
		bool memory = r->result == START_OOM || r->oom_kills || thrashed;
		bool cpu =
		    r->result == START_TIMEOUT && r->throttled_us > r->ready_ms * 200ULL; /* a fifth of it */
		bool pids = r->pids_hits > 0;

		if (!r->standby || !spec_below(&r->spec, full) || (r->result == START_OK && !thrashed))
			continue;
		if (!memory && !cpu && !pids)
			memory = cpu = pids = true;
		bad++;
		if (memory)
			floor->memory = MAX(floor->memory, r->spec.memory + r->spec.memory / 2);
		if (cpu)
			floor->cpu_milli =
			    MAX(floor->cpu_milli, r->spec.cpu_milli + (r->spec.cpu_milli + 1) / 2);
		if (pids)
			floor->pids = MAX(floor->pids, r->spec.pids + (r->spec.pids + 1) / 2);
	}
	return bad;
}

static double sizing_cpu(const struct sizing_peaks *pk, const struct sizing_params *p, double factor)
{
	double allowed_ms = MAX(5.0 * pk->ready_ms, 500.0);

	if (p->start_timeout_ms)
		allowed_ms = MIN(allowed_ms, p->start_timeout_ms / 3.0);
	return factor * pk->cpu_us / MAX(allowed_ms, 1.0); /* us in a ms: thousandths of a core */
}

/* One field: the estimate (0: nothing known) in its limits. */
static uint64_t sizing_clamp(double estimate, uint64_t raised, uint64_t least, uint64_t spec,
			     bool *was_raised)
{
	uint64_t v;

	if (!spec)
		return 0;
	if (estimate <= 0)
		return spec;
	v = MAX((uint64_t)estimate, least);
	if (raised > v) {
		v = raised;
		*was_raised = true;
	}
	return MIN(v, spec);
}

void sizing_compute(struct sizing *out, const struct start_rec *rec, size_t nb, const struct app_spec *spec,
		    const struct sizing_params *p)
{
	static const double few[] = { 0, 0.2, 0.1 };
	struct sizing_peaks pk = sizing_peaks(rec, nb);
	double margin = 1 + p->margin_pct / 100.0, extra, factor, mapped, memory = 0, cpu = 0, pids = 0;
	struct app_spec floor;
	unsigned bad = sizing_floor(&floor, rec, nb, spec);
	bool raised = false;
	size_t pos = 0;

	*out = (struct sizing){ .minimum = *spec, .basis = SIZING_DEFAULT, .starts = pk.good };
	if (!pk.good) {
		sizing_say(out, &pos, "no start was measured yet: as large as the primary");
		return;
	}
	extra = pk.good < ARRAY_SIZE(few) ? few[pk.good] : 0;
	factor = margin * (1 + extra);
	mapped = pk.cold ? pk.mapped_cold : pk.file_rss;
	if (pk.noncache)
		memory = factor * (pk.noncache + mapped) + MIB;
	if (pk.cpu_us)
		cpu = sizing_cpu(&pk, p, factor) + 0.999;
	if (pk.procs)
		pids = factor * pk.procs + 4;

	out->basis = SIZING_MEASURED;
	out->ready_ms = pk.ready_ms;
	out->minimum.memory = sizing_clamp(memory, floor.memory, SIZING_MEMORY_FLOOR, spec->memory, &raised);
	if (out->minimum.memory < spec->memory) /* whole 64 kB, for the eye */
		out->minimum.memory = MIN((out->minimum.memory + 65535) & ~65535ULL, spec->memory);
	out->minimum.cpu_milli =
	    sizing_clamp(cpu, floor.cpu_milli, SIZING_CPU_FLOOR, spec->cpu_milli, &raised);
	out->minimum.pids = sizing_clamp(pids, floor.pids, SIZING_PIDS_FLOOR, spec->pids, &raised);
	if (raised)
		out->basis = SIZING_RAISED;

	sizing_say(out, &pos, "memory %.2f x (%.1f MiB non-cache + %.1f MiB mapped%s) + 1 MiB; ", factor,
		   pk.noncache / MIB, mapped / MIB, pk.cold ? " when cold" : ", never seen cold");
	sizing_say(out, &pos, "cpu %.1f ms of it, shortest start %u ms; pids peak %u", pk.cpu_us / 1000.0,
		   pk.ready_ms, pk.procs);
	if (extra > 0)
		sizing_say(out, &pos, "; %.0f%% more, only %u start%s seen", extra * 100, pk.good,
			   pk.good > 1 ? "s" : "");
	if (bad)
		sizing_say(out, &pos, "; %u bad start%s of standbys%s", bad, bad > 1 ? "s" : "",
			   raised ? ", raised by them" : "");
}
