/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log.c - what a stream tells policy (samples) and the log (fields)
 *
 * One line a request in mode http, one a connection in mode tcp, when all was
 * sent. Fields and their meanings are HAProxy's (its manual, 8.2.4); what does
 * not exist here (captures, cookies) has the value HAProxy gives when there is
 * none. Times count from the accept, or from the end of the request before.
 */
#include <ctype.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "core/clock.h"
#include "l7/stream_priv.h"
#include "l7/tls.h"
#include "policy/sticktable.h"

/* ---- the context for rules ---- */

struct policy_ctx *stream_ctx(struct stream *s)
{
	struct policy_ctx *ctx = &s->ctx;
	struct side *c = &s->side[0], *srv = &s->side[1];
	struct txn *t = s->txn;

	*ctx = (struct policy_ctx){
		.w = s->l7->w, .ep = s->ep, .src = &s->src, .dst = &s->dst, .in_if = s->in_if[0] ? s->in_if : NULL,
		.fe_name = s->fe->name, .be_name = s->be ? s->be->name : NULL, .srv_name = s->srv ? s->srv->name : NULL,
		.tmp = &s->arena, .owner = s, .lf = &l7_lf_source, .tracks = s->l7->w->tables ? &s->tracks : NULL,
	};
	ctx->ssl_fc = s->tls_client;
	if (s->tls_client)
		ctx->ssl_sni = conn_tls_sni(&c->conn);
	if (c->rx.area)
		ctx->req_payload = buf_str(&c->rx);
	if (srv->rx.area)
		ctx->res_payload = buf_str(&srv->rx);
	ctx->req_final = s->st != STREAM_CONTENT || s->rule_wait_ms == 1;
	ctx->res_final = true;
	if (!t)
		return ctx;
	if (t->req.nb_hdr || s->st == STREAM_HEAD)
		ctx->req = t->parsed ? &t->req : NULL;
	if (t->parsed) {
		ctx->sent.known = true;
		ctx->sent.meth = t->meth;
		ctx->sent.minor = t->minor;
	}
	if (t->res.status >= 200 || t->res.status == 101)
		ctx->res = &t->res;
	return ctx;
}

/* ---- fields ---- */

static const struct tm *log_tm(uint64_t wall_ms, bool utc, struct tm *tm)
{
	time_t sec = (time_t)(wall_ms / 1000);

	return utc ? gmtime_r(&sec, tm) : localtime_r(&sec, tm);
}

static void log_date(struct buf *out, uint64_t wall_ms, const char *fmt, bool utc, bool ms)
{
	char text[64];
	struct tm tm;
	size_t n = strftime(text, sizeof(text), fmt, log_tm(wall_ms, utc, &tm));

	buf_put(out, text, n);
	if (ms)
		buf_printf(out, ".%03u", (unsigned)(wall_ms % 1000));
}

static uint64_t log_request_wall(const struct stream *s)
{
	const struct stream_log *l = &s->log;

	return l->accept_wall_ms + (uint64_t)(l->t_handshake + (l->t_idle > 0 ? l->t_idle : 0));
}

static void log_int(struct buf *out, int64_t v)
{
	buf_printf(out, "%lld", (long long)v);
}

static void log_addr(struct buf *out, const struct addr *a)
{
	char text[ADDR_STRLEN];

	if (a->family == AF_UNSPEC)
		buf_putstr(out, STR("unix"));
	else
		buf_putstr(out, str_c(addr_print_ip(a, text)));
}

static struct addr log_sock(const struct stream *s, int d, bool peer)
{
	struct addr a = { 0 };
	int fd = s->side[d].conn.fd;

	if (fd < 0 || (peer ? net_get_src(fd, &a) : net_get_dst(fd, &a)) < 0)
		a = (struct addr){ 0 };
	return a;
}

static int64_t since(int64_t t, int64_t from)
{
	return t < 0 || from < 0 ? -1 : t - from;
}

