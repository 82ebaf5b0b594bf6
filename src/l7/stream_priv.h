/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream_priv.h - a client's connection from its first byte to its last
 *
 * A stream is one client connection and the server connection behind it:
 * side[0] is the client, side[1] the server, the other of <d> is <!d>. In mode
 * http it carries transactions one after the other; in mode tcp it is one
 * itself.
 *
 * Bytes. What is read from side d lies in side[d].rx. The first `fwd` bytes of
 * it may go to the other side: framing and rules have seen them. What we
 * write ourselves for side d (edited heads, answers) lies in side[d].tx
 * and goes before anything from side[!d].rx. While a request may have to be
 * sent again its bytes stay where they are: side[1].tx_sent and side[0].sent say
 * how far they were sent.
 *
 * Who drives. Watchers read and write and then call stream_process(), which
 * walks the state until nothing moves, tries to send at once, and only then
 * says what to wait for. There is one timer a stream; it is moved only when
 * it would fire too late.
 */
#ifndef STANDIN_L7_STREAM_PRIV_H
#define STANDIN_L7_STREAM_PRIV_H

#include "core/buf.h"
#include "l7/conn.h"
#include "l7/l7_priv.h"
#include "l7/promoted.h"
#include "l7/reply.h"
#include "policy/ctx.h"
#include "proto/h1.h"

/* What a stream is doing. stream_st_name[] has the words.
 *   HELLO    client TLS handshake; nothing else exists yet
 *   CONTENT  mode tcp: tcp-request content rules look at what arrives
 *   IDLE     http: between requests; no byte of the next one is here
 *   HEAD     http: a request's head arrives, then its rules run; txn exists
 *   QUEUE    waits for a server: none is free, or an endpoint is down
 *   CONNECT  a connect or the server's TLS handshake is under way
 *   TURN     waits before it tries again: turn-around, or an endpoint's word (suspicion)
 *   XFER     both sides exist: bytes pass. http: the transaction says how far
 *   LINGER   the last answer was given and what is left of it is sent; then the client's rest is read away
 *   DEAD     nothing exists any more; freed at the end of the cycle
 * Only stream_set_state() changes it. Sides may be read in all but HELLO and DEAD.
 */
enum stream_st {
	STREAM_HELLO, STREAM_CONTENT, STREAM_IDLE, STREAM_HEAD, STREAM_QUEUE, STREAM_CONNECT, STREAM_TURN,
	STREAM_XFER, STREAM_LINGER, STREAM_DEAD, STREAM_ST_COUNT
};
extern const char *const stream_st_name[STREAM_ST_COUNT];

#define SIDE_EOF       0x01 /* the peer ended: all it sent is in rx */
#define SIDE_SHUT      0x02 /* we ended: FIN sent */
#define SIDE_ERR       0x04 /* broken: reset, or an I/O error */
#define SIDE_PSEUDO    0x08 /* a pseudo socket: border's when we are done */
#define SIDE_SHUT_SOON 0x10 /* FIN once everything is sent */
#define SIDE_STALLED   0x40 /* the last send was short: wait for room */
#define SIDE_MORE      0x80 /* the last read filled the buffer: there may be more */
#define SIDE_BULK      0x100 /* reads fill the buffer: worth a pipe */
#define SIDE_NOSPLICE  0x200 /* there was none, or this descriptor cannot */

struct side {
	struct conn conn;
	struct buf rx;       /* area from l7->p_buf, NULL while empty */
	size_t fwd, sent;    /* of rx: may be passed on; was passed on but is kept */
	struct buf tx;       /* the same for what we write */
	size_t tx_sent;
	struct splice_pipe *pipe; /* what was read after rx, for the other side; NULL while empty */
	unsigned flags;      /* SIDE_ */
	uint64_t read_ms, write_ms; /* last byte in, last byte out */
	int err;             /* errno of SIDE_ERR */
};

/* how far a transaction's two halves are */
enum req_st { REQ_HEAD, REQ_BODY, REQ_DONE };
enum res_st { RES_HEAD, RES_BODY, RES_DONE, RES_TUNNEL };

#define HTTP_HDR_CAP 192 /* slots: what the parser may find and what rules add */
#define HTTP_HDR_ADD 64  /* of them, kept for rules */

