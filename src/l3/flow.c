/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow.c - the table of forwarded connections
 *
 * Keyed by SipHash over both ends in canonical order (the smaller first), so one
 * lookup finds the record from either direction. Records stand in numbered places (core/slots.h): an
 * id finds its record without an index, and listings walk the places.
 *
 * What a million connections do not need all the time is not in the record: extensions and turns
 * have pools of their own, frontends' names and static words are kept once and referred to.
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

int flow_table_init(struct flow_table *t, struct l3 *l3)
{
	struct pools *ps = &l3->w->pools;
	int rc;

	*t = (struct flow_table){ .l3 = l3, .max = 1000000 };
	list_init(&t->dead);
	list_init(&t->names);
	t->exts = pool_create(ps, "flow-ext", sizeof(struct flow_ext));
	t->turns = pool_create(ps, "flow-turn", sizeof(struct flow_turn));
	if (!t->exts || !t->turns)
		return -ENOMEM;
	rc = slots_init(&t->flows, ps, "flow", sizeof(struct flow));
	if (rc < 0)
		return rc;
	rc = htable_init(&t->by_key, FLOW_BUCKETS);
	if (rc < 0)
		slots_destroy(&t->flows);
	return rc;
}

static void flow_names_free(struct flow_table *t);

void flow_table_destroy(struct flow_table *t)
{
	flow_reap(t);
	flow_names_free(t);
	htable_destroy(&t->by_key);
	slots_destroy(&t->flows);
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
	struct flow *f = slots_find(&t->flows, id);

	return f && f->id == id && !f->dead ? f : NULL;
}

struct flow *flow_new(struct flow_table *t, struct gateway *gw, const struct addr *src, const struct addr *dst)
{
	struct flow *f;
	uint64_t id;