static int64_t log_active(const struct stream *s)
{
	const struct stream_log *l = &s->log;

	return l->t_close - l->t_handshake - (l->t_idle > 0 ? l->t_idle : 0);
}

enum lf_tag {
	LF_B, LF_CC, LF_CS, LF_H, LF_HM, LF_HP, LF_HPO, LF_HQ, LF_HU, LF_HV, LF_ID, LF_ST, LF_T, LF_Ta, LF_Tc, LF_Td,
	LF_Th, LF_Ti, LF_Tl, LF_Tq, LF_TR, LF_Tr, LF_Ts, LF_Tt, LF_Tu, LF_Tw, LF_U, LF_ac, LF_b, LF_bc, LF_bi, LF_bp,
	LF_bq, LF_ci, LF_cp, LF_f, LF_fc, LF_fi, LF_fp, LF_ft, LF_hr, LF_hrl, LF_hs, LF_hsl, LF_lc, LF_ms, LF_o, LF_pid,
	LF_r, LF_rc, LF_rt, LF_s, LF_sc, LF_si, LF_sp, LF_sq, LF_sslc, LF_sslv, LF_t, LF_tr, LF_trg, LF_trl, LF_ts,
	LF_tsc, LF_COUNT
};

/* "o" only carries flags (%{+Q}o) and writes nothing. */
static const char *const lf_names[] = {
	[LF_B] = "B", [LF_CC] = "CC", [LF_CS] = "CS", [LF_H] = "H", [LF_HM] = "HM", [LF_HP] = "HP", [LF_HPO] = "HPO",
	[LF_HQ] = "HQ", [LF_HU] = "HU", [LF_HV] = "HV", [LF_ID] = "ID", [LF_ST] = "ST", [LF_T] = "T", [LF_Ta] = "Ta",
	[LF_Tc] = "Tc", [LF_Td] = "Td", [LF_Th] = "Th", [LF_Ti] = "Ti", [LF_Tl] = "Tl", [LF_Tq] = "Tq", [LF_TR] = "TR",
	[LF_Tr] = "Tr", [LF_Ts] = "Ts", [LF_Tt] = "Tt", [LF_Tu] = "Tu", [LF_Tw] = "Tw", [LF_U] = "U", [LF_ac] = "ac",
	[LF_b] = "b", [LF_bc] = "bc", [LF_bi] = "bi", [LF_bp] = "bp", [LF_bq] = "bq", [LF_ci] = "ci", [LF_cp] = "cp",
	[LF_f] = "f", [LF_fc] = "fc", [LF_fi] = "fi", [LF_fp] = "fp", [LF_ft] = "ft", [LF_hr] = "hr", [LF_hrl] = "hrl",
	[LF_hs] = "hs", [LF_hsl] = "hsl", [LF_lc] = "lc", [LF_ms] = "ms", [LF_o] = "o", [LF_pid] = "pid", [LF_r] = "r",
	[LF_rc] = "rc", [LF_rt] = "rt", [LF_s] = "s", [LF_sc] = "sc", [LF_si] = "si", [LF_sp] = "sp", [LF_sq] = "sq",
	[LF_sslc] = "sslc", [LF_sslv] = "sslv", [LF_t] = "t", [LF_tr] = "tr", [LF_trg] = "trg", [LF_trl] = "trl",
	[LF_ts] = "ts", [LF_tsc] = "tsc", [LF_COUNT] = NULL,
};

