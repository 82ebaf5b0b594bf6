/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cond_box.c - conditions about addresses and ports, as somebody else can test them
 *
 * A firewall can tell what a connection's first packet says of its addresses, and nothing else. A condition that asks for
 * no more is a union of boxes: groups (`or`) of terms that must all fit, each a list of ranges. Expanded here, one box
 * for each combination, up to a limit. Whatever is not plainly of that kind - negations, converters, other fetches, two
 * terms about the same field - is given up, for a box too large would decide what it must not.
 */
#include <string.h>
#include <sys/socket.h>

#include "policy/acl.h"
#include "policy/policy_priv.h"

#define BOX_ANY { .sport = { 0, UINT16_MAX }, .dport = { 0, UINT16_MAX } }

/* What a plain fetch says of a box. */
enum box_field { BOX_SRC, BOX_DST, BOX_SPORT, BOX_DPORT, BOX_TRUE, BOX_FIELDS };

static const char *const box_fetches[BOX_FIELDS] = {
	[BOX_SRC] = "src", [BOX_DST] = "dst", [BOX_SPORT] = "src_port", [BOX_DPORT] = "dst_port", [BOX_TRUE] = "always_true",
};

struct boxes {
	struct cond_box *b;
	int n, max;
};

static int box_field(const struct acl_test *t)
{
	int f;

	for (f = 0; f < BOX_FIELDS; f++)
		if (sample_is_plain(t->expr) && strcmp(sample_fetch_name(t->expr), box_fetches[f]) == 0)
			return f;
	return -1;
}

static bool box_has_ports(const uint16_t ports[2])
{
	return ports[0] != 0 || ports[1] != UINT16_MAX;
}

/* Is the field still free in <b>? */
static bool box_is_free(const struct cond_box *b, enum box_field f)
{
	switch (f) {
	case BOX_SRC: return !b->has_src;
	case BOX_DST: return !b->has_dst;
	case BOX_SPORT: return !box_has_ports(b->sport);
	case BOX_DPORT: return !box_has_ports(b->dport);
	case BOX_TRUE:
	case BOX_FIELDS: break;
	}
	return true;
}

static bool boxes_add(struct boxes *to, const struct cond_box *b)
{
	if (to->n == to->max)
		return false;
	to->b[to->n++] = *b;
	return true;
}

/* <from>, narrowed to each range of ports. */
static bool box_ports(struct boxes *to, const struct cond_box *from, const struct patterns *ps, bool dst)
{
	int64_t lo, hi;
	size_t i;

	for (i = 0; patterns_int(ps, i, &lo, &hi); i++) {
		struct cond_box b = *from;
		uint16_t *ports = dst ? b.dport : b.sport;

		if (hi < 0 || lo > UINT16_MAX)
			continue;
		ports[0] = (uint16_t)MAX(lo, 0);
		ports[1] = (uint16_t)MIN(hi, UINT16_MAX);
		if (!boxes_add(to, &b))
			return false;
	}
	return true;
}

static bool box_addrs(struct boxes *to, const struct cond_box *from, const struct patterns *ps, bool dst, int family)
{
	uint8_t ends[2][16];
	size_t i;

	if (from->family != AF_UNSPEC && from->family != family)
		return true;
	for (i = 0; patterns_ip(ps, family, i, ends[0], ends[1]); i++) {
		struct cond_box b = *from;

		b.family = family;
		memcpy(dst ? b.dst : b.src, ends, sizeof(ends));
		*(dst ? &b.has_dst : &b.has_src) = true;
		if (!boxes_add(to, &b))
			return false;
	}
	return true;
}

/* <from>, narrowed by one test of an ACL. False: too many, or not to be said by boxes. */
static bool box_narrow(struct boxes *to, const struct cond_box *from, const struct acl_test *t)
{
	int f = box_field(t);

	if (f < 0 || !box_is_free(from, (enum box_field)f))
		return false;
	switch ((enum box_field)f) {
	case BOX_SRC:
	case BOX_DST:
		return patterns_kind(t->pats) == PAT_IP && box_addrs(to, from, t->pats, f == BOX_DST, AF_INET) &&
		       box_addrs(to, from, t->pats, f == BOX_DST, AF_INET6);
	case BOX_SPORT:
	case BOX_DPORT: return patterns_kind(t->pats) == PAT_INT && box_ports(to, from, t->pats, f == BOX_DPORT);
	case BOX_TRUE: return patterns_kind(t->pats) == PAT_BOOL && boxes_add(to, from);
	case BOX_FIELDS: break;
	}
	return false;
}

/* One term on every box of <from>: its ACL is true where any of its tests is. */
static bool boxes_term(struct boxes *to, const struct boxes *from, const struct cond_term *term)
{
	const struct acl_test *t;
	int i;

	if (term->negated)
		return false;
	to->n = 0;
	for (i = 0; i < from->n; i++)
		list_for_each(t, &term->acl->tests, node)
			if (!box_narrow(to, &from->b[i], t))
				return false;
	return true;
}

int cond_boxes(const struct cond *c, struct cond_box *out, int max)
{
	struct cond_box room[2][COND_BOXES_MAX];
	struct boxes all = { .b = out, .max = max }, set[2] = { { room[0], 0, COND_BOXES_MAX }, { room[1], 0, COND_BOXES_MAX } };
	static const struct cond_box any = BOX_ANY;
	unsigned i;
	int at = 0, k;

	if (!c)
		return boxes_add(&all, &any) ? 1 : -1;
	if (c->unless)
		return -1;
	for (i = 0; i < c->nb_terms; i++) {
		if (c->terms[i].first) {
			set[at].n = 0;
			boxes_add(&set[at], &any);
		}
		if (!boxes_term(&set[!at], &set[at], &c->terms[i]))
			return -1;
		at = !at;
		if (i + 1 < c->nb_terms && !c->terms[i + 1].first)
			continue;
		for (k = 0; k < set[at].n; k++)
			if (!boxes_add(&all, &set[at].b[k]))
				return -1;
	}
	return all.n;
}
