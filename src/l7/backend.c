/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * backend.c - from a request to a connected server
 *
 *   choose    use_backend in order, else default_backend
 *   assign    the server that the request sticks to (stick.c), or one by balance; none free: the queue; none at
 *             all: 503
 *   connect   or the connection that this client used last, if it is to the same server
 *   failed    a suspicion first where the server is an endpoint; then retries, then 503
 *
 * Suspicion (doc/internals/l7.md): when a connection to an `app@` server fails or dies
 * before it answered, the instance may be dead though nobody has told yet. The
 * request waits in TURN, at most ENDPOINT_SUSPECT_MS, for the endpoint to change;
 * if it does the request goes to the new address and nothing is counted. A
 * server whose endpoint is down is no failure either: the request waits in the
 * queue until one is published or `timeout queue` passes.
 *
 * Retries. Without `option redispatch` the same server is tried again after a
 * second (or the connect timeout, if shorter); with it another one at once,
 * if there is another.
 */
#include <errno.h>
#include <sys/un.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/hash.h"
#include "l7/stream_priv.h"
#include "l7/tls.h"
#include "policy/sticktable.h"

#define BACKEND_TURN_MS 1000 /* before the same server is tried again */

/* ---- choosing ---- */

static struct px_cfg *use_be_eval(struct stream *s, const struct use_be *u)
{
	struct policy_ctx *ctx = stream_ctx(s);
	char name[256];
	struct buf b;

	if (cond_eval(u->cond, ctx) != COND_TRUE)
		return NULL;
	if (!u->lf)
		return u->be;
	buf_wrap(&b, name, sizeof(name) - 1);
	logformat_build(u->lf, ctx, &b);
	name[b.data] = '\0';
	return px_cfg_find(s->ep, PX_CAP_BE, name);
}

static void backend_enter(struct stream *s, struct px_cfg *be)
{
	uint64_t now = stream_now(s);
	struct px_counters *c = &be->rt->c[PX_BE];

	s->be_cfg = be;
	s->be = proxy_get(be->rt);
	s->be_slot = true;
	s->be->cur[PX_BE]++;
	s->be->max[PX_BE] = MAX(s->be->max[PX_BE], s->be->cur[PX_BE]);
	c->sess_tot++;
	freq_add(&c->sess_rate, now);
	c->sess_rate_max = MAX(c->sess_rate_max, freq_read(&c->sess_rate, now));
	s->conn_retries = (int)be->retries;
}

static void backend_none(struct stream *s)
{
	s->fe->c[PX_FE].err_con++;
	stream_term(s, 'S', 'C');
	if (s->is_http)
		reply_error(s, 503);
	else
		stream_end(s);
}

bool backend_choose(struct stream *s)
{
	struct px_cfg *be = NULL;
	const struct use_be *u;

	list_for_each(u, &s->fe_cfg->use_backends, node)
		if ((be = use_be_eval(s, u)))
			break;
	if (!be)
		be = s->fe_cfg->def_be;
	if (!be || !be->rt || be->disabled) {
		backend_none(s);
		return false;
	}
	backend_enter(s, be);
	return true;
}

/* ---- the slot on a server ---- */

static void backend_slot_take(struct stream *s, struct server *srv)
{
	BUG_ON(s->srv);
	s->srv = server_get(srv);
	s->srv_slot = true;
	srv->cur++;
	srv->max = MAX(srv->max, srv->cur);
	srv->c.lb_tot++;
	srv->c.last_sess_ms = stream_now(s);
	srv->c.sess_tot++;
	freq_add(&srv->c.sess_rate, stream_now(s));
	srv->c.sess_rate_max = MAX(srv->c.sess_rate_max, freq_read(&srv->c.sess_rate, stream_now(s)));
	s->be->c[PX_BE].lb_tot++;
	s->be->c[PX_BE].last_sess_ms = stream_now(s);
}

