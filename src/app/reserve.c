/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reserve.c - memory kept free for failovers: `promotion-reserve <n> [warn|refuse]`
 *
 * A standby is promised its primary's memory, but does not have it yet: what it
 * lacks is specification less minimum. The reserve is what the <n> applications
 * that lack most, lack together; the host should have that much available
 * (MemAvailable: free, and what can be reclaimed). It is looked at when a
 * standby is about to be started in its minimum, which is when the promise is
 * made: warn says so and starts it, refuse says so and tries again later. It is said
 * once, until it is good again.
 */
#include <stdio.h>
#include <string.h>

#include "app_priv.h"
#include "core/cli.h"

static uint64_t reserve_lack(const struct app *a)
{
	return a->cfg->standby && !a->retired ? a->cfg->spec.memory - a->minimum.memory : 0;
}

/* In bytes: what the <n> that lack most lack together. */
static uint64_t reserve_needed(const struct appmgr *m, unsigned n)
{
	uint64_t sum = 0, last = UINT64_MAX;
	const struct app *a;

	/* <n> is small: as many rounds, each finding the next smaller value and how often it is there */
	while (n) {
		uint64_t best = 0;
		unsigned times = 0;

		list_for_each(a, &m->apps, node) {
			uint64_t lack = reserve_lack(a);

			if (lack < last && lack > best)
				best = lack, times = 0;
			times += lack == best;
		}
		if (!best)
			break;
		times = MIN(times, n);
		sum += best * times;
		n -= times;
		last = best;
	}
	return sum;
}

static uint64_t reserve_available(void)
{
	FILE *f = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib << 10;
}

bool reserve_allows(struct app *a)
{
	const struct cfg_global *g = &a->ep->global;
	struct appmgr *m = a->w->apps;
	uint64_t need = reserve_needed(m, g->promotion_reserve), have = need ? reserve_available() : 0;
	bool good = need <= have || !have;

	if (!good && !m->reserve_short)
		app_event(a, NULL, LOG_WARNING, "reserve",
			  "%u failovers at once would need %.1f MiB more, available are %.1f MiB%s",
			  g->promotion_reserve, need / 1048576.0, have / 1048576.0,
			  g->promotion_refuse ? ": no standby is started" : "");
	m->reserve_short = !good;
	return good || !g->promotion_refuse;
}

static void reserve_info(struct worker *w, struct info_sink *s)
{
	const struct appmgr *m = w->apps;
	unsigned apps = 0, up = 0;
	uint64_t failovers = 0;
	const struct app *a;

	if (!m || list_empty(&m->apps))
		return;
	list_for_each(a, &m->apps, node) {
		apps++;
		up += a->endpoint->state == ENDPOINT_UP;
		failovers += a->failovers;
	}
	info_uint(s, "Apps", apps);
	info_uint(s, "AppsUp", up);
	info_uint(s, "AppFailovers", failovers);
	info_uint(s, "PromotionReserve_bytes",
		  w->epoch ? reserve_needed(m, w->epoch->global.promotion_reserve) : 0);
	info_uint(s, "MemAvailable_bytes", reserve_available());
	info_str(s, "StateDb",
		 m->store && !store_error(m->store) ? "ok"
		 : m->store                         ? store_error(m->store)
						    : "none");
	info_uint(s, "StateDb_dropped", m->store ? store_dropped(m->store) : 0);
}

static struct info_source reserve_source = { .fill = reserve_info };

INITCALL reserve_register(void)
{
	info_register(&reserve_source);
}
