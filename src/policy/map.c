/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * map.c - files of keys and values, and the indexes by which they are looked up
 *
 * See map_priv.h for who owns what. A file has one entry a line: a key, blanks, and the value, which is the rest of the
 * line without blanks around it; lines that begin with '#' and empty ones are nothing. Of entries that match, the
 * smallest network wins for addresses, the longest for beginnings, and the first for all else (as in HAProxy).
 *
 * An index over strings as they are is the hash of all keys, and costs nothing. One over addresses has a hash of
 * networks, asked once for each length of prefix that occurs. The others are walked in order: patterns that begin,
 * end, contain, or regular expressions have no better way that keeps "the first wins".
 */
#include "policy/map_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/net.h"

#define MAP_BUCKETS 64

/* An entry in an index: of networks by hash, of others in order. */
struct map_item {
	struct hnode by_net;
	struct map_entry *e;       /* NULL: deleted (in order) */
	const struct patterns *ps; /* in order: its key as the one pattern */
	uint8_t family, bits;
	uint8_t net[16];
};

struct map_index {
	enum pat_match how;
	struct arena arena;        /* patterns */
	struct map_item **item;    /* owns, each: in order */
	size_t n, cap, dead;
	struct htable by_net;
	unsigned lens[2][129];     /* networks with that length of prefix: [0] IPv4, [1] IPv6 */
};

/* ---- networks ---- */

static uint32_t map_net_hash(const struct map *m, int family, unsigned bits, const uint8_t net[16])
{
	uint8_t key[18] = { (uint8_t)family, (uint8_t)bits };

	memcpy(key + 2, net, 16);
	return (uint32_t)hash_bytes(&m->hash_key, key, sizeof(key));
}

static void map_net_mask(uint8_t net[16], unsigned bits)
{
	for (unsigned i = bits / 8; i < 16; i++)
		net[i] &= i == bits / 8 ? (uint8_t)(0xff00 >> bits % 8) : 0;
}

static const struct map_item *map_net_find(const struct map *m, const struct map_index *ix, int family, const void *ip)
{
	unsigned len = family == AF_INET ? 4 : 16, bits = len * 8 + 1;
	const struct map_item *first = NULL;
	struct hnode *h;

	while (bits-- > 0) {
		uint8_t net[16] = { 0 };

		if (!ix->lens[family == AF_INET6][bits])
			continue;
		memcpy(net, ip, len);
		map_net_mask(net, bits);
		for (h = NULL; (h = htable_find(&ix->by_net, map_net_hash(m, family, bits, net), h));) {
			const struct map_item *it = container_of(h, struct map_item, by_net);

			if (it->family == family && it->bits == bits && memcmp(it->net, net, 16) == 0 &&
			    (!first || it->e->ref < first->e->ref))
				first = it;
		}
		if (first)
			return first;
	}
	return NULL;
}

/* As ACLs compare the families (pattern.c). */
static const struct map_item *map_ip_find(const struct map *m, const struct map_index *ix, const struct addr *a)
{
	uint8_t mapped[16] = { [10] = 0xff, [11] = 0xff };
	const struct map_item *it;
	const uint8_t *v4;

	if (a->family == AF_INET6) {
		it = map_net_find(m, ix, AF_INET6, &a->ip.v6);
		v4 = it ? NULL : pattern_v4_inside(a->ip.v6.s6_addr);
		return v4 ? map_net_find(m, ix, AF_INET, v4) : it;
	}
	if (a->family != AF_INET)
		return NULL;
	it = map_net_find(m, ix, AF_INET, &a->ip.v4);
	if (it)
		return it;
	memcpy(mapped + 12, &a->ip.v4, 4);
	return map_net_find(m, ix, AF_INET6, mapped);
}

static int map_net_add(struct map *m, struct map_index *ix, struct map_item *it, char **err)
{
	struct addr net;
	int bits;

	if (pattern_net(str_c(it->e->key), &net, &bits, err) < 0)
		return -1;
	it->family = (uint8_t)net.family;
	it->bits = (uint8_t)bits;
	memcpy(it->net, &net.ip, net.family == AF_INET ? 4 : 16);
	map_net_mask(it->net, (unsigned)bits);
	htable_insert(&ix->by_net, &it->by_net, map_net_hash(m, it->family, it->bits, it->net));
	ix->lens[it->family == AF_INET6][bits]++;
	return 0;
}