void backend_slot_free(struct stream *s)
{
	struct server *srv = s->srv;

	if (!srv || !s->srv_slot)
		return;
	s->srv_slot = false;
	srv->cur--;
	queue_run(srv->px);
}

static void backend_srv_drop(struct stream *s)
{
	struct server *srv = s->srv;

	backend_slot_free(s);
	s->srv = NULL;
	server_put(srv);
}

/* ---- connecting ---- */

static void backend_give_up(struct stream *s, char who, char when, int status)
{
	s->be->c[PX_BE].err_con++;
	if (s->srv)
		s->srv->c.err_con++;
	stream_term(s, who, when);
	if (s->is_http)
		reply_error(s, status);
	else
		stream_end(s);
}

static int backend_connect_unix(struct stream *s, const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	bool abns = path[0] == '@';
	size_t n = strlen(path + abns);

	if (n + abns >= sizeof(un.sun_path))
		return -ENAMETOOLONG;
	memcpy(un.sun_path + abns, path + abns, n);
	return conn_connect(&s->side[1].conn, (struct sockaddr *)&un,
			    offsetof(struct sockaddr_un, sun_path) + abns + n + !abns, NULL, false);
}

static int backend_connect_fd(struct stream *s)
{
	struct sockaddr_storage ss;
	struct addr to;
	socklen_t len;

	if (s->srv && s->srv->cfg->kind == SRV_ADDR_UNIX)
		return backend_connect_unix(s, s->srv->cfg->path);
	to = s->srv ? s->srv->addr : s->dst;
	if (s->srv)
		to.port = (uint16_t)server_port(s->srv, &s->dst);
	if (!to.port)
		return -EADDRNOTAVAIL;
	len = addr_to_sa(&to, &ss);
	return conn_connect(&s->side[1].conn, (struct sockaddr *)&ss, len, NULL, false);
}

static void backend_connect(struct stream *s)
{
	struct conn *c = &s->side[1].conn;
	int rc, one = 1;

	stream_set_state(s, STREAM_CONNECT);
	s->side[1].flags = 0;
	s->side[1].err = 0;
	if (s->srv) {
		s->conn_gen = s->srv->generation;
		s->conn_addr = s->srv->addr;
		s->srv->c.connects++;
	}
	s->be->c[PX_BE].connects++;
	rc = backend_connect_fd(s);
	if (rc < 0) {
		backend_conn_failed(s, rc);
		return;
	}
	c->no_linger = s->be_cfg->opt & PX_OPT_NOLINGER;
	if (s->be_cfg->opt & PX_OPT_SRVTCPKA)
		setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
	server_put(s->conn_srv);
	s->conn_srv = s->srv ? server_get(s->srv) : NULL;
	s->was_reused = false;
	s->wait_ms = s->be_cfg->to_connect;
}

/* The SNI expression may look at the request: its head lies, edited, in side[1].tx, whole while no answer came. */
static const char *backend_sni(struct stream *s)
{
	const struct srv_cfg *cfg = s->srv->cfg;
	struct policy_ctx *ctx;
	struct sample smp;
	struct smp_iter it = { 0 };
	char *name = NULL;
	struct str text;

	if (!cfg->sni)
		return NULL;
	http_reparse_sent(s);
	ctx = stream_ctx(s);
	if (sample_eval(cfg->sni, ctx, &it, &smp) == SMP_FOUND && sample_to_str(&smp, ctx, &text))
		name = arena_strdup(&s->arena, text);
	if (s->txn)
		s->txn->req.nb_hdr = 0; /* views into what will be gone */
	return name;
}

static uint64_t backend_sni_hash(const struct stream *s, const char *sni)
{
	return sni ? hash_bytes(&s->l7->w->hash_key, sni, strlen(sni)) | 1 : 0;
}

