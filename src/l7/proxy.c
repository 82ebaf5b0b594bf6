/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * proxy.c - proxies and servers as they run, found by name from one configuration to the next
 *
 * Commit walks the new configuration: what has a namesake keeps its counters,
 * health and what the operator set, unless the text of just that changed; what
 * has none is made; what is left over is gone. Gone objects live on for the
 * streams that still count them.
 *
 * Commit may not fail, and these objects are few and small: no memory here ends
 * the process.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/bug.h"
#include "core/clock.h"
#include "l7/l7_priv.h"
#include "l7/stream_priv.h"

static void *px_alloc(size_t n)
{
	void *p = calloc(1, n);

	BUG_ON(!p);
	return p;
}

/* ---- counters ---- */

void freq_add(struct freq *f, uint64_t now_ms)
{
	uint64_t sec = now_ms / 1000;

	if (sec != f->sec) {
		f->prev = sec == f->sec + 1 ? f->cur : 0;
		f->cur = 0;
		f->sec = sec;
	}
	f->cur++;
}

uint32_t freq_read(const struct freq *f, uint64_t now_ms)
{
	uint64_t sec = now_ms / 1000;
	uint32_t cur = sec == f->sec ? f->cur : 0;
	uint32_t prev = sec == f->sec ? f->prev : sec == f->sec + 1 ? f->cur : 0;

	return cur + (uint32_t)(((uint64_t)prev * (1000 - now_ms % 1000)) / 1000);
}

#define SWAVG_N 1024

void swavg_add(struct swavg *a, uint64_t v)
{
	if (a->n < SWAVG_N) {
		a->n++;
		a->sum += v;
	} else {
		a->sum = a->sum - (a->sum + SWAVG_N - 1) / SWAVG_N + v;
	}
}

uint32_t swavg_read(const struct swavg *a)
{
	return a->n ? (uint32_t)((a->sum + a->n - 1) / a->n) : 0;
}

/* ---- references ---- */

struct proxy *proxy_get(struct proxy *px)
{
	px->refs++;
	return px;
}

void proxy_put(struct proxy *px)
{
	if (!px || --px->refs)
		return;
	BUG_ON(!list_empty(&px->servers) || !list_empty(&px->queue));
	free(px->name);
	free(px);
}

struct server *server_get(struct server *s)
{
	s->refs++;
	return s;
}

void server_put(struct server *s)
{
	if (!s || --s->refs)
		return;
	check_stop(s);
	proxy_put(s->px);
	free(s->name);
	free(s);
}

struct proxy *proxy_find(const struct l7 *l7, unsigned caps, const char *name)
{
	struct proxy *px;

	list_for_each(px, &l7->proxies, node)
		if ((px->caps & caps) && strcmp(px->name, name) == 0)
			return px;
	return NULL;
}

struct server *server_find(const struct proxy *px, const char *name)
{
	struct server *s;