/* ---- indexes ---- */

static void index_free(struct map_index **pix)
{
	struct map_index *ix = *pix;
	size_t i;

	if (!ix)
		return;
	for (i = 0; i < ix->n; i++)
		free(ix->item[i]);
	free(ix->item);
	htable_destroy(&ix->by_net);
	arena_reset(&ix->arena);
	free(ix);
	*pix = NULL;
}

static bool index_room(struct map_index *ix)
{
	size_t cap = ix->cap ? ix->cap * 2 : 16;
	struct map_item **bigger;

	if (ix->n < ix->cap)
		return true;
	bigger = realloc(ix->item, cap * sizeof(*bigger));
	if (!bigger)
		return false;
	ix->item = bigger;
	ix->cap = cap;
	return true;
}

static int index_add(struct map *m, struct map_index *ix, struct map_entry *e, char **err)
{
	struct map_item *it;
	struct patterns *ps;

	if (ix->how == PAT_STR)
		return 0;
	it = index_room(ix) ? calloc(1, sizeof(*it)) : NULL;
	if (!it)
		return pol_err(err, "out of memory");
	it->e = e;
	if (ix->how == PAT_IP) {
		if (map_net_add(m, ix, it, err) < 0)
			goto out;
	} else {
		ps = patterns_new(&ix->arena, ix->how, false);
		if (!ps) {
			pol_err(err, "out of memory");
			goto out;
		}
		if (patterns_add(ps, e->key, false, err) < 0 || patterns_seal(ps, err) < 0)
			goto out;
		it->ps = ps;
	}
	ix->item[ix->n++] = it;
	return 0;
out:
	free(it);
	return -1;
}

static struct map_index *index_new(struct map *m, enum pat_match how, char **err)
{
	struct map_index *ix = calloc(1, sizeof(*ix));
	struct map_entry *e;

	if (!ix || htable_init(&ix->by_net, MAP_BUCKETS) < 0) {
		free(ix);
		pol_err(err, "out of memory");
		return NULL;
	}
	ix->how = how;
	arena_init(&ix->arena);
	list_for_each(e, &m->entries, node) {
		if (index_add(m, ix, e, err) == 0)
			continue;
		index_free(&ix);
		break;
	}
	return ix;
}

/* Deleted patterns' memory is the arena's: when it is most of it, the index is made anew. */
static void index_del(struct map *m, struct map_index **pix, const struct map_entry *e)
{
	struct map_index *ix = *pix, *fresh;
	size_t i;

	for (i = 0; i < ix->n && ix->item[i]->e != e; i++)
		;
	if (i == ix->n)
		return;
	if (ix->how == PAT_IP) {
		htable_remove(&ix->by_net, &ix->item[i]->by_net);
		ix->lens[ix->item[i]->family == AF_INET6][ix->item[i]->bits]--;
	}
	ix->item[i]->e = NULL;
	if (++ix->dead * 2 <= ix->n || ix->dead < MAP_BUCKETS)
		return;
	fresh = index_new(m, ix->how, NULL);
	if (!fresh)
		return; /* another time */
	index_free(pix);
	*pix = fresh;
}

/* ---- entries ---- */

static uint32_t map_key_hash(const struct map *m, struct str key)
{
	return (uint32_t)hash_bytes(&m->hash_key, key.p, key.n);
}

static void map_entry_free(struct map_entry *e)
{
	if (!e)
		return;
	free(e->key);
	free(e->value);
	free(e);
}

static struct map_entry *map_key_find(const struct map *m, struct str key, uint64_t above)
{
	struct map_entry *first = NULL;
	struct hnode *h;

	for (h = NULL; (h = htable_find(&m->by_key, map_key_hash(m, key), h));) {
		struct map_entry *e = container_of(h, struct map_entry, by_key);

		if (e->ref >= above && str_eq(str_c(e->key), key) && (!first || e->ref < first->ref))
			first = e;
	}
	return first;
}