struct txn {
	enum req_st req_st;
	enum res_st res_st;
	struct h1_scan scan;      /* of the head that is being read */
	struct http_head req, res;
	struct h1_body req_body, res_body;
	enum http_meth meth;
	uint8_t minor;
	bool client_ends;         /* the client asked for that: nothing follows from it */
	bool close_client;        /* the client's connection ends with this transaction */
	bool close_server;        /* the server's */
	bool expect100, upgrade;
	bool replayable;          /* every byte sent so far is still here */
	bool parsed;              /* the head was a request */
	bool sent_any;            /* the server was given some of it */
	bool head_sent;           /* the head was written for the server: rx holds body */
	bool body_bad;            /* the request's body is framed wrongly */
	bool res_bad;             /* the response's body is */
	int status;               /* sent to the client; -1: none */
	struct str line;          /* the request line as received, for logs; arena */
	struct str method, uri;   /* within line */
	struct http_hdr hdr[HTTP_HDR_CAP];
};

/* Of a buffer, what rules may add to a head: larger heads are refused, and not only when they are rewritten
 * (HAProxy's tune.maxrewrite). */
#define HTTP_REWRITE 1024

#define STREAM_LINGER_MS 1000 /* a client that still sends may read its answer that long */

/* Termination state: who, and when (HAProxy's manual, 8.5). The first cause stays. */
#define TERM_NONE '-'

struct stream_log {
	uint64_t accept_wall_ms, accept_ms;  /* of this transaction: with keep-alive, the end of the one before */
	int64_t t_handshake, t_idle;         /* ms */
	int64_t t_request, t_queue, t_connect, t_data, t_close; /* ms since accept_ms, -1: not reached */
	uint64_t bytes_in, bytes_out;        /* client's to server, server's to client */
	unsigned srv_queue_pos, be_queue_pos;
	unsigned retries;
	bool redispatched;
	char term[2];
	bool done;                           /* the line was written */
};

struct stream {
	struct list node;          /* in l7->streams */
	struct l7 *l7;
	struct epoch *ep;          /* counted */
	uint64_t id;
	enum stream_st st;
	struct side side[2];
	struct addr src, dst;
	char in_if[16];
	const struct px_cfg *fe_cfg, *be_cfg; /* borrow from ->ep; be_cfg NULL: not chosen */
	struct proxy *fe, *be;     /* counted */
	struct server *srv;        /* counted: of this transaction; keeps a slot while srv_slot */
	struct server *conn_srv;   /* counted: whom side[1] is connected to */
	bool srv_slot, be_slot;
	uint64_t conn_gen;         /* endpoint generation connected to */
	struct addr conn_addr;     /* server's address connected to */
	uint64_t conn_sni;         /* TLS: hash of the name asked for, 0: none; under which configuration */
	uint64_t conn_epoch;
	struct txn *txn;           /* http: owns; from l7->p_txn */
	struct arena arena;        /* this transaction's strings */
	struct policy_ctx ctx;
	struct stick_work *stick;  /* what stick rules have found for this transaction; its arena's, or NULL */
	struct stk_tracks *tracks; /* counted: what stick tables count of the connection; NULL: nothing */
	bool session_due;          /* tcp-request session is to run */
	bool flow_tracks;          /* they are a flow's: it counts session and bytes */
	const struct rule *rule_from; /* where waiting rules go on */
	int rule_phase;            /* which set of them: RULES_ */
	uint64_t rule_wait_ms;     /* until when they may wait; 0: they do not */
	uint64_t start_ms;         /* of the connection */
	uint64_t state_ms;         /* when ->st was entered */
	uint64_t wait_ms;          /* the state's own limit, 0: none */
	unsigned requests;         /* begun on this connection */
	int conn_retries;          /* left */
	bool suspected;            /* TURN: waits for the endpoint's word */
	enum { FAIL_NONE, FAIL_CONNECT, FAIL_EMPTY } failure; /* what TURN is about */
	int fail_err;
	struct list q_node;        /* in proxy->queue, or server->suspects */
	struct list sus_node;
	bool queued;
	struct server *queue_srv;  /* borrows: in whose queue; NULL: in the backend's */
	bool req_cut;              /* part of the request was not read: nothing can follow it */
	bool was_reused;           /* the server's connection was made for an earlier request */
	bool hold_fin;             /* an endpoint's FIN waits for its word */
	bool fin_judged;
	struct stream_log log;
	/* for the line while it is made */
	unsigned log_bc, log_sc;
	bool is_http, tls_client;
	bool killed;               /* by the operator */
	bool in_process, process_again;

