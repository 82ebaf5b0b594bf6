/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * balance.c - which server takes a request
 *
 * Only usable servers count (up, not in maintenance or draining, of weight > 0).
 * Backups are looked at when no other server is usable: the first of them, or
 * all with `option allbackups`. A full server (maxconn) is passed over; if all
 * that remain are full the request waits.
 *
 * roundrobin is smooth: each server's score grows by its weight at each turn,
 * the highest is taken and pays the sum, so that weights 3:1 give a a b a and not
 * a a a b. It costs a walk over the servers, which are few.
 */
#include "core/hash.h"
#include "l7/l7_priv.h"

struct pick {
	struct proxy *px;
	const struct server *avoid;
	bool backup, first_only, *full;
};

static bool pick_full(const struct server *s)
{
	return s->cfg->maxconn && s->cur >= s->cfg->maxconn;
}

/* May <s> be taken? Notes when it is only full. */
static bool pick_takes(const struct pick *p, const struct server *s)
{
	if (s == p->avoid || s->cfg->backup != p->backup || !server_usable(s))
		return false;
	if (pick_full(s)) {
		*p->full = true;
		return false;
	}
	return true;
}

static struct server *pick_first(const struct pick *p)
{
	struct server *s;

	list_for_each(s, &p->px->servers, node)
		if (pick_takes(p, s))
			return s;
	return NULL;
}

static struct server *pick_roundrobin(const struct pick *p)
{
	struct server *s, *best = NULL;
	int total = 0;

	list_for_each(s, &p->px->servers, node) {
		if (!pick_takes(p, s))
			continue;
		s->lb_score += (int)s->weight;
		total += (int)s->weight;
		if (!best || s->lb_score > best->lb_score)
			best = s;
	}
	if (best)
		best->lb_score -= total;
	return best;
}

/* Fewest requests by weight; equals take turns. */
static struct server *pick_leastconn(const struct pick *p)
{
	struct server *s, *best = NULL;

	list_for_each(s, &p->px->servers, node) {
		uint64_t a, b;

		if (!pick_takes(p, s))
			continue;
		s->lb_score++;
		if (!best) {
			best = s;
			continue;
		}
		a = (uint64_t)s->cur * best->weight;
		b = (uint64_t)best->cur * s->weight;
		if (a < b || (a == b && s->lb_score > best->lb_score))
			best = s;
	}
	if (best)
		best->lb_score = 0;
	return best;
}

/* The server whose share of the weights holds <point>. */
static struct server *pick_weighted(const struct pick *p, uint64_t hash)
{
	struct server *s;
	uint64_t total = 0, point;

	list_for_each(s, &p->px->servers, node)
		if (pick_takes(p, s))
			total += s->weight;
	if (!total)
		return NULL;
	point = hash % total;
	list_for_each(s, &p->px->servers, node) {
		if (!pick_takes(p, s))
			continue;
		if (point < s->weight)
			return s;
		point -= s->weight;
	}
	return NULL;
}

static struct server *pick_source(const struct pick *p, const struct addr *src)
{
	/* a fixed key: the same client finds the same server after a restart */
	static const struct hash_key key = { { 0x736f757263652121, 0x62616c616e636521 } };

	return pick_weighted(p, hash_bytes(&key, &src->ip, sizeof(src->ip)));
}

static uint64_t pick_random_number(struct l7 *l7)
{
	/* xorshift64 */
	l7->rnd ^= l7->rnd << 13;
	l7->rnd ^= l7->rnd >> 7;
	l7->rnd ^= l7->rnd << 17;
	return l7->rnd;
}

/* The least loaded of a few drawn. */
static struct server *pick_random(const struct pick *p)
{
	struct server *best = NULL;

	for (unsigned i = 0; i < p->px->cfg->random_draws; i++) {
		struct server *s = pick_weighted(p, pick_random_number(p->px->l7));

		if (!s)
			return best;
		if (!best || (uint64_t)s->cur * best->weight < (uint64_t)best->cur * s->weight)
			best = s;
	}
	return best;
}

static struct server *pick_by(const struct pick *p, const struct addr *src)
{
	if (p->first_only)
		return pick_first(p);
	switch (p->px->cfg->algo) {
	case LB_LEASTCONN: return pick_leastconn(p);
	case LB_SOURCE: return pick_source(p, src);
	case LB_FIRST: return pick_first(p);
	case LB_RANDOM: return pick_random(p);
	default: return pick_roundrobin(p);
	}
}

struct server *balance_pick(struct proxy *px, const struct addr *src, const struct server *avoid, bool *full)
{
	struct pick p = { .px = px, .avoid = avoid, .full = full };
	struct server *s;

	if (px->gone)
		return NULL;
	p.backup = !proxy_usable(px, false);
	p.first_only = p.backup && !(px->cfg->opt & PX_OPT_ALLBACKUPS);
	s = pick_by(&p, src);
	if (s || !avoid)
		return s;
	p.avoid = NULL;
	return pick_by(&p, src);
}