static int map_value_check(enum smp_type out, const char *value, char **err)
{
	struct addr a;
	int64_t v;

	if (out == SMP_T_SINT && str_to_int(str_c(value), &v) < 0)
		return pol_err(err, "'%s' is not a number", value);
	if (out == SMP_T_ADDR && addr_parse_ip(&a, str_c(value)) != 0)
		return pol_err(err, "'%s' is not an address", value);
	return 0;
}

static int map_values_check(const struct map *m, const char *value, char **err)
{
	return (m->out_int && map_value_check(SMP_T_SINT, value, err) < 0) ||
			       (m->out_ip && map_value_check(SMP_T_ADDR, value, err) < 0)
		       ? -1
		       : 0;
}

int map_add(struct map *m, const char *key, const char *value, char **err)
{
	struct map_entry *e;
	int i;

	if (map_values_check(m, value, err) < 0)
		return -1;
	e = calloc(1, sizeof(*e));
	if (!e || !(e->key = strdup(key)) || !(e->value = strdup(value))) {
		map_entry_free(e);
		return pol_err(err, "out of memory");
	}
	for (i = 0; i < PAT_COUNT; i++) {
		if (!m->index[i] || index_add(m, m->index[i], e, err) == 0)
			continue;
		while (i-- > 0)
			if (m->index[i])
				index_del(m, &m->index[i], e);
		map_entry_free(e);
		return -1;
	}
	e->ref = m->next_ref++;
	list_add_tail(&m->entries, &e->node);
	htable_insert(&m->by_key, &e->by_key, map_key_hash(m, str_c(key)));
	m->count++;
	return 0;
}

int map_set(struct map *m, struct map_entry *e, const char *value, char **err)
{
	char *copy;

	if (map_values_check(m, value, err) < 0)
		return -1;
	copy = strdup(value);
	if (!copy)
		return pol_err(err, "out of memory");
	free(e->value);
	e->value = copy;
	return 0;
}

void map_del(struct map *m, struct map_entry *e)
{
	int i;

	list_del(&e->node);
	htable_remove(&m->by_key, &e->by_key);
	m->count--;
	for (i = 0; i < PAT_COUNT; i++)
		if (m->index[i])
			index_del(m, &m->index[i], e);
	map_entry_free(e);
}

void map_clear(struct map *m)
{
	struct map_entry *e;
	int i;

	/* the indexes first: one by one each deletion would look for its place */
	for (i = 0; i < PAT_COUNT; i++) {
		struct map_index *ix = m->index[i];
		size_t k;

		for (k = 0; ix && k < ix->n; k++) {
			if (ix->how == PAT_IP && ix->item[k]->e)
				htable_remove(&ix->by_net, &ix->item[k]->by_net);
			free(ix->item[k]);
		}
		if (ix) {
			ix->n = ix->dead = 0;
			memset(ix->lens, 0, sizeof(ix->lens));
			arena_reset(&ix->arena);
		}
	}
	while ((e = list_first(&m->entries, struct map_entry, node)))
		map_del(m, e);
}

struct map_entry *map_by_key(const struct map *m, const char *key, struct map_entry *after)
{
	return map_key_find(m, str_c(key), after ? after->ref + 1 : 0);
}

struct map_entry *map_by_ref(const struct map *m, uint64_t ref)
{
	struct map_entry *e;

	list_for_each(e, &m->entries, node)
		if (e->ref == ref)
			return e;
	return NULL;
}

/* ---- looking up ---- */

const struct map_entry *map_find(const struct map *m, enum pat_match how, const struct sample *s, struct policy_ctx *ctx,
				 struct regex_groups *groups)
{
	const struct map_index *ix = m->index[how];
	const struct map_entry *best = NULL;
	const struct map_item *it;
	size_t i, best_len = 0;

	if (how == PAT_STR)
		return map_key_find(m, s->v.str, 0);
	if (!ix)
		return NULL;
	if (how == PAT_IP) {
		it = map_ip_find(m, ix, &s->v.addr);
		return it ? it->e : NULL;
	}
	for (i = 0; i < ix->n; i++) {
		it = ix->item[i];
		if (!it->e || (best && strlen(it->e->key) <= best_len))
			continue;
		if (!(groups ? regex_exec(patterns_regex(it->ps), s->v.str, 0, ctx, groups) : patterns_match(it->ps, s, ctx)))
			continue;
		if (how != PAT_BEG)
			return it->e;
		best = it->e;
		best_len = strlen(best->key);
	}
	return best;
}