static int backend_start_tls(struct stream *s)
{
	const struct srv_cfg *cfg = s->srv ? s->srv->cfg : NULL;
	const char *sni;

	if (s->srv && !cfg)
		return -ECONNABORTED; /* a reload took it away meanwhile, and with it whether this must be TLS */
	if (!cfg || !cfg->tls)
		return 0;
	sni = backend_sni(s);
	s->conn_sni = backend_sni_hash(s, sni);
	s->conn_epoch = s->l7->w->epoch->id;
	return conn_tls_connect(&s->side[1].conn, cfg->tls, sni, cfg->verifyhost ? cfg->verifyhost : sni);
}

/* Connected, perhaps with TLS: bytes may pass. */
void backend_connected(struct stream *s)
{
	struct side *sd = &s->side[1];
	uint64_t now = stream_now(s);

	if (s->log.t_connect < 0)
		s->log.t_connect = (int64_t)(now - s->log.accept_ms);
	stream_set_state(s, STREAM_XFER);
	sd->read_ms = sd->write_ms = now;
	sd->flags &= ~SIDE_STALLED;
	s->hold_fin = s->fin_judged = false;
}

static void backend_handshake(struct stream *s)
{
	struct conn *c = &s->side[1].conn;
	int rc = c->ops->handshake(c);

	if (rc == -EAGAIN)
		return;
	if (rc == 0)
		backend_connected(s);
	else
		backend_conn_failed(s, rc);
}

void backend_pseudo_tls(struct stream *s)
{
	int rc = backend_start_tls(s);

	if (rc < 0)
		backend_conn_failed(s, rc);
	else
		backend_handshake(s);
}

/* Something happened on a connecting descriptor. */
void backend_conn_io(struct stream *s, int revents)
{
	struct conn *c = &s->side[1].conn;
	int rc;

	if (!c->hs_done) {
		backend_handshake(s);
		return;
	}
	rc = conn_sock_error(c);
	if (rc < 0) {
		backend_conn_failed(s, rc);
		return;
	}
	rc = backend_start_tls(s);
	if (rc < 0)
		backend_conn_failed(s, rc);
	else if (c->hs_done)
		backend_connected(s);
	else
		backend_handshake(s);
}

/* ---- assigning ---- */

/* Is the open connection what a new one would be? To the same address, and with TLS by the same settings for the
 * same name: what was verified for one name is nothing for another. */
static bool backend_same(struct stream *s)
{
	struct server *srv = s->srv;

	if (s->conn_srv != srv)
		return false;
	if (!srv)
		return true;
	if (srv->generation != s->conn_gen || !addr_eq(&srv->addr, &s->conn_addr))
		return false;
	if (!srv->cfg->tls != !s->side[1].conn.ssl)
		return false;
	return !srv->cfg->tls || (s->conn_epoch == s->l7->w->epoch->id && backend_sni_hash(s, backend_sni(s)) == s->conn_sni);
}

/* The connection that this client's last request used. */
static bool backend_reuse(struct stream *s)
{
	struct side *sd = &s->side[1];

	if (!conn_is_open(&sd->conn))
		return false;
	if (!backend_same(s) || (sd->flags & (SIDE_EOF | SIDE_ERR | SIDE_SHUT)) || sd->rx.data) {
		side_close_server(s, false);
		return false;
	}
	if (s->srv)
		s->srv->c.reuses++;
	s->be->c[PX_BE].reuses++;
	backend_connected(s);
	s->was_reused = true;
	return true;
}

/* Is there a server that could come back by being published? */
static bool backend_may_come(const struct proxy *px)
{
	struct server *srv;

	list_for_each(srv, &px->servers, node)
		if (srv->ep && srv->ep->state == ENDPOINT_DOWN && !(srv->admin & SRV_ADM_MAINT))
			return true;
	return false;
}

static void backend_wait(struct stream *s)
{
	const struct px_cfg *be = s->be_cfg;

	if (s->st != STREAM_QUEUE) {
		stream_set_state(s, STREAM_QUEUE);
		s->wait_ms = be->to_queue ? be->to_queue : be->to_connect;
	}
	queue_add(s->be, s, stick_server(s));
}

