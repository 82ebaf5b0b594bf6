/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * sticktable.h - stick tables: counters and the server of a key, shared by L3 and L7
 *
 * A table belongs to the section whose `stick-table` line made it, and has its
 * name. Three things, by who owns them:
 *
 *   struct stk_def    the line: in an epoch's arena, immutable, found by name (kind "stick-table")
 *   struct stk_table  what runs: in worker->tables, found by name. It lives on across configurations while
 *                     its shape (type, size, what is stored) stays the same
 *   struct stk_entry  a key and its data. Whoever keeps one counts it; what nobody counts expires, and makes
 *                     room for new ones in a full table, the longest untouched first
 *
 * Tracking: the slots sc0, sc1, sc2 of a connection (struct stk_tracks). Its owner -
 * a flow, a stream, or both while a flow is promoted - reports what happens, and
 * every slot's entry counts it. Words and meanings are HAProxy's (its manual, 4.2
 * stick-table, and 7.3.3).
 */
#ifndef STANDIN_POLICY_STICKTABLE_H
#define STANDIN_POLICY_STICKTABLE_H

#include "cfg/epoch.h"
#include "core/hash.h"
#include "policy/sample.h"

struct worker;
struct stktables;
struct cfg_line;

/* ---- what a table stores ---- */

enum stk_type { STK_IP, STK_IPV6, STK_INTEGER, STK_STRING, STK_BINARY, STK_TYPE_COUNT };
extern const char *const stk_type_name[STK_TYPE_COUNT];

/* In the order in which `show table` prints them, HAProxy's. The name of each: stk_data_name(). */
enum stk_data {
	STK_SERVER_ID, STK_GPT0, STK_GPC0, STK_GPC0_RATE, STK_CONN_CNT, STK_CONN_RATE, STK_CONN_CUR, STK_SESS_CNT,
	STK_SESS_RATE, STK_HTTP_REQ_CNT, STK_HTTP_REQ_RATE, STK_HTTP_ERR_CNT, STK_HTTP_ERR_RATE, STK_BYTES_IN_CNT,
	STK_BYTES_IN_RATE, STK_BYTES_OUT_CNT, STK_BYTES_OUT_RATE, STK_GPC1, STK_GPC1_RATE, STK_SERVER_KEY, STK_HTTP_FAIL_CNT,
	STK_HTTP_FAIL_RATE, STK_GPT, STK_GPC, STK_GPC_RATE,
	STK_DATA_COUNT,
	STK_NOTHING = STK_DATA_COUNT
};

#define STK_ARRAY_MAX 100 /* elements of gpt, gpc, gpc_rate */

struct stk_column {
	uint16_t count;        /* elements; 0: not stored */
	uint16_t offset;       /* of the first in an entry's data */
	uint32_t period_ms;    /* of a rate */
};

/* Two definitions of one shape can share a table. */
struct stk_shape {
	enum stk_type type;
	uint32_t key_len;      /* bytes of a key; of a string at most */
	uint32_t size;         /* entries at most */
	uint32_t data_size;
	struct stk_column col[STK_DATA_COUNT];
};

/* ---- configuration ---- */

struct stk_def {
	struct cfg_object obj;     /* kind "stick-table", the section's name */
	const char *section;       /* "frontend", "gateway", ... */
	struct list node;          /* in the epoch's part */
	struct stk_shape shape;
	unsigned expire_ms;        /* 0: never */
	bool nopurge, key_is_addr; /* srvkey addr */
	struct stk_table *rt;      /* counted: set by prepare, in the loop; NULL before */
};

/* A table that some line names. */
struct stk_ref {
	const char *name;          /* arena */
	const struct stk_def *def; /* set once all sections are read; NULL only beside an error */
};

/* What a line that names a table asks of it. */
struct stk_want {
	const char *name;      /* NULL or "": the table of the section that is being read */
	const char *by;        /* for messages: "fetch method 'src_conn_rate'" */
	enum stk_data data;    /* must be stored: itself, or the array it is an element of; STK_NOTHING: any table will do */
	unsigned idx;          /* element of an array */
	enum smp_type key;     /* type of the sample that keys are made from; SMP_T_COUNT: not checked */
	bool server;           /* it is to hold servers: stored from now on */
};

