/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow.c - the table of forwarded connections
 *
 * Keyed by SipHash over both ends in canonical order (the smaller first), so one
 * lookup finds the record from either direction; a second table finds it by id.
 *
 * Timers. A flow has one timer at a time, of one of a few classes; all flows of a
 * gateway in the same class have the same timeout, so a list in the order of the
 * last touch is in the order of expiry: starting, touching and expiring are O(1).
 * Touching within the same millisecond does nothing.
 *
 * Removal takes a flow out of everything that finds it and puts it on the dead
 * list; flow_reap() frees it once no pointer can be left on any stack.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/worker.h"
#include "l3/hold.h"
#include "l3/l3.h"

#define FLOW_BUCKETS 1024

const char *const flow_state_name[FLOW_ST_COUNT] = {
	[FLOW_ST_OPENING] = "opening",   [FLOW_ST_WATCHED] = "watched",	      [FLOW_ST_HELD] = "held",
	[FLOW_ST_PROMOTED] = "promoted", [FLOW_ST_LEAVING] = "leaving",	      [FLOW_ST_TRANSLATED] = "translated",
	[FLOW_ST_OFFLOADED] = "offloaded", [FLOW_ST_CLOSING] = "closing",
};

/* The timer that entering a state starts; HELD's depends on why, and is set by who holds. */
static const enum flow_timer flow_state_timer[FLOW_ST_COUNT] = {
	[FLOW_ST_OPENING] = FLOW_TMR_SYN,	 [FLOW_ST_WATCHED] = FLOW_TMR_IDLE,   [FLOW_ST_HELD] = FLOW_TMR_HOLD,
	[FLOW_ST_PROMOTED] = FLOW_TMR_NONE,	 [FLOW_ST_LEAVING] = FLOW_TMR_HOLD,   [FLOW_ST_TRANSLATED] = FLOW_TMR_IDLE,
	[FLOW_ST_OFFLOADED] = FLOW_TMR_OFFLOAD, [FLOW_ST_CLOSING] = FLOW_TMR_CLOSE,
};

struct flow_key {
	struct addr lo, hi;
};

/* True when <a> comes first. */
static bool flow_key_make(struct flow_key *k, const struct addr *a, const struct addr *b)
{
	bool first = memcmp(a, b, sizeof(*a)) <= 0;

	k->lo = first ? *a : *b;
	k->hi = first ? *b : *a;
	return first;
}

static uint32_t flow_hash(const struct flow_table *t, const struct addr *a, const struct addr *b)
{
	struct flow_key k;

	flow_key_make(&k, a, b);
	return (uint32_t)hash_bytes(&t->l3->w->hash_key, &k, sizeof(k));
}

static uint32_t flow_hash_id(const struct flow_table *t, uint64_t id)
{
	return (uint32_t)hash_bytes(&t->l3->w->hash_key, &id, sizeof(id));
}

int flow_table_init(struct flow_table *t, struct l3 *l3)
{
	int rc;

	*t = (struct flow_table){ .l3 = l3, .next_id = 1, .max = 1000000 };
	list_init(&t->all);
	list_init(&t->dead);
	list_init(&t->cursors);
	t->pool = pool_create(&l3->w->pools, "flow", sizeof(struct flow));
	rc = htable_init(&t->by_key, FLOW_BUCKETS);
	if (rc < 0)
		return rc;
	rc = htable_init(&t->by_id, FLOW_BUCKETS);
	if (rc < 0)
		htable_destroy(&t->by_key);
	return rc;
}

void flow_table_destroy(struct flow_table *t)
{
	flow_reap(t);
	htable_destroy(&t->by_key);
	htable_destroy(&t->by_id);
}

struct flow *flow_lookup(const struct flow_table *t, const struct addr *src, const struct addr *dst, int *side)
{
	uint32_t hash = flow_hash(t, src, dst);
	struct hnode *n = NULL;

	while ((n = htable_find(&t->by_key, hash, n))) {
		struct flow *f = container_of(n, struct flow, by_key);

		for (*side = FLOW_CLIENT; *side <= FLOW_SERVER; (*side)++)
			if (addr_eq(&f->side[*side], src) && addr_eq(&f->side[!*side], dst))
				return f;
	}
	return NULL;
}

