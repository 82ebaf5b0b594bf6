/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stream.c - a stream's life: made, driven, ended
 *
 * stream_process() is the only place where a stream moves. It steps the state
 * until nothing changes, sends what there is, reads again what is known to wait,
 * and in the end tells the loop what to wake it for. It is not entered twice: who
 * has news for a stream from inside it (an endpoint that changes while a
 * connect fails) asks for another round.
 *
 * An ended stream has given everything back at once - descriptors, counters,
 * references - and is itself freed at the end of the cycle.
 */
#include "l7/stream_priv.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/log.h"
#include "l7/tls.h"
#include "policy/sticktable.h"

#define STREAM_ROUNDS    16   /* reads of one wake-up before others get their turn */

const char *const stream_st_name[] = {
	[STREAM_HELLO] = "hello",     [STREAM_CONTENT] = "content", [STREAM_IDLE] = "idle",
	[STREAM_HEAD] = "head",       [STREAM_QUEUE] = "queue",     [STREAM_CONNECT] = "connect",
	[STREAM_TURN] = "turn",       [STREAM_XFER] = "xfer",       [STREAM_LINGER] = "linger",
	[STREAM_DEAD] = "dead",
};
static_assert(ARRAY_SIZE(stream_st_name) == STREAM_ST_COUNT, "a name for each state");

uint64_t stream_now(const struct stream *s)
{
	return clock_ms(s->l7->w);
}

void stream_set_state(struct stream *s, enum stream_st st)
{
	s->st = st;
	s->state_ms = stream_now(s);
	s->wait_ms = 0;
}

/* The first cause is the one that is told. */
void stream_term(struct stream *s, char who, char when)
{
	if (s->log.term[0] != TERM_NONE)
		return;
	s->log.term[0] = who;
	s->log.term[1] = when;
}

void stream_times_reset(struct stream *s)
{
	s->log = (struct stream_log){
		.accept_wall_ms = clock_wall_ms(), .accept_ms = stream_now(s), .t_handshake = 0, .t_idle = -1,
		.t_request = -1, .t_queue = -1, .t_connect = -1, .t_data = -1, .t_close = -1,
		.term = { TERM_NONE, TERM_NONE },
	};
}

struct stream *stream_find(const struct l7 *l7, uint64_t id)
{
	struct stream *s;

	list_for_each(s, &l7->streams, node)
		if (s->id == id && s->st != STREAM_DEAD)
			return s;
	return NULL;
}

/* ---- events ---- */

static void stream_ready(struct stream *s, int d, int revents)
{
	struct side *sd = &s->side[d];

	if (s->st == STREAM_DEAD)
		return;
	if (d == 1 && s->st == STREAM_CONNECT) {
		backend_conn_io(s, revents);
	} else if (sd->conn.hs_done) {
		if (revents & (EV_WRITE | sd->conn.also))
			sd->flags &= ~SIDE_STALLED;
		if ((revents & EV_READ) || sd->conn.also)
			side_recv(s, d);
	}
	stream_process(s);
}

static void stream_client_ready(struct conn *c, int revents)
{
	stream_ready(container_of(c, struct stream, side[0].conn), 0, revents);
}

static void stream_server_ready(struct conn *c, int revents)
{
	stream_ready(container_of(c, struct stream, side[1].conn), 1, revents);
}

/* ---- making ---- */

static void stream_reap(struct worker *w, struct task *t)
{
	stream_free_now(container_of(t, struct stream, reaper));
}

static void stream_start(struct worker *w, struct task *t)
{
	stream_process(container_of(t, struct stream, starter));
}

struct stream *stream_new(struct l7 *l7, const struct px_cfg *fe)
{
	struct stream *s = pool_alloc(l7->p_stream);

	if (!s)
		return NULL;
	memset(s, 0, sizeof(*s));
	s->l7 = l7;
	s->ep = epoch_get(fe->ep);
	s->id = l7->next_id++;
	s->fe_cfg = fe;
	s->fe = proxy_get(fe->rt);
	s->is_http = fe->mode == PX_HTTP;
	conn_init(&s->side[0].conn, l7->w, stream_client_ready);
	conn_init(&s->side[1].conn, l7->w, stream_server_ready);
	arena_init(&s->arena);
	list_init(&s->q_node);
	list_init(&s->sus_node);
	task_init(&s->reaper, stream_reap);
	task_init(&s->starter, stream_start);
	s->pserver_fd = -1;
	s->start_ms = stream_now(s);
	stream_times_reset(s);
	stream_timer_stop(s);
	list_add_tail(&l7->streams, &s->node);
	l7->nb_streams++;
	l7->max_streams = MAX(l7->max_streams, l7->nb_streams);
	l7->conn_total++;
	s->fe->cur[PX_FE]++;
	s->fe->max[PX_FE] = MAX(s->fe->max[PX_FE], s->fe->cur[PX_FE]);
	return s;
}