/* ---- maps ---- */

struct map *map_get(struct map *m)
{
	m->refs++;
	return m;
}

void map_put(struct map **pm)
{
	struct map *m = *pm;
	int i;

	*pm = NULL;
	if (!m || --m->refs > 0)
		return;
	for (i = 0; i < PAT_COUNT; i++)
		index_free(&m->index[i]);
	map_clear(m);
	htable_destroy(&m->by_key);
	free(m->file);
	free(m);
}

int map_match_by(struct map *m, enum pat_match how, char **err)
{
	if (!m->index[how])
		m->index[how] = index_new(m, how, err);
	return m->index[how] ? 0 : -1;
}

int map_give(struct map *m, enum smp_type out, char **err)
{
	const struct map_entry *e;

	list_for_each(e, &m->entries, node)
		if (map_value_check(out, e->value, err) < 0)
			return pol_err(err, "value of '%s': %s", e->key, *err);
	m->out_int |= out == SMP_T_SINT;
	m->out_ip |= out == SMP_T_ADDR;
	return 0;
}

int map_match_as(struct map *m, const struct map *like, char **err)
{
	int i;

	for (i = 0; i < PAT_COUNT; i++)
		if (like->index[i] && map_match_by(m, (enum pat_match)i, err) < 0)
			return -1;
	if ((like->out_int && map_give(m, SMP_T_SINT, err) < 0) || (like->out_ip && map_give(m, SMP_T_ADDR, err) < 0))
		return -1;
	return 0;
}

static struct map *map_new(const char *file)
{
	struct map *m = calloc(1, sizeof(*m));

	if (!m || !(m->file = strdup(file)) || htable_init(&m->by_key, MAP_BUCKETS) < 0) {
		if (m)
			free(m->file);
		free(m);
		return NULL;
	}
	m->refs = 1;
	m->next_ref = 1;
	list_init(&m->entries);
	hash_key_random(&m->hash_key);
	return m;
}

static struct str map_trim(struct str s)
{
	while (s.n && strchr(" \t\r\n", s.p[s.n - 1]))
		s.n--;
	while (s.n && strchr(" \t", *s.p))
		s.p++, s.n--;
	return s;
}

/* "key value" in place; 0, or <0 with *err. */
static int map_line(struct map *m, char *line, size_t len, char **err)
{
	struct str s = map_trim(str_n(line, len));
	char *key, *value;

	if (!s.n || *line == '#')
		return 0;
	key = line + (s.p - line);
	key[s.n] = '\0';
	if (strlen(key) != s.n)
		return pol_err(err, "the line holds a NUL");
	value = key + strcspn(key, " \t");
	if (*value)
		*value++ = '\0';
	return map_add(m, key, value + strspn(value, " \t"), err);
}

static int map_read(struct map *m, FILE *f, char **err)
{
	static const struct hash_key same = { { 1, 2 } }; /* for two readings of one file: no secret */
	size_t cap = 0;
	char *buf = NULL;
	int rc = 0, line = 0;
	ssize_t n;

	while (rc == 0 && (n = getline(&buf, &cap, f)) >= 0) {
		line++;
		m->source = m->source * 31 + hash_bytes(&same, buf, (size_t)n);
		rc = map_line(m, buf, (size_t)n, err);
		if (rc < 0)
			pol_err(err, "%s:%d: %s", m->file, line, *err);
	}
	if (rc == 0 && ferror(f))
		rc = pol_err(err, "cannot read '%s': %s", m->file, strerror(errno));
	free(buf);
	return rc;
}

struct map *map_load(const char *file, char **err)
{
	FILE *f = fopen(file, "re");
	struct map *m = NULL;

	if (!f) {
		pol_err(err, "cannot open map file '%s': %s", file, strerror(errno));
		return NULL;
	}
	m = map_new(file);
	if (!m)
		pol_err(err, "out of memory");
	else if (map_read(m, f, err) < 0)
		map_put(&m);
	fclose(f);
	return m;
}