/* To the server pseudo socket, or to where the client wanted to go. */
static void backend_transparent(struct stream *s)
{
	if (s->log.t_queue < 0)
		s->log.t_queue = (int64_t)(stream_now(s) - s->log.accept_ms);
	if (promoted_server_is_pseudo(s)) {
		if (promoted_take_server(s))
			return;
	} else if (conn_is_open(&s->side[1].conn) && backend_reuse(s)) {
		return;
	}
	backend_connect(s);
}

static void backend_to(struct stream *s, struct server *srv)
{
	backend_slot_take(s, srv);
	if (s->log.t_queue < 0)
		s->log.t_queue = (int64_t)(stream_now(s) - s->log.accept_ms);
	if (srv->cfg->kind == SRV_ADDR_PROMOTED) {
		backend_transparent(s);
		return;
	}
	promoted_server_unused(s);
	if (!backend_reuse(s))
		backend_connect(s);
}

static struct server *backend_pick(struct stream *s, const struct server *avoid, bool *full)
{
	struct server *last = s->conn_srv, *sticks = stick_server(s);

	if (sticks && sticks != avoid) {
		*full = sticks->cfg->maxconn && sticks->cur >= sticks->cfg->maxconn;
		return *full ? NULL : sticks;
	}
	if ((s->be_cfg->opt & PX_OPT_PREFLAST) && last && last->px == s->be && server_usable(last) &&
	    (!last->cfg->maxconn || last->cur < last->cfg->maxconn) && conn_is_open(&s->side[1].conn))
		return last;
	return balance_pick(s->be, &s->src, avoid, full);
}

/* <avoid>: the one that just failed; taken only when there is no other. */
static void backend_assign_but(struct stream *s, const struct server *avoid)
{
	struct server *srv;
	bool full = false;

	queue_del(s);
	if (!s->be->nb_servers && (s->be_cfg->opt & PX_OPT_TRANSPARENT)) {
		backend_transparent(s);
		return;
	}
	srv = backend_pick(s, avoid, &full);
	if (srv) {
		backend_to(s, srv);
		return;
	}
	if (full || backend_may_come(s->be)) {
		backend_wait(s);
		return;
	}
	backend_give_up(s, 'S', 'C', 503);
}

void backend_assign(struct stream *s)
{
	backend_assign_but(s, NULL);
}

void backend_queue_timeout(struct stream *s)
{
	queue_del(s);
	s->log.t_queue = (int64_t)(stream_now(s) - s->log.accept_ms);
	backend_give_up(s, 's', 'Q', 503);
}

/* ---- failing ---- */

/* Another attempt, at no cost: the endpoint moved. */
static void backend_again(struct stream *s)
{
	s->suspected = false;
	s->be->c[PX_BE].suspects++;
	if (s->srv)
		s->srv->c.suspects++;
	backend_srv_drop(s);
	side_rewind(s);
	backend_assign(s);
}

static void backend_hopeless(struct stream *s)
{
	if (s->failure == FAIL_EMPTY) {
		s->be->c[PX_BE].err_res++;
		if (s->srv)
			s->srv->c.err_res++;
		stk_tracks_event(s->tracks, STK_EV_FAILURE);
		stream_term(s, 'S', 'H');
		reply_error(s, 502);
		return;
	}
	backend_give_up(s, s->fail_err == -ETIMEDOUT ? 's' : 'S', 'C', 503);
}

/* Is there another server for a redispatch? */
static bool backend_others(const struct stream *s)
{
	struct server *srv;

	list_for_each(srv, &s->be->servers, node)
		if (srv != s->srv && server_usable(srv))
			return true;
	return false;
}

static bool backend_redispatch_due(const struct stream *s)
{
	const struct px_cfg *be = s->be_cfg;

	if (!(be->opt & PX_OPT_REDISPATCH) || !backend_others(s))
		return false;
	/* it only ended a connection that rested: no reason to send a client elsewhere */
	if (s->failure == FAIL_EMPTY && s->was_reused && stick_server(s))
		return false;
	return !be->redispatch_every || s->log.retries % be->redispatch_every == 0 || s->conn_retries == 0;
}

