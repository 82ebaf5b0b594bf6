/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable.c - stick tables as they run: finding, making, forgetting entries
 *
 * A hash table under the worker's secret key finds an entry, so that clients who
 * choose their keys cannot choose collisions. An entry that nobody counts stands
 * in the table's idle list, whose order is that of the last touch: its head is the
 * next to expire (all live equally long) and the first to make room. One that is
 * counted stands in no such list. So looking up, touching, expiring and purging
 * are O(1), and a table never has more than `size` entries.
 *
 * One timer per worker serves all tables. It fires when the first head is due;
 * touches only ever move that later, so they leave it alone. An entry whose time is
 * over is not found any more, even where the timer is late. A table that nobody
 * needs any more is freed in pieces by the same timer.
 *
 * A key is stored as it is compared: addresses and integers as 4 or 16 bytes, a
 * string cut to the table's length, a block of bytes cut or padded with zeroes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/layer.h"
#include "policy/policy_priv.h"
#include "policy/sticktable_priv.h"

#define STK_BUCKETS 64
#define STK_TICK_ENTRIES 500 /* removed in one go: about a quarter of a millisecond */

const char *const stk_type_name[STK_TYPE_COUNT] = {
	[STK_IP] = "ip",	 [STK_IPV6] = "ipv6",	  [STK_INTEGER] = "integer",
	[STK_STRING] = "string", [STK_BINARY] = "binary",
};

/* ---- tables ---- */

struct stk_table *stk_table_find(const struct worker *w, const char *name)
{
	struct stk_table *t;

	if (!w->tables)
		return NULL;
	list_for_each(t, &w->tables->all, node)
		if (strcmp(t->name, name) == 0)
			return t;
	return NULL;
}

struct stk_table *stk_table_new(struct worker *w, const struct stk_def *def)
{
	struct stk_table *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->name = strdup(def->obj.name);
	if (!t->name || htable_init(&t->by_key, STK_BUCKETS) < 0) {
		free(t->name);
		free(t);
		return NULL;
	}
	t->w = w;
	t->refs = 1;
	t->shape = def->shape;
	list_init(&t->node);
	list_init(&t->all);
	list_init(&t->idle);
	list_init(&t->cursors);
	return t;
}

static void stk_entry_free(struct stk_table *t, struct stk_entry *e);

/* Up to *budget entries of a table that nobody has any more. True: and the table. */
static bool stk_table_free_some(struct stk_table *t, unsigned *budget)
{
	struct stk_entry *e;

	while ((e = list_first(&t->all, struct stk_entry, all))) {
		if (!*budget)
			return false;
		--*budget;
		stk_entry_free(t, e);
	}
	list_del(&t->node);
	htable_destroy(&t->by_key);
	free(t->name);
	free(t);
	return true;
}

void stk_table_put(struct stk_table *t)
{
	struct stktables *ts = t ? t->w->tables : NULL;
	unsigned all = UINT_MAX;

	if (!t || --t->refs)
		return;
	if (!ts || !t->used) {
		stk_table_free_some(t, &all);
		return;
	}
	list_add_tail(&ts->dying, &t->node);
	stk_expire_soon(t->w);
}

void stk_table_unlink(struct stk_table *t)
{
	list_del(&t->node);
	stk_table_put(t);
}

/* ---- entries ---- */

static uint64_t stk_expires_ms(const struct stk_table *t, const struct stk_entry *e)
{
	return t->expire_ms ? e->touched_ms + t->expire_ms : UINT64_MAX;
}

static bool stk_is_over(const struct stk_table *t, const struct stk_entry *e)
{
	return !e->refs && stk_expires_ms(t, e) <= clock_ms(t->w);
}

uint64_t stk_expires_in(const struct stk_table *t, const struct stk_entry *e)
{
	uint64_t now = clock_ms(t->w), at = stk_expires_ms(t, e);

	return at == UINT64_MAX || at < now ? 0 : at - now;
}

uint64_t stk_idle_for(const struct stk_table *t, const struct stk_entry *e)
{
	return t->expire_ms ? clock_ms(t->w) - e->touched_ms : 0;
}

static const uint8_t *stk_entry_key(const struct stk_table *t, const struct stk_entry *e)
{
	return (const uint8_t *)e->data + t->shape.data_size;
}

