/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stats.c - what `show stat` and `show sess` tell, as values
 *
 * A position is the number of the row. Rows are: for each proxy its frontend, its
 * servers, its backend - the order of HAProxy's listing.
 */
#include "l7/stats.h"

#include <stdio.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/cli.h"
#include "core/log.h"
#include "l7/stream_priv.h"

const char *const stat_col_name[STAT_COL_COUNT] = {
#define STAT_COL(name) [STAT_##name] = #name,
#include "l7/stats_cols.h"
#undef STAT_COL
};

#define NUM(col, value)  (row->v[STAT_##col] = (struct stat_value){ .type = STAT_NUM, .num = (value) })
#define TEXT(col, value) stat_text(&row->v[STAT_##col], value)

static void stat_text(struct stat_value *v, const char *text)
{
	if (text)
		*v = (struct stat_value){ .type = STAT_TEXT, .text = text };
}

/* What every kind of row has. */
static void stat_common(struct stat_row *row, const struct proxy *px, const char *name, const struct px_counters *c,
			unsigned cur, unsigned max)
{
	uint64_t now = clock_ms(px->l7->w);

	TEXT(pxname, px->name);
	TEXT(svname, name);
	NUM(scur, cur);
	NUM(smax, max);
	NUM(stot, c->sess_tot);
	NUM(bin, c->bytes_in);
	NUM(bout, c->bytes_out);
	NUM(pid, 1);
	NUM(iid, px->id);
	NUM(type, row->kind);
	NUM(rate, freq_read(&c->sess_rate, now));
	NUM(rate_max, c->sess_rate_max);
	NUM(eint, c->int_errors);
	NUM(wrew, c->rewrites_failed);
	TEXT(mode, px_mode_name[px->cfg->mode]);
	row->iid = px->id;
	if (px->cfg->mode != PX_HTTP)
		return;
	NUM(hrsp_1xx, c->hrsp[0]);
	NUM(hrsp_2xx, c->hrsp[1]);
	NUM(hrsp_3xx, c->hrsp[2]);
	NUM(hrsp_4xx, c->hrsp[3]);
	NUM(hrsp_5xx, c->hrsp[4]);
	NUM(hrsp_other, c->hrsp[5]);
}

/* Times and failures of those who connect somewhere. */
static void stat_back(struct stat_row *row, const struct px_counters *c, uint64_t now)
{
	NUM(econ, c->err_con);
	NUM(eresp, c->err_res);
	NUM(wretr, c->retries);
	NUM(wredis, c->redispatches);
	NUM(lbtot, c->lb_tot);
	NUM(cli_abrt, c->cli_aborts);
	NUM(srv_abrt, c->srv_aborts);
	NUM(connect, c->connects);
	NUM(reuse, c->reuses);
	NUM(qtime, swavg_read(&c->q_time));
	NUM(ctime, swavg_read(&c->c_time));
	NUM(rtime, swavg_read(&c->d_time));
	NUM(ttime, swavg_read(&c->t_time));
	NUM(qtime_max, c->q_max);
	NUM(ctime_max, c->c_max);
	NUM(rtime_max, c->d_max);
	NUM(ttime_max, c->t_max);
	NUM(dresp, c->denied_res);
	NUM(lastsess, c->last_sess_ms ? (now - c->last_sess_ms) / 1000 : (uint64_t)-1);
}

static void stat_frontend(struct stat_row *row, struct proxy *px)
{
	const struct px_counters *c = &px->c[PX_FE];
	uint64_t now = clock_ms(px->l7->w);

	row->kind = STAT_FRONTEND;
	stat_common(row, px, "FRONTEND", c, px->cur[PX_FE], px->max[PX_FE]);
	NUM(slim, px->cfg->maxconn ? px->cfg->maxconn : px->l7->maxconn);
	NUM(dreq, c->denied_req);
	NUM(dresp, c->denied_res);
	NUM(ereq, c->err_req);
	TEXT(status, px->full ? "FULL" : "OPEN");
	NUM(rate_lim, 0);
	NUM(conn_rate, freq_read(&c->conn_rate, now));
	NUM(conn_rate_max, c->conn_rate_max);
	NUM(conn_tot, c->conn_tot);
	NUM(dcon, c->denied_conn);
	NUM(dses, c->denied_sess);
	NUM(intercepted, c->intercepted);
	NUM(sid, 0);
	if (px->cfg->mode == PX_HTTP) {
		NUM(req_rate, freq_read(&c->req_rate, now));
		NUM(req_rate_max, c->req_rate_max);
		NUM(req_tot, c->req_tot);
	}
	NUM(ssl_sess, c->ssl_sess);
	NUM(ssl_reused_sess, c->ssl_reused);
	NUM(ssl_failed_handshake, c->ssl_failed);
}