/* The failure stands: it costs a retry, when there is one. */
static void backend_failure(struct stream *s)
{
	struct server *srv = s->srv, *avoid = NULL;
	unsigned what = s->failure == FAIL_EMPTY ? RETRY_EMPTY : RETRY_CONN_FAILURE;

	s->suspected = false;
	if (s->conn_retries <= 0 || (s->is_http && !http_retry_ok(s, what))) {
		backend_hopeless(s);
		return;
	}
	s->conn_retries--;
	s->log.retries++;
	s->be->c[PX_BE].retries++;
	if (srv)
		srv->c.retries++;
	side_rewind(s);
	if (backend_redispatch_due(s)) {
		s->log.redispatched = true;
		s->be->c[PX_BE].redispatches++;
		srv->c.redispatches++;
		avoid = server_get(srv);
		stick_forget(s);
		backend_srv_drop(s);
		backend_assign_but(s, avoid);
		server_put(avoid);
		return;
	}
	if (s->failure == FAIL_EMPTY) {
		backend_srv_drop(s);
		backend_assign(s);
		return;
	}
	stream_set_state(s, STREAM_TURN);
	s->wait_ms = s->be_cfg->to_connect ? MIN(s->be_cfg->to_connect, (unsigned)BACKEND_TURN_MS) : BACKEND_TURN_MS;
}

/* There is no second server. A server may end a connection that rests just when a request comes: then the client
 * finds it ended, as it would have without us, and asks again. */
static void backend_pseudo_failed(struct stream *s, int failure)
{
	if (failure != FAIL_EMPTY || !s->was_reused) {
		backend_hopeless(s);
		return;
	}
	stream_term(s, 'S', 'H');
	stream_end(s);
}

/* A connection could not be made, or died before it answered. */
static void backend_failed(struct stream *s, int failure, int err)
{
	struct server *srv = s->srv;
	bool pseudo = s->side[1].flags & SIDE_PSEUDO;

	s->failure = failure;
	s->fail_err = err;
	side_close_server(s, true);
	if (pseudo) {
		backend_pseudo_failed(s, failure);
		return;
	}
	if (!srv || !srv->ep || (s->is_http && !s->txn->replayable)) {
		backend_failure(s);
		return;
	}
	if (srv->generation != s->conn_gen) {
		backend_again(s);
		return;
	}
	stream_set_state(s, STREAM_TURN);
	s->suspected = true;
	s->wait_ms = ENDPOINT_SUSPECT_MS;
	list_del(&s->sus_node);
	list_add_tail(&srv->suspects, &s->sus_node);
}

void backend_conn_failed(struct stream *s, int err)
{
	backend_failed(s, FAIL_CONNECT, err);
}

void backend_empty(struct stream *s, int err)
{
	backend_failed(s, FAIL_EMPTY, err);
}

/* The wait in TURN is over. */
void backend_turn_end(struct stream *s)
{
	if (s->suspected) {
		list_del(&s->sus_node);
		backend_failure(s);
		return;
	}
	if (!s->srv || server_accepts(s->srv)) {
		backend_connect(s);
		return;
	}
	backend_srv_drop(s);
	backend_assign(s);
}

/* The endpoint of <srv> changed, or the server is gone: who waited for that goes on. */
void backend_suspects_wake(struct server *srv)
{
	struct list all;

	list_init(&all);
	list_splice_tail(&all, &srv->suspects);
	while (!list_empty(&all)) {
		struct stream *s = list_first(&all, struct stream, sus_node);

		list_del(&s->sus_node);
		if (s->st == STREAM_TURN && s->suspected) {
			backend_again(s);
		} else if (s->hold_fin) {
			s->fin_judged = true;
			s->wait_ms = 0;
		}
		stream_process(s);
	}
}