static void lf_times(const struct stream *s, enum lf_tag tag, struct buf *out)
{
	const struct stream_log *l = &s->log;
	uint64_t wall = l->accept_wall_ms, req = log_request_wall(s);
	int64_t start = l->t_request < 0 ? -1 : l->t_handshake + (l->t_idle > 0 ? l->t_idle : 0);

	switch (tag) {
	case LF_t: log_date(out, wall, "%d/%b/%Y:%H:%M:%S", false, true); break;
	case LF_tr: log_date(out, req, "%d/%b/%Y:%H:%M:%S", false, true); break;
	case LF_T: log_date(out, wall, "%d/%b/%Y:%H:%M:%S +0000", true, false); break;
	case LF_trg: log_date(out, req, "%d/%b/%Y:%H:%M:%S +0000", true, false); break;
	case LF_Tl: log_date(out, wall, "%d/%b/%Y:%H:%M:%S %z", false, false); break;
	case LF_trl: log_date(out, req, "%d/%b/%Y:%H:%M:%S %z", false, false); break;
	case LF_Ts: log_int(out, (int64_t)(wall / 1000)); break;
	case LF_ms: buf_printf(out, "%03u", (unsigned)(wall % 1000)); break;
	case LF_Th: log_int(out, l->t_handshake); break;
	case LF_Ti: log_int(out, l->t_idle); break;
	case LF_TR: log_int(out, since(l->t_request, start)); break;
	case LF_Tq: log_int(out, l->t_request); break;
	case LF_Tw: log_int(out, since(l->t_queue, l->t_request)); break;
	case LF_Tc: log_int(out, since(l->t_connect, l->t_queue)); break;
	case LF_Tr: log_int(out, since(l->t_data, l->t_connect)); break;
	case LF_Td: log_int(out, since(l->t_close, l->t_data)); break;
	case LF_Ta: log_int(out, log_active(s)); break;
	case LF_Tt: log_int(out, l->t_close); break;
	case LF_Tu: log_int(out, l->t_close - (l->t_idle > 0 ? l->t_idle : 0)); break;
	default: break;
	}
}

static void lf_name(const struct stream *s, enum lf_tag tag, struct buf *out)
{
	switch (tag) {
	case LF_f: buf_putstr(out, str_c(s->fe->name)); break;
	case LF_ft: buf_printf(out, "%s%s", s->fe->name, s->tls_client ? "~" : ""); break;
	case LF_b: buf_putstr(out, str_c(s->be ? s->be->name : s->fe->name)); break;
	case LF_s: buf_putstr(out, s->srv ? str_c(s->srv->name) : STR("<NOSRV>")); break;
	default: break;
	}
}

static void lf_addrs(const struct stream *s, enum lf_tag tag, struct buf *out)
{
	struct addr a;

	switch (tag) {
	case LF_ci: log_addr(out, &s->src); return;
	case LF_cp: log_int(out, s->src.port); return;
	case LF_fi: log_addr(out, &s->dst); return;
	case LF_fp: log_int(out, s->dst.port); return;
	case LF_bi: case LF_bp: a = log_sock(s, 1, false); break;
	default: a = log_sock(s, 1, true); break;
	}
	if (tag == LF_bp || tag == LF_sp)
		log_int(out, a.port);
	else if (a.family == AF_UNSPEC)
		buf_putstr(out, STR("-"));
	else
		log_addr(out, &a);
}

static void lf_counts(const struct stream *s, enum lf_tag tag, struct buf *out)
{
	const struct stream_log *l = &s->log;

	switch (tag) {
	case LF_ac: log_int(out, s->l7->nb_streams); break;
	case LF_fc: log_int(out, s->fe->cur[PX_FE]); break;
	case LF_bc: log_int(out, s->log_bc); break;
	case LF_sc: log_int(out, s->log_sc); break;
	case LF_rc: buf_printf(out, "%s%u", l->redispatched ? "+" : "", l->retries); break;
	case LF_sq: log_int(out, l->srv_queue_pos); break;
	case LF_bq: log_int(out, l->be_queue_pos); break;
	case LF_B: log_int(out, (int64_t)l->bytes_out); break;
	case LF_U: log_int(out, (int64_t)l->bytes_in); break;
	case LF_ST: log_int(out, s->txn ? s->txn->status : -1); break;
	case LF_ts: buf_put(out, l->term, 2); break;
	case LF_tsc: buf_printf(out, "%c%c--", l->term[0], l->term[1]); break;
	case LF_pid: log_int(out, getpid()); break;
	case LF_rt: case LF_lc: log_int(out, (int64_t)s->id); break;
	default: break;
	}
}

