/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable_priv.h - what the files of stick tables share and nobody else sees
 */
#ifndef STANDIN_POLICY_STICKTABLE_PRIV_H
#define STANDIN_POLICY_STICKTABLE_PRIV_H

#include <ev.h>

#include "core/worker.h"
#include "policy/sticktable.h"

/* The tables of one worker. */
struct stktables {
	struct worker *w;
	struct list all;           /* struct stk_table, in the configuration's order */
	struct list dying;         /* struct stk_table that nobody needs: freed in pieces */
	struct pool *p_tracks;
	ev_timer timer;
	uint64_t timer_ms;         /* when it fires; UINT64_MAX: idle */
	/* names of servers, by number from 1 and by text: sticktable_data.c */
	struct stk_word **words;   /* owns */
	uint32_t nb_words;
	struct htable words_by_text;
};

/* sticktable.c: a table without a list; one reference. NULL on no memory. */
struct stk_table *stk_table_new(struct worker *w, const struct stk_def *def);
/* Out of the list that finds it; goes with its last reference. */
void stk_table_unlink(struct stk_table *t);
/* Times to live have changed: what is over goes. */
void stk_expire_soon(struct worker *w);

/* The key of an entry of <t>: a view of it. */
void stk_key_of(const struct stk_table *t, const struct stk_entry *e, struct stk_key *k);

void stk_words_free(struct stktables *ts);
/* sticktable_data.c: the layout of an entry's data from the counts in s->col. */
void stk_shape_lay_out(struct stk_shape *s);

/* What every stick table keyword of expressions needs to know of itself: smp_arg[SMP_ARG_SELF].i */
#define STK_VARIANT(op, data, ctr) ((op) << 16 | (ctr) << 8 | (data))
enum stk_op {
	STK_OP_READ,
	STK_OP_KBYTES,   /* of a count of bytes */
	STK_OP_INC,      /* a gpc, by one */
	STK_OP_CLR,      /* a gpc: what it was */
	STK_OP_TRACKED,
	STK_OP_TRACKERS,
	STK_OP_UPDT,     /* conn_cnt, by one */
	STK_OP_IN_TABLE,
	STK_OP_IDLE,
	STK_OP_EXPIRE,
};

#endif
