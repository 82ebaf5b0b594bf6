/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * check.c - health checks: `check` on a server
 *
 * Every `inter` a probe connects, or with `option httpchk` asks and looks at the
 * status. `fall` failures in a row take a server down, `rise` successes bring it
 * back. Right after the start one failure is enough, as nothing is known yet.
 * While the state is in doubt `fastinter` applies, while down `downinter`.
 * The server's first check follows at once, spread a little among the servers.
 */
#include <stdio.h>

#include "core/clock.h"
#include "l7/l7_priv.h"

#define CHECK_SPREAD_MS 10 /* between the first checks of a backend's servers */

static const struct {
	const char *code, *text; /* `show stat` and log words, as HAProxy's */
} check_result[] = {
	[PROBE_OK] = { "L4OK", "Layer4 check passed" },
	[PROBE_REFUSED] = { "L4CON", "Layer4 connection problem" },
	[PROBE_TIMEOUT_CONNECT] = { "L4TOUT", "Layer4 timeout" },
	[PROBE_TIMEOUT_RESPONSE] = { "L7TOUT", "Layer7 timeout" },
	[PROBE_CLOSED] = { "L7RSP", "Layer7 invalid response" },
	[PROBE_BAD_REPLY] = { "L7RSP", "Layer7 invalid response" },
	[PROBE_BAD_STATUS] = { "L7STS", "Layer7 wrong status" },
	[PROBE_NO_RESOURCE] = { "SOCKERR", "Socket error" },
};

const char *check_status_name(const struct server *s)
{
	if (!s->cfg || !s->cfg->check)
		return NULL;
	if (s->check_result < 0)
		return "INI";
	if (s->check_result == PROBE_OK && (s->px->cfg->opt & PX_OPT_HTTPCHK))
		return "L7OK";
	return check_result[s->check_result].code;
}

static void check_schedule(struct server *s, unsigned ms)
{
	struct ev_loop *loop = s->px->l7->w->loop;

	ev_timer_stop(loop, &s->check_timer);
	ev_timer_set(&s->check_timer, ms / 1000., 0.);
	ev_timer_start(loop, &s->check_timer);
}

static unsigned check_interval(const struct server *s)
{
	const struct srv_cfg *c = s->cfg;

	if (s->health == SRV_DOWN && !s->good)
		return c->downinter_ms ? c->downinter_ms : c->inter_ms;
	if ((s->health == SRV_DOWN && s->good) || (s->health == SRV_UP && s->bad))
		return c->fastinter_ms ? c->fastinter_ms : c->inter_ms;
	return c->inter_ms;
}

static void check_why(const struct server *s, char *dst, size_t n)
{
	const struct probe *p = &s->probe;
	int len;

	len = snprintf(dst, n, "reason: %s", s->check_result == PROBE_OK && (s->px->cfg->opt & PX_OPT_HTTPCHK)
					       ? "Layer7 check passed" : check_result[s->check_result].text);
	if (p->status && len > 0 && (size_t)len < n)
		len += snprintf(dst + len, n - len, ", code: %d", p->status);
	if (s->check_result == PROBE_REFUSED && p->error && len > 0 && (size_t)len < n)
		len += snprintf(dst + len, n - len, ", info: \"%s\"", strerror(p->error));
	if (len > 0 && (size_t)len < n)
		snprintf(dst + len, n - len, ", check duration: %llums", (unsigned long long)(p->took_us / 1000));
}

static void check_failed(struct server *s, const char *why)
{
	s->fails++;
	s->good = 0;
	s->bad++;
	if (s->health == SRV_UP && s->bad >= s->cfg->fall)
		server_set_health(s, SRV_DOWN, why);
}

static void check_passed(struct server *s, const char *why)
{
	s->bad = 0;
	s->good++;
	if (s->health == SRV_DOWN && s->good >= s->cfg->rise)
		server_set_health(s, SRV_UP, why);
}

static void check_done(struct probe *p, enum probe_result res)
{
	struct server *s = container_of(p, struct server, probe);
	char why[256];
	int was = s->check_result;

	s->check_result = (int)res;
	s->check_code = p->status;
	s->check_us = p->took_us;
	check_why(s, why, sizeof(why));
	if ((s->px->cfg->opt & PX_OPT_LOGCHECKS) && (was < 0 || (was == PROBE_OK) != (res == PROBE_OK))) {
		log_printf(s->px->l7->w, &s->px->cfg->log, LOG_NOTICE, "Health check for server %s/%s %s, %s", s->px->name,
			   s->name, res == PROBE_OK ? "succeeded" : "failed", why);
	}
	if (res == PROBE_OK)
		check_passed(s, why);
	else
		check_failed(s, why);
	if (s->cfg)
		check_schedule(s, check_interval(s));
}

static bool check_spec(const struct server *s, struct probe_spec *spec)
{
	const struct srv_cfg *c = s->cfg;
	const struct px_cfg *px = s->px->cfg;

	*spec = (struct probe_spec){ .kind = PROBE_TCP, .addr = s->addr };
	if (c->check_addr.family != AF_UNSPEC) {
		uint16_t port = spec->addr.port;

		spec->addr = c->check_addr;
		spec->addr.port = port;
	}
	if (c->check_port)
		spec->addr.port = (uint16_t)c->check_port;
	spec->timeout_ms = px->to_check ? px->to_check : px->to_connect ? MIN(px->to_connect, c->inter_ms) : c->inter_ms;
	if (px->opt & PX_OPT_HTTPCHK) {
		spec->kind = PROBE_HTTP;
		spec->method = px->chk_method ? px->chk_method : "OPTIONS";
		spec->path = px->chk_uri ? px->chk_uri : "/";
		spec->host = px->chk_host;
		spec->status_min = px->chk_status_min;
		spec->status_max = px->chk_status_max;
	}
	return spec->addr.family != AF_UNSPEC && spec->addr.port;
}

static void check_timer_cb(struct ev_loop *loop, ev_timer *t, int revents)
{
	struct server *s = container_of(t, struct server, check_timer);
	struct probe_spec spec;

	/* an application's instances are watched by their own layer; between two there is nothing to ask */
	if ((s->ep && s->ep->state != ENDPOINT_UP) || !check_spec(s, &spec)) {
		check_schedule(s, s->cfg->inter_ms);
		return;
	}
	probe_start(&s->probe, &spec);
}

void check_start(struct server *s)
{
	const struct srv_cfg *c = s->cfg;

	if (!c || !c->check || (s->admin & SRV_ADM_MAINT) || c->kind == SRV_ADDR_PROMOTED || c->kind == SRV_ADDR_UNIX)
		return;
	if (!s->probe_ready) {
		probe_init(&s->probe, s->px->l7->w, check_done);
		ev_init(&s->check_timer, check_timer_cb);
		s->probe_ready = true;
	}
	s->checking = true;
	check_schedule(s, s->check_result < 0 ? (s->id - 1) * CHECK_SPREAD_MS : check_interval(s));
}

void check_stop(struct server *s)
{
	if (!s->checking)
		return;
	s->checking = false;
	probe_cancel(&s->probe);
	ev_timer_stop(s->px->l7->w->loop, &s->check_timer);
}