	/* promoted.c */
	const struct promoted_ops *pops;
	void *powner;
	int leave;                 /* 0, or 1 + enum stream_leave_when */
	bool leave_told;           /* may_leave() was called */
	uint64_t auto_ms;          /* option auto-demote: before that it does not ask again */
	bool detached;
	uint64_t pbytes[2];        /* carried while promoted */
	uint8_t plast;             /* whose bytes were sent on last */
	int pserver_fd;            /* server pseudo socket that l7 is done with; -1: none */
	struct task starter;       /* first steps, outside of the caller */

	ev_timer timer;
	uint64_t timer_at;         /* when it fires, ms; 0: not armed */
	struct task reaper;
};

enum { RULES_TCP_CONN, RULES_FE_TCP, RULES_BE_TCP, RULES_FE_HTTP, RULES_BE_HTTP, RULES_DONE };

/* stream.c */
struct stream *stream_new(struct l7 *l7, const struct px_cfg *fe);
void stream_accept(struct listener *li, int fd, const struct addr *src, const struct addr *dst);
void stream_process(struct stream *s);
void stream_first_state(struct stream *s);
void stream_set_state(struct stream *s, enum stream_st st);
void stream_end(struct stream *s);              /* log, close everything, DEAD */
void stream_free_now(struct stream *s);
void stream_term(struct stream *s, char who, char when);
void stream_release_backend(struct stream *s); /* slot, counters, queue */
uint64_t stream_now(const struct stream *s);
struct stream *stream_find(const struct l7 *l7, uint64_t id);
bool stream_set_epoch(struct stream *s);       /* at a message boundary: the configuration in force */
void stream_txn_end(struct stream *s);          /* frees the transaction's things */
void stream_times_reset(struct stream *s);

/* stream_timer.c */
void stream_timer_update(struct stream *s);
void stream_timer_stop(struct stream *s);

/* side.c */
bool side_recv(struct stream *s, int d);        /* one read; true: something changed */
bool side_send(struct stream *s, int d);        /* what is there for side d; true: something changed */
bool side_pending_out(const struct stream *s, int d);
bool side_room(const struct stream *s, int d);
bool side_need_rx(struct stream *s, int d);     /* there is a buffer */
bool side_need_tx(struct stream *s, int d);
void side_trim(struct stream *s, int d);        /* give empty buffers back */
void side_consume(struct stream *s, int d, size_t n); /* the first n bytes of rx are done with */
void side_keep_end(struct stream *s);           /* the request's bytes need not be kept any more */
void side_rewind(struct stream *s);             /* send the request again from its first byte */
void side_drop_out(struct stream *s, int d);    /* forget what was to be sent to side d */
void side_close_server(struct stream *s, bool abort);
void side_want(struct stream *s);

/* splice.c: side[d].pipe */
bool splice_may(const struct stream *s, int d);  /* may what comes from side d go through a pipe? */
ssize_t splice_in(struct stream *s, int d);     /* >0: bytes, accounted; 0: end; -ENOSYS: read it as usual; -errno */
ssize_t splice_out(struct stream *s, int d);    /* to side d; bytes or -errno */
size_t splice_held(const struct stream *s, int d); /* bytes from side d that are in its pipe */
void splice_trim(struct stream *s, int d);      /* gives an empty pipe back */
void splice_drop(struct stream *s, int d);      /* whatever it holds */
void splice_pipes_free(struct l7 *l7);          /* those that nobody uses */

/* stream_tcp.c */
bool tcp_content(struct stream *s);             /* CONTENT; true: progress */
bool tcp_xfer(struct stream *s);
enum act_ret stream_run_rules(struct stream *s, const struct rule_set *rs);
bool stream_rules_wait(struct stream *s, unsigned delay_ms); /* true: go on waiting */