static void stk_entry_free(struct stk_table *t, struct stk_entry *e)
{
	struct stk_cursor *c;

	list_for_each(c, &t->cursors, node)
		if (c->next == e)
			c->next = e->all.next == &t->all ? NULL : list_entry(e->all.next, struct stk_entry, all);
	htable_remove(&t->by_key, &e->by_key);
	list_del(&e->all);
	list_del(&e->idle);
	t->used--;
	free(e);
}

bool stk_remove(struct stk_table *t, struct stk_entry *e)
{
	if (e->refs)
		return false;
	stk_entry_free(t, e);
	return true;
}

static uint32_t stk_hash(const struct stk_table *t, const struct stk_key *k)
{
	return (uint32_t)hash_bytes(&t->w->hash_key, k->p, k->n);
}

static struct stk_entry *stk_find(struct stk_table *t, const struct stk_key *k, uint32_t hash)
{
	struct hnode *n = NULL;

	while ((n = htable_find(&t->by_key, hash, n))) {
		struct stk_entry *e = container_of(n, struct stk_entry, by_key);

		if (e->key_len != k->n || (k->n && memcmp(stk_entry_key(t, e), k->p, k->n) != 0))
			continue;
		if (!stk_is_over(t, e))
			return e;
		stk_entry_free(t, e);
		return NULL;
	}
	return NULL;
}

struct stk_entry *stk_lookup(struct stk_table *t, const struct stk_key *k)
{
	return stk_find(t, k, stk_hash(t, k));
}

static void stk_arm(struct worker *w, uint64_t at);

static void stk_make_idle(struct stk_table *t, struct stk_entry *e)
{
	e->touched_ms = clock_ms(t->w);
	list_del(&e->idle);
	list_add_tail(&t->idle, &e->idle);
	if (t->expire_ms)
		stk_arm(t->w, stk_expires_ms(t, e));
}

/* A place in a full table. */
static bool stk_make_room(struct stk_table *t)
{
	struct stk_entry *oldest = list_first(&t->idle, struct stk_entry, idle);

	if (!oldest || (t->nopurge && !stk_is_over(t, oldest))) {
		t->refused++;
		return false;
	}
	t->purged++;
	stk_entry_free(t, oldest);
	return true;
}

struct stk_entry *stk_obtain(struct stk_table *t, const struct stk_key *k)
{
	uint32_t hash = stk_hash(t, k);
	struct stk_entry *e = stk_find(t, k, hash);

	if (e)
		return e;
	if (t->used >= t->shape.size && !stk_make_room(t))
		return NULL;
	e = calloc(1, sizeof(*e) + t->shape.data_size + k->n);
	if (!e)
		return NULL;
	e->key_len = (uint32_t)k->n;
	memcpy((uint8_t *)e->data + t->shape.data_size, k->p, k->n);
	htable_insert(&t->by_key, &e->by_key, hash);
	list_add_tail(&t->all, &e->all);
	list_init(&e->idle);
	t->used++;
	stk_make_idle(t, e);
	return e;
}

void stk_touch(struct stk_table *t, struct stk_entry *e)
{
	if (e->refs)
		e->touched_ms = clock_ms(t->w);
	else
		stk_make_idle(t, e);
}

void stk_entry_get(struct stk_table *t, struct stk_entry *e)
{
	if (e->refs++ == 0)
		list_del(&e->idle);
	e->touched_ms = clock_ms(t->w);
}

void stk_entry_put(struct stk_table *t, struct stk_entry *e)
{
	BUG_ON(!e->refs);
	if (--e->refs == 0)
		stk_make_idle(t, e);
	else
		e->touched_ms = clock_ms(t->w);
}

/* ---- time ---- */

static uint64_t stk_tick_table(struct stk_table *t, unsigned *budget)
{
	struct stk_entry *e;

	while ((e = list_first(&t->idle, struct stk_entry, idle)) && stk_is_over(t, e)) {
		if (!*budget)
			return clock_ms(t->w) + 1;
		--*budget;
		stk_entry_free(t, e);
	}
	return e ? stk_expires_ms(t, e) : UINT64_MAX;
}

uint64_t stk_tick(struct worker *w)
{
	unsigned budget = STK_TICK_ENTRIES;
	uint64_t next = UINT64_MAX;
	struct stk_table *t;

	list_for_each(t, &w->tables->all, node) {
		uint64_t at = stk_tick_table(t, &budget);

		next = MIN(next, at);
	}
	while ((t = list_first(&w->tables->dying, struct stk_table, node)))
		if (!stk_table_free_some(t, &budget))
			return clock_ms(w) + 1;
	return next;
}