	list_for_each(s, &px->servers, node)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

/* ---- states ---- */

bool server_accepts(const struct server *s)
{
	return s->cfg && s->health == SRV_UP && !(s->admin & SRV_ADM_MAINT) && (!s->ep || s->ep->state == ENDPOINT_UP);
}

bool server_usable(const struct server *s)
{
	return server_accepts(s) && !(s->admin & SRV_ADM_DRAIN) && s->weight;
}

unsigned proxy_usable(const struct proxy *px, bool backup)
{
	struct server *s;
	unsigned n = 0;

	list_for_each(s, &px->servers, node)
		n += s->cfg->backup == backup && server_usable(s);
	return n;
}

int server_port(const struct server *s, const struct addr *client_dst)
{
	return s->addr.port ? s->addr.port : client_dst->port;
}

static const struct log_set *px_log(const struct proxy *px)
{
	return px->gone ? NULL : &px->cfg->log;
}

/* After any change of one of its servers: did the backend as a whole come or go? */
static void proxy_state_changed(struct proxy *px)
{
	uint64_t now = clock_ms(px->l7->w);
	bool down = !proxy_usable(px, false) && !proxy_usable(px, true);

	if (px->gone || down == px->be_down || !px->nb_servers)
		return;
	px->be_down = down;
	if (down) {
		px->downs++;
		log_printf(px->l7->w, px_log(px), LOG_EMERG, "backend %s has no server available!", px->name);
		msg_alert("backend '%s' has no server available!", px->name);
	} else {
		px->down_ms_total += now - px->change_ms;
	}
	px->change_ms = now;
}

void server_changed(struct server *s)
{
	proxy_state_changed(s->px);
	queue_run(s->px);
}

static void server_log_change(struct server *s, int level, const char *what)
{
	struct proxy *px = s->px;
	char line[512];

	snprintf(line, sizeof(line), "%sServer %s/%s is %s. %u active and %u backup servers %s. %u sessions active, 0 "
		 "requeued, %u remaining in queue.", s->cfg && s->cfg->backup ? "Backup " : "", px->name, s->name, what,
		 proxy_usable(px, false), proxy_usable(px, true), level == LOG_NOTICE ? "online" : "left", s->cur,
		 px->nb_queue);
	log_printf(px->l7->w, px_log(px), level, "%s", line);
	msg_warning("%s", line);
}

void server_set_health(struct server *s, enum srv_health h, const char *why)
{
	uint64_t now = clock_ms(s->px->l7->w);
	char what[400];

	if (s->health == h)
		return;
	s->health = h;
	if (h == SRV_DOWN)
		s->downs++;
	else
		s->down_ms_total += now - s->change_ms;
	s->change_ms = now;
	snprintf(what, sizeof(what), "%s%s%s", h == SRV_UP ? "UP" : "DOWN", why ? ", " : "", why ? why : "");
	server_log_change(s, h == SRV_UP ? LOG_NOTICE : LOG_ALERT, what);
	server_changed(s);
}

void server_set_admin(struct server *s, unsigned admin, const char *why)
{
	unsigned was = s->admin;

	if (was == admin)
		return;
	s->admin = admin;
	s->change_ms = clock_ms(s->px->l7->w);
	if ((admin & SRV_ADM_MAINT) && !(was & SRV_ADM_MAINT)) {
		check_stop(s);
		server_log_change(s, LOG_ALERT, "going DOWN for maintenance");
	} else if (!(admin & SRV_ADM_MAINT) && (was & SRV_ADM_MAINT)) {
		s->health = SRV_UP;
		check_start(s);
		server_log_change(s, LOG_NOTICE, "UP (leaving forced maintenance)");
	} else if ((admin & SRV_ADM_DRAIN) && !(was & SRV_ADM_DRAIN)) {
		server_log_change(s, LOG_NOTICE, "UP but enters drain state");
	} else {
		server_log_change(s, LOG_NOTICE, "UP (leaving forced drain)");
	}
	server_changed(s);
}

/* ---- endpoints ---- */

static void server_endpoint_changed(struct worker *w, struct endpoint_sub *sub, struct endpoint *ep)
{
	struct server *s = container_of(sub, struct server, sub);

	if (ep->state == ENDPOINT_UP && !s->addr_set)
		s->addr = ep->addr;
	s->generation = ep->generation;
	s->change_ms = clock_ms(w);
	/* a new instance begins with a clean record */
	s->health = SRV_UP;
	s->bad = 0;
	backend_suspects_wake(s);
	server_changed(s);
}

static void server_endpoint_drop(struct server *s)
{
	if (!s->ep)
		return;
	endpoint_unsubscribe(&s->sub);
	endpoint_put(s->px->l7->w, s->ep);
	s->ep = NULL;
}

static void server_endpoint_take(struct server *s, const char *name)
{
	if (s->ep && strcmp(s->ep->name, name) == 0)
		return;
	server_endpoint_drop(s);
	s->ep = endpoint_get(s->px->l7->w, name);
	BUG_ON(!s->ep);
	s->sub.changed = server_endpoint_changed;
	endpoint_subscribe(s->ep, &s->sub);
	s->generation = s->ep->generation;
	if (s->ep->state == ENDPOINT_UP)
		s->addr = s->ep->addr;
}

/* ---- commit ---- */

static struct server *server_new(struct proxy *px, const struct srv_cfg *cfg)
{
	struct server *s = px_alloc(sizeof(*s));