void tcp_timeout(struct stream *s, int d);
bool stream_hold_fin(struct stream *s);         /* the server ended: true while an endpoint may still explain it */

/* stream_http.c, http_res.c */
void http_idle_timeout(struct stream *s);
void http_request_timeout(struct stream *s);
void http_xfer_timeout(struct stream *s, int d);
bool http_idle(struct stream *s);
bool http_head(struct stream *s);
bool http_xfer(struct stream *s);
bool http_send_request(struct stream *s);       /* the edited head into side[1].tx; false: answered with an error */
bool http_req_body(struct stream *s);
bool http_head_fits(const struct buf *b, size_t n); /* a head of <n> bytes, with what rules may add to it */
void http_reparse_sent(struct stream *s);       /* views of the head that lies in side[1].tx, for expressions */
bool http_retry_ok(const struct stream *s, unsigned what); /* may the request be sent again for this failure? */
void http_txn_close(struct stream *s);          /* response passed: next request or end */

/* http_req_edit.c: what the proxy itself changes in heads */
bool http_edit_request(struct stream *s);
bool http_edit_response(struct stream *s);
bool hdr_add(struct stream *s, struct http_head *h, struct str name, struct str value);

/* reply.c */
void reply_error(struct stream *s, int status); /* a built-in answer or errorfile; ends the transaction */
/* For answers made by rules, in this order: decide, head, own headers, connection header, body, finish. */
bool reply_decide_close(struct stream *s);
bool reply_head(struct stream *s, int status, const char *reason);
bool reply_conn_header(struct stream *s);
void reply_finish(struct stream *s, int status);
struct str reply_errorfile(const struct px_cfg *px, int status);

/* backend.c */
bool backend_choose(struct stream *s);          /* use_backend, default_backend; false: 503 given */
void backend_assign(struct stream *s);          /* a server, the queue, or the end */
void backend_connected(struct stream *s);
void backend_pseudo_tls(struct stream *s);       /* TLS on the server pseudo socket */
void backend_conn_io(struct stream *s, int revents);
void backend_conn_failed(struct stream *s, int err);
void backend_turn_end(struct stream *s);
void backend_empty(struct stream *s, int err);  /* the connection died before a response byte */
void backend_suspects_wake(struct server *srv);
void backend_slot_free(struct stream *s);
void backend_queue_timeout(struct stream *s);

/* http_act.c */
struct str act_build(const struct logformat *lf, struct policy_ctx *ctx); /* in ctx->tmp; null on no memory */

/* stick.c */
void stick_request(struct stream *s);           /* the request's rules, before a server is chosen */
void stick_response(struct stream *s);          /* the response is here, in mode tcp the connection: remember the server */
/* The server that the request sticks to, if it takes requests; NULL: none. */
struct server *stick_server(const struct stream *s);
void stick_forget(struct stream *s);            /* it failed: another one may serve, and be remembered */
bool stick_waits(const struct stream *s);       /* mode tcp: rules want the server's first bytes */
void stick_end(struct stream *s);               /* the transaction is over */

/* log.c */
void stream_log_write(struct stream *s);
extern const struct lf_source l7_lf_source;
struct policy_ctx *stream_ctx(struct stream *s); /* fresh, filled from the stream */

/* auto_demote.c */
void auto_demote(struct stream *s);             /* asks to leave when its time has come */
uint64_t auto_demote_due(const struct stream *s); /* when an idle one is to be parked, ms; 0: never */
void auto_demote_park(struct stream *s);

/* promoted.c */
bool promoted_take_server(struct stream *s);    /* the server side is the pseudo socket: true: used, or failed */
void promoted_server_unused(struct stream *s);  /* another server is used */
void promoted_check(struct stream *s);          /* may it leave now? */
void promoted_end(struct stream *s);            /* hands the sockets back */
void promoted_server_done(struct stream *s);     /* the server pseudo socket is not needed any more */
bool promoted_server_is_pseudo(const struct stream *s);

static inline size_t side_out_rx(const struct stream *s, int d)
{
	return s->side[!d].fwd - s->side[!d].sent;
}

static inline size_t side_out_tx(const struct stream *s, int d)
{
	return s->side[d].tx.data - s->side[d].tx_sent;
}

#endif