static void stk_timer_cb(struct ev_loop *loop, ev_timer *timer, int revents)
{
	struct stktables *ts = timer->data;
	uint64_t next;

	ts->timer_ms = UINT64_MAX;
	next = stk_tick(ts->w);
	if (next != UINT64_MAX)
		stk_arm(ts->w, next);
}

static void stk_arm(struct worker *w, uint64_t at)
{
	struct stktables *ts = w->tables;
	uint64_t now = clock_ms(w);

	if (!ts || !w->loop || at >= ts->timer_ms)
		return;
	ts->timer_ms = at;
	ev_timer_stop(w->loop, &ts->timer);
	ev_timer_set(&ts->timer, at > now ? (double)(at - now) / 1000. : 0., 0.);
	ev_timer_start(w->loop, &ts->timer);
}

void stk_expire_soon(struct worker *w)
{
	stk_arm(w, clock_ms(w));
}

/* ---- keys ---- */

static const enum smp_type stk_key_type[STK_TYPE_COUNT] = {
	[STK_IP] = SMP_T_ADDR, [STK_IPV6] = SMP_T_ADDR, [STK_INTEGER] = SMP_T_SINT,
	[STK_STRING] = SMP_T_STR, [STK_BINARY] = SMP_T_BIN,
};

bool stk_type_takes(enum stk_type type, enum smp_type key)
{
	return smp_cast_exists(key, stk_key_type[type]);
}

static void stk_key_raw(struct stk_key *k, const void *p, size_t n)
{
	memcpy(k->raw, p, n);
	k->p = k->raw;
	k->n = n;
}

/* An IPv4 address within an IPv6 one: mapped (RFC 4291 2.5.5.2) or 6to4 (RFC 3056 2). */
static bool stk_key_ip(const struct addr *a, struct stk_key *k)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *v6 = a->ip.v6.s6_addr;

	if (a->family == AF_INET)
		stk_key_raw(k, &a->ip.v4, 4);
	else if (a->family == AF_INET6 && memcmp(v6, mapped, sizeof(mapped)) == 0)
		stk_key_raw(k, v6 + 12, 4);
	else if (a->family == AF_INET6 && v6[0] == 0x20 && v6[1] == 0x02)
		stk_key_raw(k, v6 + 2, 4);
	else
		return false;
	return true;
}

static bool stk_key_ipv6(const struct addr *a, struct stk_key *k)
{
	struct in6_addr v6 = { .s6_addr = { [10] = 0xff, [11] = 0xff } };

	if (a->family == AF_INET)
		memcpy(v6.s6_addr + 12, &a->ip.v4, 4);
	else if (a->family == AF_INET6)
		v6 = a->ip.v6;
	else
		return false;
	stk_key_raw(k, &v6, 16);
	return true;
}

static bool stk_key_binary(const struct stk_table *t, struct str s, struct policy_ctx *ctx, struct stk_key *k)
{
	char *padded;

	k->p = s.p;
	k->n = t->shape.key_len;
	if (s.n >= k->n)
		return true;
	padded = pol_tmp(ctx, k->n);
	if (!padded)
		return false;
	memset(padded, 0, k->n);
	if (s.n)
		memcpy(padded, s.p, s.n);
	k->p = padded;
	return true;
}

bool stk_key_from_sample(const struct stk_table *t, struct sample *s, struct policy_ctx *ctx, struct stk_key *k)
{
	uint32_t number;

	if (!sample_cast(s, stk_key_type[t->shape.type], ctx))
		return false;
	switch (t->shape.type) {
	case STK_IP: return stk_key_ip(&s->v.addr, k);
	case STK_IPV6: return stk_key_ipv6(&s->v.addr, k);
	case STK_INTEGER:
		number = (uint32_t)s->v.i;
		stk_key_raw(k, &number, sizeof(number));
		return true;
	case STK_STRING:
		k->p = s->v.str.p;
		k->n = MIN(s->v.str.n, (size_t)t->shape.key_len);
		return true;
	case STK_BINARY: return stk_key_binary(t, s->v.str, ctx, k);
	case STK_TYPE_COUNT: break;
	}
	return false;
}

