/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_priv.h - what runs: proxies, servers, listeners, found by name
 *
 * These live across configurations: counters, connection numbers, health and
 * what was set on the stats socket belong to a name, not to an epoch. Commit
 * gives each its new text (->cfg) or, when its name left the configuration,
 * marks it gone: it leaves the lists and dies with its last reference. Whoever
 * keeps a pointer counts it: the px_cfg that maps to a proxy, a server its
 * proxy, a stream its frontend, backend and server.
 */
#ifndef STANDIN_L7_L7_PRIV_H
#define STANDIN_L7_L7_PRIV_H

#include <ev.h>

#include "core/endpoint.h"
#include "core/pool.h"
#include "core/probe.h"
#include "core/worker.h"
#include "l7/cfg_priv.h"

struct stream;
struct sockaddr_un;

/* events a second, over the last second (as HAProxy's: current and previous second weighed) */
struct freq {
	uint64_t sec;
	uint32_t cur, prev;
};
void freq_add(struct freq *f, uint64_t now_ms);
uint32_t freq_read(const struct freq *f, uint64_t now_ms);

/* sliding averages over about 1024 values */
struct swavg {
	uint64_t sum, n;
};
void swavg_add(struct swavg *a, uint64_t v);
uint32_t swavg_read(const struct swavg *a);

struct px_counters {
	uint64_t conn_tot, sess_tot, req_tot, bytes_in, bytes_out;
	uint64_t denied_conn, denied_sess, denied_req, denied_res, err_req, err_con, err_res;
	uint64_t retries, redispatches, lb_tot, cli_aborts, srv_aborts, int_errors, connects, reuses, intercepted;
	uint64_t rewrites_failed;
	uint64_t hrsp[6]; /* 1xx..5xx, other */
	unsigned conn_rate_max, sess_rate_max, req_rate_max;
	struct freq conn_rate, sess_rate, req_rate;
	struct swavg q_time, c_time, d_time, t_time;
	unsigned q_max, c_max, d_max, t_max; /* of those times, ms */
	uint64_t last_sess_ms;
	uint64_t ssl_sess, ssl_reused, ssl_failed;
	uint64_t suspects;               /* failures that an endpoint's new generation explained */
};

#define SRV_ADM_MAINT  0x1 /* disabled: from the configuration or the stats socket */
#define SRV_ADM_DRAIN  0x2

enum srv_health { SRV_UP, SRV_DOWN };

struct server {
	struct list node;          /* in proxy->servers, in the configuration's order */
	unsigned refs;
	struct proxy *px;          /* counted */
	char *name;                /* owns */
	const struct srv_cfg *cfg; /* of the epoch in force; NULL: gone */
	unsigned id;

	struct addr addr;          /* where to connect now */
	bool addr_set;             /* by the stats socket */
	struct endpoint *ep;       /* counted; app@ only */
	struct endpoint_sub sub;
	uint64_t generation;       /* of the endpoint, as last told */

	unsigned admin;            /* SRV_ADM_ */
	enum srv_health health;
	unsigned weight;           /* 0..256 */
	bool weight_set;
	int lb_score;              /* balance.c's */
	unsigned cur, max;         /* requests on it; connections count as requests here */
	struct list queue;         /* streams that wait for it alone: they stick to it */
	unsigned queued;
	uint64_t change_ms, down_ms_total, downs;
	struct px_counters c;

	/* health checks: check.c */
	struct probe probe;
	ev_timer check_timer;
	bool checking, probe_ready;
	unsigned good, bad;        /* successes or failures in a row */
	uint64_t fails, check_us;
	int check_result;          /* enum probe_result, -1: none yet */
	int check_code;

	struct list suspects;      /* streams waiting for the endpoint's word */
};

struct proxy {
	struct list node;          /* in l7->proxies */
	unsigned refs;
	struct l7 *l7;
	char *name;                /* owns */
	unsigned caps, id;
	const struct px_cfg *cfg;  /* of the epoch in force, or the last one that had it */
	bool gone;
	struct list servers;
	unsigned nb_servers;
	struct list queue;         /* streams that wait for a server, oldest first */
	unsigned nb_queue, queue_max;
	bool queue_running;
	struct list listeners;     /* struct listener */
	/* [0] as a frontend, [1] as a backend */
	unsigned cur[2], max[2];
	struct px_counters c[2];
	uint64_t change_ms, down_ms_total, downs; /* as a backend: without any server */
	bool be_down;
	bool full;                 /* the listeners rest: maxconn */
};