static const char *server_status(const struct server *s)
{
	if (s->admin & SRV_ADM_MAINT)
		return "MAINT";
	if (s->ep && s->ep->state != ENDPOINT_UP)
		return "DOWN";
	if (s->health == SRV_DOWN)
		return "DOWN";
	if (s->admin & SRV_ADM_DRAIN)
		return "DRAIN";
	return s->cfg->check || s->ep ? "UP" : "no check";
}

static void stat_server(struct stat_row *row, struct server *s)
{
	const struct srv_cfg *cfg = s->cfg;
	uint64_t now = clock_ms(s->px->l7->w);
	bool down = s->health == SRV_DOWN;

	row->kind = STAT_SERVER;
	row->sid = s->id;
	stat_common(row, s->px, s->name, &s->c, s->cur, s->max);
	stat_back(row, &s->c, now);
	NUM(qcur, s->queued);
	NUM(qmax, 0);
	if (cfg->maxconn)
		NUM(slim, cfg->maxconn);
	TEXT(status, server_status(s));
	NUM(weight, s->weight);
	NUM(uweight, s->weight);
	NUM(act, !cfg->backup);
	NUM(bck, cfg->backup);
	NUM(lastchg, (now - s->change_ms) / 1000);
	NUM(sid, s->id);
	if (s->ep)
		TEXT(addr, s->ep->state == ENDPOINT_UP ? addr_print(&s->addr, row->addr) : cfg->addr_text);
	else
		TEXT(addr, cfg->kind == SRV_ADDR_INET ? addr_print(&s->addr, row->addr) : cfg->addr_text);
	if (cfg->check) {
		NUM(chkfail, s->fails);
		NUM(chkdown, s->downs);
		NUM(downtime, (s->down_ms_total + (down ? now - s->change_ms : 0)) / 1000);
		TEXT(check_status, check_status_name(s));
		NUM(check_rise, cfg->rise);
		NUM(check_fall, cfg->fall);
		NUM(check_health, down ? s->good : cfg->rise + cfg->fall - 1 - MIN(s->bad, cfg->fall - 1));
		if (s->check_result >= 0)
			NUM(check_duration, s->check_us / 1000);
		if (s->check_code)
			NUM(check_code, s->check_code);
	}
	NUM(used_conn_cur, s->cur);
}

static void stat_backend(struct stat_row *row, struct proxy *px)
{
	const struct px_counters *c = &px->c[PX_BE];
	uint64_t now = clock_ms(px->l7->w);
	struct server *s;
	unsigned weight = 0;

	row->kind = STAT_BACKEND;
	stat_common(row, px, "BACKEND", c, px->cur[PX_BE], px->max[PX_BE]);
	stat_back(row, c, now);
	list_for_each(s, &px->servers, node)
		if (server_usable(s))
			weight += s->weight;
	NUM(qcur, px->nb_queue);
	NUM(qmax, px->queue_max);
	NUM(slim, 0);
	NUM(dreq, c->denied_req);
	TEXT(status, px->be_down ? "DOWN" : "UP");
	NUM(weight, weight);
	NUM(uweight, weight);
	NUM(act, proxy_usable(px, false));
	NUM(bck, proxy_usable(px, true));
	NUM(chkdown, px->downs);
	NUM(lastchg, (now - px->change_ms) / 1000);
	NUM(downtime, (px->down_ms_total + (px->be_down ? now - px->change_ms : 0)) / 1000);
	NUM(sid, 0);
	NUM(intercepted, c->intercepted);
	TEXT(algo, lb_name[px->cfg->algo]);
}