/* What stands in a line must not end it or hide something: control characters are shown as #hex. */
static void log_escaped(struct buf *out, struct str v)
{
	for (size_t i = 0; i < v.n; i++) {
		unsigned char c = (unsigned char)v.p[i];

		if (c < 0x20 || c >= 0x7f || c == '"' || c == '#')
			buf_printf(out, "#%02X", c);
		else
			buf_put(out, &v.p[i], 1);
	}
}

static void lf_request(const struct stream *s, enum lf_tag tag, struct buf *out)
{
	const struct txn *t = s->txn;
	struct str uri = t ? t->uri : STR_NULL, path, query;
	bool known = t && t->line.p;

	if (!known) {
		buf_putstr(out, STR("<BADREQ>"));
		return;
	}
	path = str_cut(&uri, '?');
	query = uri;
	switch (tag) {
	case LF_r: log_escaped(out, t->line); break;
	case LF_HM: log_escaped(out, t->method); break;
	case LF_HU: log_escaped(out, t->uri); break;
	case LF_HP: case LF_HPO: log_escaped(out, path); break;
	case LF_HQ:
		if (query.p) {
			buf_putstr(out, STR("?"));
			log_escaped(out, query);
		}
		break;
	case LF_HV: buf_printf(out, "HTTP/1.%u", t->minor); break;
	default: break;
	}
}

static void lf_other(const struct stream *s, enum lf_tag tag, struct buf *out)
{
	char host[65] = "";

	switch (tag) {
	case LF_H:
		gethostname(host, sizeof(host) - 1);
		buf_putstr(out, str_c(host));
		break;
	case LF_sslc: buf_putstr(out, str_c(s->tls_client ? conn_tls_cipher(&s->side[0].conn) : "-")); break;
	case LF_sslv: buf_putstr(out, str_c(s->tls_client ? conn_tls_version(&s->side[0].conn) : "-")); break;
	case LF_CC: case LF_CS: buf_putstr(out, STR("-")); break;
	case LF_ID: buf_putstr(out, STR("-")); break;
	default: break; /* captures: none */
	}
}

static bool l7_lf_tag(struct policy_ctx *ctx, const char *name, struct buf *out)
{
	static void (*const group[LF_COUNT])(const struct stream *, enum lf_tag, struct buf *) = {
		[LF_t] = lf_times, [LF_tr] = lf_times, [LF_T] = lf_times, [LF_trg] = lf_times, [LF_Tl] = lf_times,
		[LF_trl] = lf_times, [LF_Ts] = lf_times, [LF_ms] = lf_times, [LF_Th] = lf_times, [LF_Ti] = lf_times,
		[LF_TR] = lf_times, [LF_Tq] = lf_times, [LF_Tw] = lf_times, [LF_Tc] = lf_times, [LF_Tr] = lf_times,
		[LF_Td] = lf_times, [LF_Ta] = lf_times, [LF_Tt] = lf_times, [LF_Tu] = lf_times,
		[LF_f] = lf_name, [LF_ft] = lf_name, [LF_b] = lf_name, [LF_s] = lf_name,
		[LF_ci] = lf_addrs, [LF_cp] = lf_addrs, [LF_fi] = lf_addrs, [LF_fp] = lf_addrs, [LF_bi] = lf_addrs,
		[LF_bp] = lf_addrs, [LF_si] = lf_addrs, [LF_sp] = lf_addrs,
		[LF_r] = lf_request, [LF_HM] = lf_request, [LF_HU] = lf_request, [LF_HP] = lf_request,
		[LF_HPO] = lf_request, [LF_HQ] = lf_request, [LF_HV] = lf_request,
		[LF_H] = lf_other, [LF_sslc] = lf_other, [LF_sslv] = lf_other, [LF_CC] = lf_other, [LF_CS] = lf_other,
		[LF_ID] = lf_other, [LF_hr] = lf_other, [LF_hrl] = lf_other, [LF_hs] = lf_other, [LF_hsl] = lf_other,
		[LF_o] = lf_other,
	};
	const struct stream *s = ctx->owner;

	for (int i = 0; s && i < LF_COUNT; i++) {
		if (strcmp(lf_names[i], name) != 0)
			continue;
		(group[i] ? group[i] : lf_counts)(s, (enum lf_tag)i, out);
		return true;
	}
	return false;
}