struct flow *flow_by_id(const struct flow_table *t, uint64_t id)
{
	struct hnode *n = NULL;

	while ((n = htable_find(&t->by_id, flow_hash_id(t, id), n))) {
		struct flow *f = container_of(n, struct flow, by_id);

		if (f->id == id)
			return f;
	}
	return NULL;
}

struct flow *flow_new(struct flow_table *t, struct gateway *gw, const struct addr *src, const struct addr *dst)
{
	struct flow *f;

	if (t->count >= t->max)
		return NULL;
	f = pool_zalloc(t->pool);
	if (!f)
		return NULL;
	f->id = t->next_id++;
	f->side[FLOW_CLIENT] = *src;
	f->side[FLOW_SERVER] = *dst;
	f->gw = gw;
	gw->refs++;
	gw->flows++;
	f->created_ms = f->touched_ms = clock_ms(t->l3->w);
	list_init(&f->tmr);
	htable_insert(&t->by_key, &f->by_key, flow_hash(t, src, dst));
	htable_insert(&t->by_id, &f->by_id, flow_hash_id(t, f->id));
	list_add_tail(&t->all, &f->all);
	t->count++;
	t->by_state[flow_shown(f)]++;
	gw->by_state[flow_shown(f)]++;
	flow_set_timer(f, FLOW_TMR_SYN);
	return f;
}

void flow_change_gateway(struct flow *f, struct gateway *gw)
{
	struct gateway *old = f->gw;

	old->flows--;
	old->by_state[f->state]--;
	f->gw = gw;
	gw->refs++;
	gw->flows++;
	gw->by_state[f->state]++;
	flow_set_timer(f, (enum flow_timer)f->timer);
	gateway_put(old);
}

static struct flow_table *flow_table_of(const struct flow *f)
{
	return &f->gw->l3->flows;
}

static void flow_move_cursors(struct flow_table *t, struct flow *f)
{
	struct flow *next = f->all.next == &t->all ? NULL : list_entry(f->all.next, struct flow, all);
	struct flow_cursor *c;

	list_for_each(c, &t->cursors, node)
		if (c->next == f)
			c->next = next;
}

void flow_remove(struct flow *f)
{
	struct flow_table *t = flow_table_of(f);

	if (WARN_ON(f->dead))
		return;
	BUG_ON(f->hold && !hold_empty(f->hold));
	trace_over(f);
	flow_move_cursors(t, f);
	htable_remove(&t->by_key, &f->by_key);
	htable_remove(&t->by_id, &f->by_id);
	list_del(&f->all);
	list_del(&f->tmr);
	t->count--;
	t->offloaded -= f->state == FLOW_ST_OFFLOADED;
	t->by_state[flow_shown(f)]--;
	f->gw->by_state[flow_shown(f)]--;
	f->gw->flows--;
	f->dead = true;
	list_add_tail(&t->dead, &f->all);
}

static void flow_free(struct flow_table *t, struct flow *f)
{
	l3_track_end(f);
	gateway_put(f->gw);
	hold_free(&f->hold);
	answers_reset(&f->answers);
	free(f->frontend);
	free(f->want_frontend);
	pool_free(t->pool, f);
}

void flow_reap(struct flow_table *t)
{
	struct flow *f;

	while ((f = list_first(&t->dead, struct flow, all))) {
		list_del(&f->all);
		flow_free(t, f);
	}
}

enum flow_state flow_shown(const struct flow *f)
{
	bool kernel = f->state == FLOW_ST_OFFLOADED && f->xlate_by == FLOW_XLATE_KERNEL;

	return kernel ? FLOW_ST_TRANSLATED : (enum flow_state)f->state;
}