bool stk_key_from_text(const struct stk_table *t, struct str text, struct stk_key *k)
{
	struct addr a;
	uint64_t v;
	uint32_t number;

	switch (t->shape.type) {
	case STK_IP: return addr_parse_ip(&a, text) == 0 && a.family == AF_INET && stk_key_ip(&a, k);
	case STK_IPV6: return addr_parse_ip(&a, text) == 0 && a.family == AF_INET6 && stk_key_ipv6(&a, k);
	case STK_INTEGER:
		if (str_to_uint(text, &v) < 0 || v > UINT32_MAX)
			return false;
		number = (uint32_t)v;
		stk_key_raw(k, &number, sizeof(number));
		return true;
	case STK_STRING:
		k->p = text.p;
		k->n = MIN(text.n, (size_t)t->shape.key_len);
		return true;
	case STK_BINARY:
	case STK_TYPE_COUNT: break;
	}
	return false;
}

void stk_key_of(const struct stk_table *t, const struct stk_entry *e, struct stk_key *k)
{
	k->p = stk_entry_key(t, e);
	k->n = e->key_len;
}

/* Nothing in it may look like the rest of a line. */
static void stk_print_text(const uint8_t *p, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '\\' || p[i] == ' ' || p[i] == '=')
			buf_printf_grow(out, "\\%c", p[i]);
		else if (p[i] > 0x20 && p[i] < 0x7f)
			buf_put_grow(out, &p[i], 1);
		else
			buf_printf_grow(out, "\\x%02X", p[i]);
	}
}

void stk_key_print(const struct stk_table *t, const struct stk_entry *e, struct buf *out)
{
	const uint8_t *key = stk_entry_key(t, e);
	char text[INET6_ADDRSTRLEN];
	uint32_t number;

	switch (t->shape.type) {
	case STK_IP:
	case STK_IPV6:
		buf_printf_grow(out, "%s", inet_ntop(t->shape.type == STK_IP ? AF_INET : AF_INET6, key, text, sizeof(text)));
		return;
	case STK_INTEGER:
		memcpy(&number, key, sizeof(number));
		buf_printf_grow(out, "%u", number);
		return;
	case STK_STRING:
	case STK_BINARY:
	case STK_TYPE_COUNT: break;
	}
	stk_print_text(key, e->key_len, out);
}

/* ---- listings ---- */

void stk_cursor_start(struct stk_cursor *c, struct stk_table *t)
{
	c->t = stk_table_get(t);
	c->next = list_first(&t->all, struct stk_entry, all);
	list_add_tail(&t->cursors, &c->node);
}

struct stk_entry *stk_cursor_next(struct stk_cursor *c)
{
	struct stk_entry *e = c->next;

	if (e)
		c->next = e->all.next == &c->t->all ? NULL : list_entry(e->all.next, struct stk_entry, all);
	return e;
}

void stk_cursor_stop(struct stk_cursor *c)
{
	list_del(&c->node);
	stk_table_put(c->t);
}

/* ---- the layer ---- */

int stktables_init(struct worker *w)
{
	struct stktables *ts = calloc(1, sizeof(*ts));

	if (!ts)
		return -ENOMEM;
	ts->w = w;
	ts->timer_ms = UINT64_MAX;
	ts->p_tracks = pool_create(&w->pools, "stick-track", sizeof(struct stk_tracks));
	list_init(&ts->all);
	list_init(&ts->dying);
	if (htable_init(&ts->words_by_text, STK_BUCKETS) < 0) {
		free(ts);
		return -ENOMEM;
	}
	ev_timer_init(&ts->timer, stk_timer_cb, 0., 0.);
	ts->timer.data = ts;
	w->tables = ts;
	return 0;
}

void stktables_destroy(struct worker *w)
{
	struct stktables *ts = w->tables;
	unsigned all = UINT_MAX;
	struct stk_table *t;

	if (!ts)
		return;
	if (w->loop)
		ev_timer_stop(w->loop, &ts->timer);
	w->tables = NULL; /* what goes from here on goes at once */
	while ((t = list_first(&ts->dying, struct stk_table, node)))
		stk_table_free_some(t, &all);
	/* definitions still count some, but change nothing any more */
	while ((t = list_first(&ts->all, struct stk_table, node)))
		stk_table_unlink(t);
	stk_words_free(ts);
	free(ts);
}

static struct layer stk_layer = {
	.name = "stick tables",
	.order = LAYER_POLICY,
	.init = stktables_init,
	.destroy = stktables_destroy,
};

INITCALL stk_register(void)
{
	layer_register(&stk_layer);
}