/* Notes it for the check at the end of reading, which tells what is wrong with the file and line that is being
 * read now. Also for fetches' and converters' check(), which know only the arena: it must be an epoch's. NULL
 * with *err. */
struct stk_ref *stk_ref(struct arena *a, const struct stk_want *want, char **err);

static inline struct stk_table *stk_ref_table(const struct stk_ref *r)
{
	return r->def ? r->def->rt : NULL;
}

/* ---- tables and entries ---- */

struct stk_table {
	struct list node;          /* in struct stktables, in the configuration's order */
	struct worker *w;
	char *name;                /* owns */
	unsigned refs;             /* definitions, slots, listings, and the list */
	struct stk_shape shape;
	unsigned expire_ms;
	bool nopurge;
	bool key_is_addr;          /* servers are known by their addresses, not their names */
	struct htable by_key;      /* keyed with worker->hash_key */
	struct list all;           /* struct stk_entry, oldest first */
	struct list idle;          /* those that nobody counts, in the order of their last touch: of expiry, too */
	struct list cursors;       /* struct stk_cursor */
	uint32_t used;
	uint64_t purged, refused;  /* entries taken to make room; keys that found none */
};

struct stk_entry {
	struct hnode by_key;
	struct list all, idle;
	uint64_t touched_ms;
	uint32_t refs;
	uint32_t key_len;
	/* the data, then the key */
	uint64_t data[];
};

#define STK_KEY_RAW 16

/* A key as a table stores it. Points to the sample's bytes, or into itself. */
struct stk_key {
	const void *p;
	size_t n;
	uint8_t raw[STK_KEY_RAW];
};

/* False: this value is no key of the table (no such address family, no memory). <s> is cast in place. */
bool stk_key_from_sample(const struct stk_table *t, struct sample *s, struct policy_ctx *ctx, struct stk_key *k);
/* From a word of the stats socket. False: not valid. */
bool stk_key_from_text(const struct stk_table *t, struct str text, struct stk_key *k);
void stk_key_print(const struct stk_table *t, const struct stk_entry *e, struct buf *out);
bool stk_type_takes(enum stk_type type, enum smp_type key);

struct stk_table *stk_table_find(const struct worker *w, const char *name); /* or NULL */
void stk_table_put(struct stk_table *t);
static inline struct stk_table *stk_table_get(struct stk_table *t)
{
	t->refs++;
	return t;
}

/* Not counted: valid until the loop's next turn at the latest, or stk_entry_get(). Neither touches it. */
struct stk_entry *stk_lookup(struct stk_table *t, const struct stk_key *k);
/* Makes one where there is none. NULL when the table is full of what may not go, or on no memory. */
struct stk_entry *stk_obtain(struct stk_table *t, const struct stk_key *k);
/* Its time to live begins anew. */
void stk_touch(struct stk_table *t, struct stk_entry *e);
/* A counted entry neither expires nor is purged. stk_entry_put() touches it. */
void stk_entry_get(struct stk_table *t, struct stk_entry *e);
void stk_entry_put(struct stk_table *t, struct stk_entry *e);
bool stk_remove(struct stk_table *t, struct stk_entry *e); /* false: it is counted by somebody */
/* How long it still lives, and since when it is not touched, ms. 0 for what never expires. */
uint64_t stk_expires_in(const struct stk_table *t, const struct stk_entry *e);
uint64_t stk_idle_for(const struct stk_table *t, const struct stk_entry *e);

/* Removes what has expired; the timer's, and tests'. Returns when to come again, clock_ms(); UINT64_MAX: never. */
uint64_t stk_tick(struct worker *w);

/* A listing's place: moves on when the entry it stands at goes. Holds the table. */
struct stk_cursor {
	struct list node;
	struct stk_table *t;
	struct stk_entry *next;    /* NULL: at the end */
};
void stk_cursor_start(struct stk_cursor *c, struct stk_table *t);
struct stk_entry *stk_cursor_next(struct stk_cursor *c);
void stk_cursor_stop(struct stk_cursor *c);

/* ---- data ---- */