/* Row <at> of <px>, or false with *at reduced by the rows it has. */
static bool stat_of_proxy(struct proxy *px, uint64_t *at, struct stat_row *row)
{
	struct server *s;

	if (px->caps & PX_CAP_FE) {
		if (*at == 0)
			return stat_frontend(row, px), true;
		(*at)--;
	}
	if (!(px->caps & PX_CAP_BE))
		return false;
	list_for_each(s, &px->servers, node) {
		if (*at == 0)
			return stat_server(row, s), true;
		(*at)--;
	}
	if (*at == 0)
		return stat_backend(row, px), true;
	(*at)--;
	return false;
}

bool stats_next(struct worker *w, uint64_t *pos, struct stat_row *row)
{
	uint64_t at = *pos;
	struct proxy *px;

	list_for_each(px, &w->l7->proxies, node) {
		memset(row->v, 0, sizeof(row->v));
		row->sid = 0;
		if (stat_of_proxy(px, &at, row)) {
			(*pos)++;
			return true;
		}
	}
	return false;
}

/* ---- streams ---- */

static void stream_info_fill(const struct stream *s, struct stream_info *out)
{
	uint64_t now = stream_now(s), last = MAX(MAX(s->side[0].read_ms, s->side[0].write_ms),
						 MAX(s->side[1].read_ms, s->side[1].write_ms));

	*out = (struct stream_info){
		.id = s->id, .age_ms = now - s->start_ms, .idle_ms = last ? now - last : 0,
		.bytes = { s->log.bytes_in, s->log.bytes_out }, .src = s->src, .dst = s->dst, .frontend = s->fe->name,
		.backend = s->be ? s->be->name : NULL, .server = s->srv ? s->srv->name : NULL,
		.state = stream_st_name[s->st], .http = s->is_http, .tls = s->tls_client, .promoted = s->pops,
		.leaving = s->leave, .requests = s->requests,
	};
}

bool streams_next(struct worker *w, uint64_t *id, struct stream_info *out)
{
	struct stream *s;

	list_for_each(s, &w->l7->streams, node) {
		if (s->id <= *id || s->st == STREAM_DEAD)
			continue;
		*id = s->id;
		stream_info_fill(s, out);
		return true;
	}
	return false;
}

/* ---- the layer's word in show info and on SIGHUP ---- */

static void l7_info(struct worker *w, struct info_sink *sink)
{
	const struct l7 *l7 = w->l7;
	uint64_t now = clock_ms(w);

	if (!l7)
		return;
	info_uint(sink, "Maxconn", l7->maxconn);
	info_uint(sink, "Maxpipes", l7->maxpipes);
	info_uint(sink, "CurrConns", l7->nb_streams);
	info_uint(sink, "MaxConns", l7->max_streams);
	info_uint(sink, "CumConns", l7->conn_total);
	info_uint(sink, "CumReq", l7->req_total);
	info_uint(sink, "CumSslConns", l7->ssl_total);
	info_uint(sink, "PipesUsed", l7->nb_pipes - l7->nb_pipes_free);
	info_uint(sink, "PipesFree", l7->nb_pipes_free);
	info_uint(sink, "ConnRate", freq_read(&l7->conn_rate, now));
	info_uint(sink, "SessRate", freq_read(&l7->sess_rate, now));
	info_uint(sink, "ReqRate", freq_read(&l7->req_rate, now));
}

static void log_server_state(struct worker *w, const struct server *s)
{
	log_printf(w, &s->px->cfg->log, LOG_NOTICE, "Server %s/%s is %s. Conn: %u act, %u pend, %llu tot.", s->px->name,
		   s->name, server_usable(s) ? "UP" : "DOWN", s->cur, s->px->nb_queue, (unsigned long long)s->c.sess_tot);
}

void l7_log_state(struct worker *w)
{
	struct proxy *px;
	struct server *s;

	list_for_each(px, &w->l7->proxies, node) {
		list_for_each(s, &px->servers, node)
			log_server_state(w, s);
		if (px->caps & PX_CAP_FE)
			log_printf(w, &px->cfg->log, LOG_NOTICE, "Proxy %s has %u active connections, %llu total.", px->name,
				   px->cur[PX_FE], (unsigned long long)px->c[PX_FE].sess_tot);
		else
			log_printf(w, &px->cfg->log, LOG_NOTICE, "Proxy %s has %u active and %u backup servers available.",
				   px->name, proxy_usable(px, false), proxy_usable(px, true));
	}
}

static struct info_source l7_info_source = { .fill = l7_info };

INITCALL stats_register(void)
{
	info_register(&l7_info_source);
}
