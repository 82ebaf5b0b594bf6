/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable_data.c - what an entry stores: its layout, counters, rates
 *
 * One array of 64-bit words holds all of it. A counter is 32 bits wide, that of
 * bytes 64; one that is full stays so. A rate counts the events of the current
 * period and keeps the number of the one before; it is read as if the events of
 * the former period had come evenly, so that it slides over two periods and never
 * jumps when one begins. A single event is read as one until it is two periods
 * old, and not as none of its second one.
 *
 * A server is stored by its number and by its name or address. These are words that
 * all entries of a worker share; an entry has the number of one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "policy/sticktable_priv.h"

enum stk_kind { STK_K_U32, STK_K_U64, STK_K_RATE };

struct stk_rate {
	uint64_t begin_ms; /* of the current period; 0: no event yet */
	uint32_t cur, prev;
};

static const struct stk_info {
	const char *name;
	enum stk_kind kind;
	bool array;
} stk_info[STK_DATA_COUNT] = {
	[STK_SERVER_ID] = { "server_id", STK_K_U32 },
	[STK_GPT0] = { "gpt0", STK_K_U32 },
	[STK_GPC0] = { "gpc0", STK_K_U32 },
	[STK_GPC0_RATE] = { "gpc0_rate", STK_K_RATE },
	[STK_CONN_CNT] = { "conn_cnt", STK_K_U32 },
	[STK_CONN_RATE] = { "conn_rate", STK_K_RATE },
	[STK_CONN_CUR] = { "conn_cur", STK_K_U32 },
	[STK_SESS_CNT] = { "sess_cnt", STK_K_U32 },
	[STK_SESS_RATE] = { "sess_rate", STK_K_RATE },
	[STK_HTTP_REQ_CNT] = { "http_req_cnt", STK_K_U32 },
	[STK_HTTP_REQ_RATE] = { "http_req_rate", STK_K_RATE },
	[STK_HTTP_ERR_CNT] = { "http_err_cnt", STK_K_U32 },
	[STK_HTTP_ERR_RATE] = { "http_err_rate", STK_K_RATE },
	[STK_BYTES_IN_CNT] = { "bytes_in_cnt", STK_K_U64 },
	[STK_BYTES_IN_RATE] = { "bytes_in_rate", STK_K_RATE },
	[STK_BYTES_OUT_CNT] = { "bytes_out_cnt", STK_K_U64 },
	[STK_BYTES_OUT_RATE] = { "bytes_out_rate", STK_K_RATE },
	[STK_GPC1] = { "gpc1", STK_K_U32 },
	[STK_GPC1_RATE] = { "gpc1_rate", STK_K_RATE },
	[STK_SERVER_KEY] = { "server_key", STK_K_U32 },
	[STK_HTTP_FAIL_CNT] = { "http_fail_cnt", STK_K_U32 },
	[STK_HTTP_FAIL_RATE] = { "http_fail_rate", STK_K_RATE },
	[STK_GPT] = { "gpt", STK_K_U32, true },
	[STK_GPC] = { "gpc", STK_K_U32, true },
	[STK_GPC_RATE] = { "gpc_rate", STK_K_RATE, true },
};

/* The first elements of arrays under the names they had before there were arrays. */
static const struct stk_legacy {
	enum stk_data data, array;
	unsigned idx;
} stk_legacies[] = {
	{ STK_GPT0, STK_GPT, 0 },
	{ STK_GPC0, STK_GPC, 0 },
	{ STK_GPC1, STK_GPC, 1 },
	{ STK_GPC0_RATE, STK_GPC_RATE, 0 },
	{ STK_GPC1_RATE, STK_GPC_RATE, 1 },
};

const char *stk_data_name(enum stk_data d)
{
	return stk_info[d].name;
}

bool stk_data_is_rate(enum stk_data d)
{
	return stk_info[d].kind == STK_K_RATE;
}

bool stk_data_is_array(enum stk_data d)
{
	return stk_info[d].array;
}