const char *stk_data_name(enum stk_data d);
/* "gpc0", "conn_rate", "gpt7": as the stats socket names them in a table of this shape. False: no such data;
 * *idx is its element. What is known but not stored is found, too. */
bool stk_data_find(struct str name, enum stk_data *d, unsigned *idx);
bool stk_data_is_rate(enum stk_data d);
bool stk_data_is_array(enum stk_data d);
/* gpc0, gpc1, gpt0 and their rates are the first elements of the arrays, where those are stored instead. */
bool stk_stores(const struct stk_shape *s, enum stk_data d, unsigned idx);
/* All do nothing, and read 0, where it is not stored. A rate is read as events of its last period, and what is
 * added to it are events. Counters stop at their largest value. */
uint64_t stk_read(const struct stk_table *t, const struct stk_entry *e, enum stk_data d, unsigned idx);
void stk_add(const struct stk_table *t, struct stk_entry *e, enum stk_data d, unsigned idx, uint64_t n);
void stk_set(const struct stk_table *t, struct stk_entry *e, enum stk_data d, unsigned idx, uint64_t v);
/* conn_cur at the end of a connection. */
void stk_dec(const struct stk_table *t, struct stk_entry *e, enum stk_data d);
/* The server that a key sticks to, by what `srvkey` says; NULL: none is known so, though perhaps by its number. */
const char *stk_server(const struct stk_table *t, const struct stk_entry *e);
void stk_set_server(const struct stk_table *t, struct stk_entry *e, unsigned id, const char *key);
/* gpc<idx> and its rate together; 64 bits of what is then in the counter. */
uint64_t stk_inc_gpc(const struct stk_table *t, struct stk_entry *e, unsigned idx, bool legacy);

/* ---- tracking ---- */

#define STK_SLOTS 3

struct stk_slot {
	struct stk_table *t;       /* counted; NULL: tracks nothing */
	struct stk_entry *e;       /* counted */
	bool request;              /* of the request alone */
	bool counted;              /* it has counted the request that stk_tracks_request() will tell */
};

/* What one connection tracks. Counted: a flow and the stream it is promoted into share one. */
struct stk_tracks {
	struct stktables *tables;
	unsigned refs;
	struct stk_slot slot[STK_SLOTS];
	bool req_counted;          /* the request at hand was counted */
	/* l3's: where the judgement of a turn waits, of which rules; and which of the connection's bytes it has told */
	const struct rule *judged;
	const void *judged_by;
	uint64_t bytes[2];
};

/* Who gives policy_ctx.tracks a pointer to its own NULL pointer lets rules track. */
struct stk_tracks *stk_tracks_get(struct stk_tracks *tr);
/* The last one ends all tracking: the connection is over. Leaves NULL. */
void stk_tracks_put(struct stk_tracks **tr);
/* What only a request tracked is over with it. All take NULL. */
void stk_tracks_end_request(struct stk_tracks *tr);

/* Does one of the rules track? */
struct rule_set;
bool stk_rules_track(const struct rule_set *rs);

enum stk_event { STK_EV_SESSION, STK_EV_REQUEST, STK_EV_ERROR, STK_EV_FAILURE };
/* A request: counted by every slot that has not counted it. */
void stk_tracks_request(struct stk_tracks *tr);
/* Does a slot's table store how many there are, or their rate? */
bool stk_tracks_count_requests(const struct stk_tracks *tr);
/* The next one told is the one that all slots of now have counted already: a gateway judges a turn again, or hands it on to
 * L7. Without <yes> it is another. */
void stk_tracks_counted(struct stk_tracks *tr, bool yes);
/* Counted by every slot. Sessions are of connections alone. */
void stk_tracks_event(struct stk_tracks *tr, enum stk_event ev);
/* A server's response has this status: 4xx is an error of the client, 5xx but 501 and 505 a failure of the server. */
void stk_tracks_status(struct stk_tracks *tr, unsigned status);
/* <of_request>: only by slots of the request: somebody else tells the connection's. */
void stk_tracks_bytes(struct stk_tracks *tr, uint64_t in, uint64_t out, bool of_request);

/* ---- for tests; the layer calls them otherwise ---- */
int stktables_init(struct worker *w);
void stktables_destroy(struct worker *w);
extern struct cfg_module stk_cfg_module;

#endif