	s->refs = 1;
	s->px = proxy_get(px);
	s->name = strdup(cfg->name);
	BUG_ON(!s->name);
	s->change_ms = clock_ms(px->l7->w);
	s->check_result = -1;
	list_init(&s->node);
	list_init(&s->suspects);
	list_init(&s->queue);
	list_init(&s->sub.node);
	return s;
}

static bool server_check_differs(const struct srv_cfg *a, const struct srv_cfg *b)
{
	return a->check != b->check || !addr_eq(&a->addr, &b->addr) || !addr_eq(&a->check_addr, &b->check_addr) ||
	       a->check_port != b->check_port || a->inter_ms != b->inter_ms;
}

static void server_commit(struct server *s, const struct srv_cfg *cfg)
{
	const struct srv_cfg *old = s->cfg;
	bool readdress = !old || old->kind != cfg->kind || !addr_eq(&old->addr, &cfg->addr);

	s->id = cfg->id;
	if (!old || old->weight != cfg->weight || !s->weight_set) {
		s->weight = cfg->weight;
		s->weight_set = false;
	}
	if (!old || old->disabled != cfg->disabled)
		s->admin = cfg->disabled ? s->admin | SRV_ADM_MAINT : s->admin & ~SRV_ADM_MAINT;
	s->cfg = cfg;
	if (readdress) {
		s->addr_set = false;
		s->addr = cfg->addr;
	}
	if (cfg->kind == SRV_ADDR_APP)
		server_endpoint_take(s, cfg->app);
	else
		server_endpoint_drop(s);
	if (!old || readdress || server_check_differs(old, cfg)) {
		s->health = SRV_UP;
		s->bad = cfg->fall > 0 ? cfg->fall - 1 : 0; /* the first failure is enough: nothing is known yet */
		s->good = 0;
	}
	check_stop(s);
	check_start(s); /* borrowed strings are the new configuration's from here on */
}

static void server_gone(struct server *s)
{
	list_del(&s->node);
	queue_server_gone(s);
	check_stop(s);
	backend_suspects_wake(s);
	server_endpoint_drop(s);
	s->cfg = NULL;
	server_put(s);
}

/* Servers of <px> in the order of its new text. */
static void proxy_commit_servers(struct proxy *px, const struct px_cfg *cfg)
{
	struct list old;
	const struct srv_cfg *sc;
	struct server *s, *next;

	list_init(&old);
	list_splice_tail(&old, &px->servers);
	px->nb_servers = 0;
	list_for_each(sc, &cfg->servers, node) {
		struct server *found = NULL;

		list_for_each(s, &old, node)
			if (strcmp(s->name, sc->name) == 0)
				found = s;
		if (!found)
			found = server_new(px, sc);
		list_del(&found->node);
		list_add_tail(&px->servers, &found->node);
		px->nb_servers++;
		server_commit(found, sc);
	}
	list_for_each_safe(s, next, &old, node)
		server_gone(s);
}

static struct proxy *proxy_new(struct l7 *l7, const struct px_cfg *cfg)
{
	struct proxy *px = px_alloc(sizeof(*px));

	px->refs = 1;
	px->l7 = l7;
	px->name = strdup(cfg->name);
	BUG_ON(!px->name);
	px->caps = cfg->caps;
	px->change_ms = clock_ms(l7->w);
	list_init(&px->node);
	list_init(&px->servers);
	list_init(&px->queue);
	list_init(&px->listeners);
	return px;
}

static void proxy_gone(struct proxy *px)
{
	struct server *s, *next;

	px->gone = true;
	px->full = false; /* ->cfg may go before the last stream does */
	list_del(&px->node);
	list_for_each_safe(s, next, &px->servers, node)
		server_gone(s);
	px->nb_servers = 0;
	queue_run(px);
	proxy_put(px);
}

int proxies_commit(struct l7 *l7, struct l7_cfg *cfg)
{
	struct list old;
	struct px_cfg *pc;
	struct proxy *px, *next;

	list_init(&old);
	list_splice_tail(&old, &l7->proxies);
	list_for_each(pc, &cfg->proxies, part_node) {
		struct proxy *found = NULL;

		if (pc->caps == PX_CAP_DEF || pc->disabled)
			continue;
		list_for_each(px, &old, node)
			if (px->caps == pc->caps && strcmp(px->name, pc->name) == 0)
				found = px;
		if (!found)
			found = proxy_new(l7, pc);
		list_del(&found->node);
		list_add_tail(&l7->proxies, &found->node);
		found->id = pc->id;
		found->cfg = pc;
		pc->rt = proxy_get(found);
		proxy_commit_servers(found, pc);
	}
	list_for_each_safe(px, next, &old, node)
		proxy_gone(px);
	list_for_each(px, &l7->proxies, node) {
		px->be_down = px->nb_servers && !proxy_usable(px, false) && !proxy_usable(px, true);
		queue_run(px);
	}
	return 0;
}

void proxies_destroy(struct l7 *l7)
{
	struct proxy *px, *next;

	list_for_each_safe(px, next, &l7->proxies, node)
		proxy_gone(px);
}