void flow_set_state(struct flow *f, enum flow_state st)
{
	struct flow_table *t = flow_table_of(f);

	if (f->dead)
		return;
	if (f->state != st)
		trace_step(f, "%s -> %s", flow_state_name[f->state], flow_state_name[st]);
	t->by_state[flow_shown(f)]--;
	f->gw->by_state[flow_shown(f)]--;
	t->offloaded += (st == FLOW_ST_OFFLOADED) - (f->state == FLOW_ST_OFFLOADED);
	if (st == FLOW_ST_OFFLOADED)
		offload_begun(t->l3);
	if (st == FLOW_ST_CLOSING && f->state != st)
		f->was = f->state;
	f->state = st;
	t->by_state[flow_shown(f)]++;
	f->gw->by_state[flow_shown(f)]++;
	flow_set_timer(f, flow_state_timer[st]);
	flow_assert(f);
}

void flow_assert(const struct flow *f)
{
	switch ((enum flow_state)f->state) {
	case FLOW_ST_OPENING:
	case FLOW_ST_WATCHED:
		BUG_ON(f->border && !f->recalled);
		BUG_ON(f->xlate_by != FLOW_XLATE_NONE);
		break;
	case FLOW_ST_HELD:
		BUG_ON(!f->hold);
		break;
	case FLOW_ST_PROMOTED:
		BUG_ON(!f->border);
		break;
	case FLOW_ST_LEAVING:
		BUG_ON(!f->border || !f->hold);
		break;
	case FLOW_ST_TRANSLATED:
		BUG_ON(f->border && !f->recalled);
		BUG_ON(f->xlate_by == FLOW_XLATE_NONE);
		break;
	case FLOW_ST_OFFLOADED:
		BUG_ON(f->border);
		BUG_ON(f->xlate_by == FLOW_XLATE_DAEMON);
		BUG_ON(f->seen != FLOW_SEEN_NONE);
		break;
	case FLOW_ST_CLOSING:
		break;
	case FLOW_ST_COUNT:
		BUG_ON(true);
	}
}

/* ---- timers ---- */

void flow_set_timer(struct flow *f, enum flow_timer tmr)
{
	struct l3 *l3 = f->gw->l3;

	list_del(&f->tmr);
	f->timer = (uint8_t)tmr;
	f->touched_ms = clock_ms(l3->w);
	if (tmr == FLOW_TMR_NONE)
		return;
	list_add_tail(&f->gw->timer[tmr], &f->tmr);
	l3_arm(l3, f->touched_ms + gateway_timeout(f->gw, tmr));
}

void flow_touch(struct flow *f)
{
	uint64_t now = clock_ms(f->gw->l3->w);

	if (f->touched_ms == now || f->timer == FLOW_TMR_INSPECT || f->timer == FLOW_TMR_HOLD)
		return;
	f->touched_ms = now;
	if (f->timer == FLOW_TMR_NONE)
		return;
	list_del(&f->tmr);
	list_add_tail(&f->gw->timer[f->timer], &f->tmr);
}

void flow_set_frontend(struct flow *f, const char *name)
{
	if (f->frontend && strcmp(f->frontend, name) == 0)
		return;
	free(f->frontend);
	f->frontend = strdup(name);
}

/* ---- listings ---- */

void flow_cursor_start(struct flow_cursor *c, struct flow_table *t)
{
	c->next = list_first(&t->all, struct flow, all);
	list_add_tail(&t->cursors, &c->node);
}

struct flow *flow_cursor_next(struct flow_cursor *c, struct flow_table *t)
{
	struct flow *f = c->next;

	if (f)
		c->next = f->all.next == &t->all ? NULL : list_entry(f->all.next, struct flow, all);
	return f;
}

void flow_cursor_stop(struct flow_cursor *c)
{
	list_del(&c->node);
}

void flow_log(struct flow *f, int level, const char *fmt, ...)
{
	char src[ADDR_STRLEN], dst[ADDR_STRLEN], text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	trace_step(f, "%s", text);
	log_printf(f->gw->l3->w, &f->gw->conf->log, level, "flow %llu %s > %s %s: %s", (unsigned long long)f->id,
		   addr_print(&f->side[FLOW_CLIENT], src), addr_print(&f->side[FLOW_SERVER], dst), f->gw->name, text);
}