const struct lf_source l7_lf_source = { .tag = l7_lf_tag, .names = lf_names };

/* ---- the line ---- */

static bool log_wanted(const struct stream *s)
{
	const struct px_cfg *fe = s->fe_cfg;
	const struct stream_log *l = &s->log;
	bool error = l->term[0] != TERM_NONE && l->term[0] != 'L';

	if (!fe->lf || (list_empty(&fe->log.targets) && !fe->log.global))
		return false;
	if ((fe->opt & PX_OPT_DONTLOGNULL) && !l->bytes_in && (!s->txn || !s->txn->parsed) &&
	    !s->side[0].rx.data && (l->term[0] == 'C' || l->term[0] == 'c' || !error))
		return false;
	if ((fe->opt & PX_OPT_DONTLOGNORMAL) && !error && !l->retries && !l->redispatched)
		return false;
	return true;
}

static int log_level(const struct stream *s)
{
	bool error = s->log.term[0] != TERM_NONE && s->log.term[0] != 'L';

	return error && (s->fe_cfg->opt & PX_OPT_LOGSEPERR) ? LOG_ERR : LOG_INFO;
}

static void log_count_bytes(struct stream *s)
{
	uint64_t in = s->log.bytes_in, out = s->log.bytes_out;

	stk_tracks_bytes(s->tracks, in, out, s->flow_tracks);
	s->fe->c[PX_FE].bytes_in += in;
	s->fe->c[PX_FE].bytes_out += out;
	if (s->be) {
		s->be->c[PX_BE].bytes_in += in;
		s->be->c[PX_BE].bytes_out += out;
	}
	if (s->srv) {
		s->srv->c.bytes_in += in;
		s->srv->c.bytes_out += out;
	}
}

/* The averages of show stat. */
static void log_count_times(struct stream *s)
{
	const struct stream_log *l = &s->log;
	struct px_counters *b = &s->be->c[PX_BE], *v = s->srv ? &s->srv->c : NULL;
	unsigned q, c, d, t = (unsigned)l->t_close;

	if (l->t_queue < 0 || l->t_connect < 0 || l->t_data < 0)
		return;
	q = (unsigned)(l->t_queue - l->t_request);
	c = (unsigned)(l->t_connect - l->t_queue);
	d = (unsigned)(l->t_data - l->t_connect);
	for (int i = 0; i < 2; i++, b = v) {
		if (!b)
			break;
		swavg_add(&b->q_time, q);
		swavg_add(&b->c_time, c);
		swavg_add(&b->d_time, d);
		swavg_add(&b->t_time, t);
		b->q_max = MAX(b->q_max, q);
		b->c_max = MAX(b->c_max, c);
		b->d_max = MAX(b->d_max, d);
		b->t_max = MAX(b->t_max, t);
	}
}

void stream_log_write(struct stream *s)
{
	struct buf *b = &s->l7->scratch;

	if (s->log.done)
		return;
	s->log.done = true;
	s->log.t_close = (int64_t)(stream_now(s) - s->log.accept_ms);
	log_count_bytes(s);
	if (s->be)
		log_count_times(s);
	if (!log_wanted(s))
		return;
	/* as after its end: HAProxy counts what is left */
	s->log_bc = s->be ? s->be->cur[PX_BE] - s->be_slot : 0;
	s->log_sc = s->srv ? s->srv->cur - s->srv_slot : 0;
	buf_reset(b);
	logformat_build(s->fe_cfg->lf, stream_ctx(s), b);
	log_send(s->l7->w, &s->fe_cfg->log, log_level(s), buf_str(b));
}