static void stream_count_accept(struct l7 *l7, struct proxy *px)
{
	uint64_t now = clock_ms(l7->w);
	struct px_counters *c = &px->c[PX_FE];

	c->conn_tot++;
	freq_add(&c->conn_rate, now);
	freq_add(&l7->conn_rate, now);
	c->conn_rate_max = MAX(c->conn_rate_max, freq_read(&c->conn_rate, now));
}

static void stream_count_session(struct stream *s)
{
	uint64_t now = stream_now(s);
	struct px_counters *c = &s->fe->c[PX_FE];

	c->sess_tot++;
	c->last_sess_ms = now;
	freq_add(&c->sess_rate, now);
	freq_add(&s->l7->sess_rate, now);
	c->sess_rate_max = MAX(c->sess_rate_max, freq_read(&c->sess_rate, now));
}

/* tcp-request connection: no stream exists yet. */
static bool stream_admit(struct l7 *l7, const struct px_cfg *fe, const struct addr *src, const struct addr *dst,
			 struct stk_tracks **tracks)
{
	struct arena tmp;
	struct policy_ctx ctx = { .w = l7->w, .ep = fe->ep, .src = src, .dst = dst, .fe_name = fe->name, .tmp = &tmp,
				  .req_final = true, .res_final = true, .tracks = l7->w->tables ? tracks : NULL };
	enum act_ret ret;

	if (!fe->tcp_conn.count)
		return true;
	arena_init(&tmp);
	ret = rule_set_run(&fe->tcp_conn, &ctx, NULL, NULL);
	arena_reset(&tmp);
	if (ret != ACT_RET_DONE && ret != ACT_RET_ERR)
		return true;
	fe->rt->c[PX_FE].denied_conn++;
	return false;
}

static void stream_log_accept(struct stream *s)
{
	char a[ADDR_STRLEN], b[ADDR_STRLEN];

	if (s->fe_cfg->lf || (list_empty(&s->fe_cfg->log.targets) && !s->fe_cfg->log.global))
		return;
	log_printf(s->l7->w, &s->fe_cfg->log, LOG_INFO, "Connect from %s to %s (%s/%s)", addr_print(&s->src, a),
		   addr_print(&s->dst, b), s->fe->name, s->is_http ? "HTTP" : "TCP");
}

/* tcp-request session: the connection is complete, with its TLS session. False: refused, and ended. */
static bool stream_session(struct stream *s)
{
	enum act_ret ret = stream_run_rules(s, &s->fe_cfg->tcp_sess);

	s->session_due = false;
	s->rule_from = NULL;
	if (ret == ACT_RET_DONE || ret == ACT_RET_ERR) {
		s->fe->c[PX_FE].denied_sess++;
		s->log.done = true;
		stream_end(s);
		return false;
	}
	if (!s->flow_tracks)
		stk_tracks_event(s->tracks, STK_EV_SESSION);
	return true;
}

void stream_first_state(struct stream *s)
{
	stream_log_accept(s);
	stream_count_session(s);
	s->session_due = s->side[0].conn.hs_done;
	if (s->session_due)
		stream_set_state(s, s->is_http ? STREAM_IDLE : STREAM_CONTENT);
	else
		stream_set_state(s, STREAM_HELLO);
	s->side[0].read_ms = s->side[0].write_ms = s->state_ms;
}

void stream_accept(struct listener *li, int fd, const struct addr *src, const struct addr *dst)
{
	const struct px_cfg *fe = li->cfg->px;
	struct l7 *l7 = li->l7;
	struct stk_tracks *tracks = NULL;
	struct stream *s;
	int one = 1;

	stream_count_accept(l7, li->px);
	if (!stream_admit(l7, fe, src, dst, &tracks) || !(s = stream_new(l7, fe))) {
		stk_tracks_put(&tracks);
		close(fd);
		return;
	}
	s->tracks = tracks;
	s->src = *src;
	s->dst = *dst;
	conn_attach(&s->side[0].conn, fd);
	s->side[0].conn.no_linger = fe->opt & PX_OPT_NOLINGER;
	if (src->family != AF_UNSPEC)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (fe->opt & PX_OPT_CLITCPKA)
		setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	if (li->cfg->tls && conn_tls_accept(&s->side[0].conn, li->cfg->tls) < 0) {
		stream_end(s);
		return;
	}
	s->tls_client = li->cfg->tls != NULL;
	stream_first_state(s);
	if (s->st != STREAM_HELLO && s->is_http)
		side_recv(s, 0); /* often the request is there already */
	stream_process(s);
}

/* ---- states that are the same for all modes ---- */