enum { PX_FE, PX_BE };

struct listener {
	struct list node;          /* in l7->listeners */
	struct list px_node;       /* in proxy->listeners */
	struct l7 *l7;
	struct proxy *px;          /* counted */
	const struct bind_cfg *cfg; /* of the epoch in force */
	struct cfg_addr key;
	bool transparent;
	char *interface;           /* owns */
	int fd;
	struct addr addr;          /* its own; port known */
	bool any;                  /* listens on the wildcard: ask getsockname() */
	bool resting;
	ev_io io;
	ev_timer retry;            /* after EMFILE and the like */
	char text[160];            /* "0.0.0.0:80" */
	bool fresh;                /* opened in prepare(), not committed yet */
	bool keep;                 /* commit: still configured */
};

struct l7 {
	struct worker *w;
	struct list proxies;       /* struct proxy, in the configuration's order */
	struct list listeners;
	struct list streams;       /* struct stream, oldest first */
	bool ending;               /* everything is taken down: what becomes free serves nobody */
	struct list fresh;         /* listeners of a prepare() under way */
	unsigned nb_streams, max_streams; /* accepted and promoted connections */
	unsigned maxconn;
	bool full;
	uint64_t next_id, conn_total, req_total, ssl_total;
	struct freq conn_rate, sess_rate, req_rate;
	struct task refresh;       /* idle streams take the new configuration */
	struct pool *p_stream, *p_txn, *p_buf;
	unsigned bufsize;
	struct list pipes;         /* struct splice_pipe: free ones */
	unsigned nb_pipes, nb_pipes_free, maxpipes;
	struct buf scratch;        /* for log lines and the like; grows once */
	uint64_t rnd;
};

/* proxy.c */
struct proxy *proxy_find(const struct l7 *l7, unsigned caps, const char *name);
struct proxy *proxy_get(struct proxy *px);
void proxy_put(struct proxy *px);
struct server *server_find(const struct proxy *px, const char *name);
struct server *server_get(struct server *s);
void server_put(struct server *s);
bool server_usable(const struct server *s);     /* up, not in maintenance, not draining, weight > 0 */
bool server_accepts(const struct server *s);    /* the same, ignoring weight and drain: persistence */
unsigned proxy_usable(const struct proxy *px, bool backup);
void server_changed(struct server *s);          /* after health, admin or address changed: backend state, queue */
void server_set_health(struct server *s, enum srv_health h, const char *why);
void server_set_admin(struct server *s, unsigned admin, const char *why);
int proxies_commit(struct l7 *l7, struct l7_cfg *cfg);
void proxies_destroy(struct l7 *l7);
int server_port(const struct server *s, const struct addr *client_dst);

/* stats.c */
void l7_log_state(struct worker *w);

/* listener.c */
int listeners_prepare(struct l7 *l7, struct l7_cfg *cfg, struct diag *d);
void listeners_commit(struct l7 *l7, struct l7_cfg *cfg);
void listeners_abort(struct l7 *l7);
void listeners_stop(struct l7 *l7);
void listeners_resume(struct l7 *l7, struct proxy *px); /* after a connection went */

/* check.c */
void check_start(struct server *s);
void check_stop(struct server *s);
const char *check_status_name(const struct server *s);

/* balance.c: a server that may take a request of this stream now, or NULL. <avoid>: the one that just failed;
 * *full is set when some were only full. */
struct server *balance_pick(struct proxy *px, const struct addr *src, const struct server *avoid, bool *full);

/* queue.c: for <srv>, or, where that is NULL, any server */
void queue_add(struct proxy *px, struct stream *s, struct server *srv);
void queue_server_gone(struct server *srv); /* who waits for it waits for any */
void queue_del(struct stream *s);
void queue_run(struct proxy *px); /* a slot or a server became free */

#endif