bool stk_data_find(struct str name, enum stk_data *d, unsigned *idx)
{
	char text[24];

	*idx = 0;
	for (int i = 0; i < STK_DATA_COUNT; i++)
		if (str_eq(name, str_c(stk_info[i].name))) {
			*d = (enum stk_data)i;
			return true;
		}
	/* an element: the digits stand before "_rate" */
	for (unsigned i = 0; i < STK_ARRAY_MAX; i++) {
		static const struct {
			enum stk_data d;
			const char *fmt;
		} forms[] = { { STK_GPT, "gpt%u" }, { STK_GPC, "gpc%u" }, { STK_GPC_RATE, "gpc%u_rate" } };

		for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
			snprintf(text, sizeof(text), forms[f].fmt, i);
			if (!str_eq(name, str_c(text)))
				continue;
			*d = forms[f].d;
			*idx = i;
			return true;
		}
	}
	return false;
}

/* ---- layout ---- */

static unsigned stk_kind_size(enum stk_kind kind)
{
	return kind == STK_K_RATE ? sizeof(struct stk_rate) : kind == STK_K_U64 ? 8 : 4;
}

void stk_shape_lay_out(struct stk_shape *s)
{
	unsigned at = 0;

	/* the wide ones first: nothing is lost to alignment */
	for (int narrow = 0; narrow < 2; narrow++)
		for (int i = 0; i < STK_DATA_COUNT; i++) {
			if ((stk_info[i].kind == STK_K_U32) != narrow || !s->col[i].count)
				continue;
			s->col[i].offset = (uint16_t)at;
			at += s->col[i].count * stk_kind_size(stk_info[i].kind);
		}
	s->data_size = at;
}

/* Where <d> is stored, under this name or its array's. */
static bool stk_column(const struct stk_shape *s, enum stk_data *d, unsigned *idx)
{
	if (*d == STK_NOTHING)
		return false;
	if (*idx < s->col[*d].count)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(stk_legacies); i++) {
		const struct stk_legacy *l = &stk_legacies[i];

		if (l->data != *d || s->col[l->array].count <= l->idx)
			continue;
		*d = l->array;
		*idx = l->idx;
		return true;
	}
	return false;
}

bool stk_stores(const struct stk_shape *s, enum stk_data d, unsigned idx)
{
	return stk_column(s, &d, &idx);
}

static void *stk_cell(const struct stk_table *t, const struct stk_entry *e, enum stk_data *d, unsigned idx)
{
	if (!stk_column(&t->shape, d, &idx))
		return NULL;
	return (uint8_t *)e->data + t->shape.col[*d].offset + idx * stk_kind_size(stk_info[*d].kind);
}

/* ---- rates ---- */

static uint32_t stk_sum(uint32_t a, uint64_t b)
{
	return b > UINT32_MAX - a ? UINT32_MAX : a + (uint32_t)b;
}

static void stk_rate_add(struct stk_rate *r, uint32_t period, uint64_t now, uint64_t n)
{
	if (now - r->begin_ms >= period) {
		bool next = now - r->begin_ms < 2ULL * period;

		r->prev = next ? r->cur : 0;
		r->begin_ms = next ? r->begin_ms + period : now;
		r->cur = 0;
	}
	r->cur = stk_sum(r->cur, n);
}

static uint64_t stk_rate_read(const struct stk_rate *r, uint64_t period, uint64_t now)
{
	uint64_t cur = r->cur, prev = r->prev, age = now - r->begin_ms;

	if (age >= 2 * period)
		return 0;
	if (age >= period) {
		prev = cur;
		cur = 0;
		age -= period;
	}
	if (!cur && prev <= 1)
		return prev;
	return (prev * (period - age) + cur * period) / period;
}

/* ---- counters ---- */

uint64_t stk_read(const struct stk_table *t, const struct stk_entry *e, enum stk_data d, unsigned idx)
{
	const void *cell = stk_cell(t, e, &d, idx);

	if (!cell)
		return 0;
	switch (stk_info[d].kind) {
	case STK_K_U32: return *(const uint32_t *)cell;
	case STK_K_U64: return *(const uint64_t *)cell;
	case STK_K_RATE: break;
	}
	return stk_rate_read(cell, t->shape.col[d].period_ms, clock_ms(t->w));
}

