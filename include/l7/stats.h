/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stats.h - counters of proxies and servers, and running streams, one after the other
 *
 * Both iterators keep their place as a number, not a pointer: between two calls
 * objects may come and go. A row's strings are valid until the next call.
 */
#ifndef STANDIN_L7_STATS_H
#define STANDIN_L7_STATS_H

#include "core/net.h"

struct worker;

/* HAProxy's columns of `show stat`, in its order (its management guide, 9.1) */
enum stat_col {
#define STAT_COL(name) STAT_##name,
#include "l7/stats_cols.h"
#undef STAT_COL
	STAT_COL_COUNT
};
extern const char *const stat_col_name[STAT_COL_COUNT];

enum stat_kind { STAT_FRONTEND, STAT_BACKEND, STAT_SERVER };

struct stat_value {
	enum { STAT_NONE, STAT_NUM, STAT_TEXT } type;
	uint64_t num;
	const char *text; /* borrowed */
};

struct stat_row {
	enum stat_kind kind;
	unsigned iid, sid;
	struct stat_value v[STAT_COL_COUNT];
	char addr[ADDR_STRLEN], text[160];
};

/* Fills the row at <*pos> (0: the first) and moves on. false: no more. */
bool stats_next(struct worker *w, uint64_t *pos, struct stat_row *row);

struct stream_info {
	uint64_t id, age_ms, idle_ms, bytes[2]; /* [0] from the client, [1] to it */
	struct addr src, dst;
	const char *frontend, *backend, *server; /* NULL: none yet */
	const char *state;
	bool http, tls, promoted, leaving;
	unsigned requests;
};

/* The stream after <*id> in order of age (0: the oldest); *id becomes its own. false: no more. */
bool streams_next(struct worker *w, uint64_t *id, struct stream_info *out);

#endif