static void stream_log_handshake(struct stream *s, const char *why)
{
	char a[ADDR_STRLEN];

	s->fe->c[PX_FE].ssl_failed++;
	if (s->fe_cfg->opt & PX_OPT_DONTLOGNULL)
		return;
	log_printf(s->l7->w, &s->fe_cfg->log, LOG_INFO, "%s %s: %s", addr_print(&s->src, a), s->fe->name, why);
}

static bool stream_step_hello(struct stream *s)
{
	struct conn *c = &s->side[0].conn;
	int rc = c->ops->handshake(c);

	if (rc == -EAGAIN)
		return false;
	if (rc < 0) {
		stream_log_handshake(s, c->hs_err ? c->hs_err : "SSL handshake failure");
		s->log.done = true;
		stream_end(s);
		return true;
	}
	s->fe->c[PX_FE].ssl_sess++;
	s->fe->c[PX_FE].ssl_reused += conn_tls_resumed(c);
	s->l7->ssl_total++;
	s->log.t_handshake = (int64_t)(stream_now(s) - s->log.accept_ms);
	s->session_due = true;
	stream_set_state(s, s->is_http ? STREAM_IDLE : STREAM_CONTENT);
	side_recv(s, 0);
	return true;
}

static bool stream_step_wait(struct stream *s)
{
	return false;
}

/* Everything for the client was sent before this state. */
static bool stream_step_linger(struct stream *s)
{
	struct side *c = &s->side[0];

	if (c->flags & (SIDE_EOF | SIDE_ERR)) {
		stream_end(s);
		return true;
	}
	c->fwd = c->sent = 0;
	if (c->rx.data)
		buf_reset(&c->rx);
	return false;
}

static bool stream_step_content(struct stream *s)
{
	return tcp_content(s);
}

static bool stream_step_xfer(struct stream *s)
{
	return s->is_http ? http_xfer(s) : tcp_xfer(s);
}

static bool (*const stream_step[STREAM_ST_COUNT])(struct stream *s) = {
	[STREAM_HELLO] = stream_step_hello,     [STREAM_CONTENT] = stream_step_content,
	[STREAM_IDLE] = http_idle,              [STREAM_HEAD] = http_head,
	[STREAM_QUEUE] = stream_step_wait,      [STREAM_CONNECT] = stream_step_wait,
	[STREAM_TURN] = stream_step_wait,       [STREAM_XFER] = stream_step_xfer,
	[STREAM_LINGER] = stream_step_linger,
};

/* Where in the course of things a client that goes away is noted to have gone. */
static char stream_phase(const struct stream *s)
{
	switch (s->st) {
	case STREAM_HEAD: case STREAM_CONTENT: case STREAM_IDLE: case STREAM_HELLO: return 'R';
	case STREAM_QUEUE: return 'Q';
	case STREAM_CONNECT: case STREAM_TURN: return 'C';
	default: break;
	}
	if (!s->txn)
		return 'D';
	return s->txn->res_st == RES_HEAD ? 'H' : s->txn->res_st == RES_DONE ? 'L' : 'D';
}

/* The client broke, or ended where that means that it gave up. */
static bool stream_client_gone(struct stream *s)
{
	const struct side *c = &s->side[0];
	bool waiting = s->st == STREAM_QUEUE || s->st == STREAM_CONNECT || s->st == STREAM_TURN;
	const struct px_cfg *be = s->be_cfg;

	if (c->flags & SIDE_ERR)
		return s->st != STREAM_LINGER;
	if (!(c->flags & SIDE_EOF) || !be || !(be->opt & PX_OPT_ABRTCLOSE))
		return false;
	return waiting || (s->st == STREAM_XFER && s->is_http && s->txn && s->txn->res_st == RES_HEAD);
}

static void stream_client_abort(struct stream *s)
{
	stream_term(s, 'C', stream_phase(s));
	s->fe->c[PX_FE].cli_aborts++;
	if (s->be)
		s->be->c[PX_BE].cli_aborts++;
	if (s->srv)
		s->srv->c.cli_aborts++;
	s->side[1].conn.no_linger = true;
	stream_end(s);
}

static bool stream_steps(struct stream *s)
{
	bool moved = false;

	for (;;) {
		if (s->st == STREAM_DEAD)
			return moved;
		if (stream_client_gone(s)) {
			stream_client_abort(s);
			return true;
		}
		if (s->session_due && !stream_session(s))
			return true;
		if (!stream_step[s->st](s))
			return moved;
		moved = true;
	}
}

/* Sends and reads once on each side where something is known to be possible. Only in XFER is the server's connection
 * that of this request: before, while it waits for a slot, it may be what the one before left. */