	if (t->count >= t->max)
		return NULL;
	f = slots_zalloc(&t->flows, &id);
	if (!f)
		return NULL;
	f->id = id;
	f->side[FLOW_CLIENT] = *src;
	f->side[FLOW_SERVER] = *dst;
	f->gw = gw;
	gw->refs++;
	gw->flows++;
	f->created_ms = clock_ms(t->l3->w);
	list_init(&f->tmr);
	htable_insert(&t->by_key, &f->by_key, flow_hash(t, src, dst));
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

void flow_remove(struct flow *f)
{
	struct flow_table *t = flow_table_of(f);

	if (WARN_ON(f->dead))
		return;
	BUG_ON(flow_hold(f) && !hold_empty(flow_hold(f)));
	trace_over(f);
	htable_remove(&t->by_key, &f->by_key);
	list_del(&f->tmr);
	t->count--;
	t->offloaded -= f->state == FLOW_ST_OFFLOADED;
	t->by_state[flow_shown(f)]--;
	f->gw->by_state[flow_shown(f)]--;
	f->gw->flows--;
	f->dead = true;
	list_add_tail(&t->dead, &f->tmr);
}

static void flow_free(struct flow_table *t, struct flow *f)
{
	l3_track_end(f);
	if (f->ext) {
		hold_free(&f->ext->hold);
		flow_turn_free(f);
		pool_free(t->exts, f->ext);
	}
	gateway_put(f->gw);
	slots_free(&t->flows, f->id);
}

void flow_reap(struct flow_table *t)
{
	struct flow *f;

	while ((f = list_first(&t->dead, struct flow, tmr))) {
		list_del(&f->tmr);
		flow_free(t, f);
	}
}

bool flow_is_answered(const struct flow *f)
{
	const struct seqtrk *t = &f->trk;

	return t->f & SEQTRK_C_EST || t->side[0].f & t->side[1].f & SEQTRK_F_NXT;
}

/* What was heard of one end only has the time of a handshake, and gives way like one. */
static enum flow_timer flow_timer_in(const struct flow *f, enum flow_state st)
{
	return st == FLOW_ST_WATCHED && !flow_is_answered(f) ? FLOW_TMR_SYN : flow_state_timer[st];
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
	flow_set_timer(f, flow_timer_in(f, st));
	flow_assert(f);
}

void flow_assert(const struct flow *f)
{
	switch ((enum flow_state)f->state) {
	case FLOW_ST_OPENING:
	case FLOW_ST_WATCHED:
		BUG_ON(flow_border(f) && !f->recalled);
		BUG_ON(f->xlate_by != FLOW_XLATE_NONE);
		break;
	case FLOW_ST_HELD:
		BUG_ON(!flow_hold(f));
		break;
	case FLOW_ST_PROMOTED:
		BUG_ON(!flow_border(f));
		break;
	case FLOW_ST_LEAVING:
		BUG_ON(!flow_border(f) || !flow_hold(f));
		break;
	case FLOW_ST_TRANSLATED:
		BUG_ON(flow_border(f) && !f->recalled);
		BUG_ON(f->xlate_by == FLOW_XLATE_NONE || !f->ext);
		break;
	case FLOW_ST_OFFLOADED:
		BUG_ON(flow_border(f));
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
	uint64_t now = clock_ms(l3->w);

	if (f->dead)
		return;
	list_del(&f->tmr);
	f->timer = tmr;
	f->touched_ms = (uint32_t)now;
	if (tmr == FLOW_TMR_NONE)
		return;
	list_add_tail(&f->gw->timer[tmr], &f->tmr);
	l3_arm(l3, now + gateway_timeout(f->gw, tmr));
}

void flow_touch(struct flow *f)
{
	uint32_t now = (uint32_t)clock_ms(f->gw->l3->w);

	if (f->dead || f->touched_ms == now || f->timer == FLOW_TMR_INSPECT || f->timer == FLOW_TMR_HOLD)
		return;
	f->touched_ms = now;
	if (f->timer == FLOW_TMR_NONE)
		return;
	list_del(&f->tmr);
	list_add_tail(&f->gw->timer[f->timer], &f->tmr);
}

uint64_t flow_touched(const struct flow *f)
{
	uint64_t now = clock_ms(f->gw->l3->w);

	return now - (uint32_t)((uint32_t)now - f->touched_ms);
}

/* ---- what not every flow has ---- */

struct flow_ext *flow_ext(struct flow *f)
{
	if (!f->ext)
		f->ext = pool_zalloc(flow_table_of(f)->exts);
	return f->ext;
}

void flow_ext_trim(struct flow *f)
{
	static const struct flow_ext none;

	if (!f->ext || memcmp(f->ext, &none, sizeof(none)) != 0)
		return;
	pool_free(flow_table_of(f)->exts, f->ext);
	f->ext = NULL;
}

struct flow_turn *flow_turn_new(struct flow *f)
{
	struct flow_turn *turn = flow_ext(f) ? pool_zalloc(flow_table_of(f)->turns) : NULL;

	if (turn)
		f->ext->turn = turn;
	else
		flow_ext_trim(f);
	return turn;
}

void flow_turn_free(struct flow *f)
{
	struct flow_turn *turn = flow_turn(f);

	if (!turn)
		return;
	answers_reset(&turn->answers);
	pool_free(flow_table_of(f)->turns, turn);
	f->ext->turn = NULL;
	flow_ext_trim(f);
}

/* ---- words and names ---- */

/* There are a few dozen, each usually one literal: found by its address. */
static uint8_t flow_word(struct flow_words *ws, const char *word)
{
	unsigned i;

	if (!word)
		return 0;
	for (i = 1; i <= ws->n; i++)
		if (ws->word[i] == word)
			return (uint8_t)i;
	if (ws->n < ARRAY_SIZE(ws->word) - 1) {
		i = ++ws->n;
		ws->word[i] = i < ARRAY_SIZE(ws->word) - 1 ? word : "other";
	}
	return (uint8_t)ws->n;
}

const char *flow_end(const struct flow *f)
{
	return flow_table_of(f)->words.word[f->end_word];
}

const char *flow_refused(const struct flow *f)
{
	return flow_table_of(f)->words.word[f->refused_word];
}

void flow_set_end(struct flow *f, const char *word)
{
	f->end_word = flow_word(&flow_table_of(f)->words, word);
}

void flow_set_refused(struct flow *f, const char *word)
{
	f->refused_word = flow_word(&flow_table_of(f)->words, word);
}

struct flow_name {
	struct list node; /* struct flow_table.names, the newest first */
	char text[];
};

const char *flow_name(struct flow_table *t, const char *name)
{
	struct flow_name *nm;

	list_for_each(nm, &t->names, node)
		if (strcmp(nm->text, name) == 0)
			return nm->text;
	nm = malloc(sizeof(*nm) + strlen(name) + 1);
	if (!nm)
		return NULL;
	strcpy(nm->text, name);
	list_add(&t->names, &nm->node);
	return nm->text;
}

static void flow_names_free(struct flow_table *t)
{
	struct flow_name *nm;

	while ((nm = list_first(&t->names, struct flow_name, node))) {
		list_del(&nm->node);
		free(nm);
	}
}

/* ---- queues ---- */

bool flow_came_by(const struct flow *f, const struct pktq *q)
{
	return f->queue == q->first + 1u;
}

struct pktq *flow_queue(const struct flow *f)
{
	struct pktq *q;

	list_for_each(q, &f->gw->l3->queues, node)
		if (flow_came_by(f, q))
			return q;
	return NULL;
}

void flow_set_queue(struct flow *f, const struct pktq *q)
{
	f->queue = q->first + 1u;
}

/* ---- listings ---- */

struct flow *flow_next(const struct flow_table *t, uint32_t *at)
{
	struct flow *f;

	do {
		f = slots_next(&t->flows, at);
	} while (f && f->dead);
	return f;
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