void stk_add(const struct stk_table *t, struct stk_entry *e, enum stk_data d, unsigned idx, uint64_t n)
{
	void *cell = stk_cell(t, e, &d, idx);

	if (!cell)
		return;
	switch (stk_info[d].kind) {
	case STK_K_U32:
		*(uint32_t *)cell = stk_sum(*(uint32_t *)cell, n);
		return;
	case STK_K_U64:
		*(uint64_t *)cell += n;
		return;
	case STK_K_RATE: break;
	}
	stk_rate_add(cell, t->shape.col[d].period_ms, clock_ms(t->w), n);
}

void stk_set(const struct stk_table *t, struct stk_entry *e, enum stk_data d, unsigned idx, uint64_t v)
{
	void *cell = stk_cell(t, e, &d, idx);

	if (!cell)
		return;
	switch (stk_info[d].kind) {
	case STK_K_U32:
		*(uint32_t *)cell = (uint32_t)MIN(v, UINT32_MAX);
		return;
	case STK_K_U64:
		*(uint64_t *)cell = v;
		return;
	case STK_K_RATE: break;
	}
	*(struct stk_rate *)cell = (struct stk_rate){ .begin_ms = clock_ms(t->w), .cur = (uint32_t)MIN(v, UINT32_MAX) };
}

void stk_dec(const struct stk_table *t, struct stk_entry *e, enum stk_data d)
{
	uint64_t v = stk_read(t, e, d, 0);

	/* the stats socket may have set it */
	if (v)
		stk_set(t, e, d, 0, v - 1);
}

/* ---- servers ---- */

/* A text's number: small, and the same as long as the process lives. There are as many as servers. */
struct stk_word {
	struct hnode by_text;
	uint32_t number;
	char text[];
};

/* 0 on no memory: none. */
static uint32_t stk_word_number(struct worker *w, const char *text)
{
	struct stktables *ts = w->tables;
	uint32_t hash = (uint32_t)hash_bytes(&w->hash_key, text, strlen(text));
	struct stk_word *word, **all;
	struct hnode *n = NULL;

	while ((n = htable_find(&ts->words_by_text, hash, n))) {
		word = container_of(n, struct stk_word, by_text);
		if (strcmp(word->text, text) == 0)
			return word->number;
	}
	all = realloc(ts->words, (ts->nb_words + 1) * sizeof(*all));
	if (!all)
		return 0;
	ts->words = all;
	word = calloc(1, sizeof(*word) + strlen(text) + 1);
	if (!word)
		return 0;
	strcpy(word->text, text);
	all[ts->nb_words++] = word;
	word->number = ts->nb_words;
	htable_insert(&ts->words_by_text, &word->by_text, hash);
	return word->number;
}

void stk_words_free(struct stktables *ts)
{
	for (uint32_t i = 0; i < ts->nb_words; i++)
		free(ts->words[i]);
	free(ts->words);
	htable_destroy(&ts->words_by_text);
}

const char *stk_server(const struct stk_table *t, const struct stk_entry *e)
{
	const struct stktables *ts = t->w->tables;
	uint64_t number = stk_read(t, e, STK_SERVER_KEY, 0);

	return number && number <= ts->nb_words ? ts->words[number - 1]->text : NULL;
}

void stk_set_server(const struct stk_table *t, struct stk_entry *e, unsigned id, const char *key)
{
	stk_set(t, e, STK_SERVER_ID, 0, id);
	stk_set(t, e, STK_SERVER_KEY, 0, stk_word_number(t->w, key));
}

uint64_t stk_inc_gpc(const struct stk_table *t, struct stk_entry *e, unsigned idx, bool legacy)
{
	enum stk_data cnt = !legacy ? STK_GPC : idx ? STK_GPC1 : STK_GPC0;
	enum stk_data rate = !legacy ? STK_GPC_RATE : idx ? STK_GPC1_RATE : STK_GPC0_RATE;
	unsigned at = legacy ? 0 : idx;

	stk_add(t, e, cnt, at, 1);
	stk_add(t, e, rate, at, 1);
	return stk_read(t, e, stk_stores(&t->shape, cnt, at) ? cnt : rate, at);
}