static bool stream_io(struct stream *s)
{
	bool moved = false;

	for (int d = 0; d < 2; d++) {
		struct side *sd = &s->side[d];

		if (conn_is_open(&sd->conn) && sd->conn.hs_done && !(sd->flags & SIDE_STALLED) &&
		    (d == 0 || s->st == STREAM_XFER))
			moved |= side_send(s, d);
	}
	for (int d = 0; d < 2; d++)
		if ((s->side[d].flags & SIDE_MORE) && side_room(s, d))
			moved |= side_recv(s, d);
	return moved;
}

void stream_process(struct stream *s)
{
	int round;

	if (s->in_process || s->st == STREAM_DEAD) {
		s->process_again = true;
		return;
	}
	s->in_process = true;
	for (round = 0; round < STREAM_ROUNDS; round++) {
		bool moved;

		s->process_again = false;
		stream_steps(s);
		if (s->st == STREAM_DEAD)
			break;
		moved = stream_io(s);
		if (!moved && !s->process_again)
			break;
	}
	s->in_process = false;
	if (s->st == STREAM_DEAD)
		return;
	auto_demote(s);
	if (s->leave)
		promoted_check(s);
	side_trim(s, 0);
	side_trim(s, 1);
	side_want(s);
	stream_timer_update(s);
	/* no event may follow: the buffers can be full of what has not been looked at or sent */
	if (round == STREAM_ROUNDS)
		task_queue(s->l7->w, &s->starter);
}

/* ---- ending ---- */

void stream_release_backend(struct stream *s)
{
	struct server *srv = s->srv;
	struct proxy *be = s->be;

	queue_del(s);
	list_del(&s->sus_node);
	backend_slot_free(s);
	if (s->be_slot) {
		s->be_slot = false;
		be->cur[PX_BE]--;
	}
	s->srv = NULL;
	s->be = NULL;
	s->be_cfg = NULL;
	server_put(srv);
	proxy_put(be);
}

void stream_txn_end(struct stream *s)
{
	stk_tracks_end_request(s->tracks);
	stick_end(s);
	if (s->txn)
		pool_free(s->l7->p_txn, s->txn);
	s->txn = NULL;
	arena_reset(&s->arena);
	memset(&s->ctx, 0, sizeof(s->ctx));
	s->rule_from = NULL;
	s->rule_phase = 0;
	s->rule_wait_ms = 0;
}

bool stream_set_epoch(struct stream *s)
{
	struct epoch *now = s->l7->w->epoch;
	struct px_cfg *fe;

	if (s->ep == now)
		return true;
	fe = px_cfg_find(now, PX_CAP_FE, s->fe->name);
	if (!fe || !fe->rt || fe->disabled || (fe->mode == PX_HTTP) != s->is_http || fe->caps != s->fe_cfg->caps)
		return false;
	if (fe->rt != s->fe) {
		s->fe->cur[PX_FE]--;
		fe->rt->cur[PX_FE]++;
		proxy_put(s->fe);
		s->fe = proxy_get(fe->rt);
	}
	s->fe_cfg = fe;
	epoch_put(s->ep);
	s->ep = epoch_get(now);
	return true;
}

void stream_end(struct stream *s)
{
	struct l7 *l7 = s->l7;

	if (s->st == STREAM_DEAD)
		return;
	/* where the end of the connection is the end of the body, a body that was cut must not end well */
	if (s->txn && s->txn->res_st == RES_BODY && s->txn->res_body.kind == H1_BODY_CLOSE && !s->detached)
		s->side[0].conn.no_linger = true;
	stream_log_write(s);
	stream_release_backend(s);
	if (s->pops)
		promoted_end(s);
	conn_close(&s->side[1].conn);
	conn_close(&s->side[0].conn);
	for (int d = 0; d < 2; d++) {
		struct side *sd = &s->side[d];

		splice_drop(s, d);
		pool_free(l7->p_buf, sd->rx.area);
		pool_free(l7->p_buf, sd->tx.area);
		sd->rx = sd->tx = (struct buf){ 0 };
		sd->fwd = sd->sent = sd->tx_sent = 0;
	}
	server_put(s->conn_srv);
	s->conn_srv = NULL;
	stream_txn_end(s);
	if (!s->detached) /* else they go on with the connection */
		stk_tracks_put(&s->tracks);
	stream_timer_stop(s);
	s->fe->cur[PX_FE]--;
	l7->nb_streams--;
	stream_set_state(s, STREAM_DEAD);
	listeners_resume(l7, s->fe);
	task_queue(l7->w, &s->reaper);
}

void stream_free_now(struct stream *s)
{
	struct epoch *ep = s->ep;
	struct l7 *l7 = s->l7;

	list_del(&s->node); /* until now: whoever walks the list may have ended it */
	task_cancel(&s->reaper);
	task_cancel(&s->starter);
	proxy_put(s->fe);
	pool_free(l7->p_stream, s);
	epoch_put(ep);
}
