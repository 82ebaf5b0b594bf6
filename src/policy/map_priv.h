/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * map_priv.h - maps: files of keys and values, for the map converters
 *
 * A map is its file. Every expression of a configuration that names the file uses the one struct map, each way of
 * matching through an index of its own:
 *
 *   struct map_def   the file, as the configuration names it; in an epoch. Its ->map is what lookups use
 *   struct map       entries in the order of the file; counted: definitions of several epochs share it, so that what the
 *                    stats socket changed survives a reload - as long as the file says what it said
 *   map_index        str: hash; ip: a hash for each length of prefix in use, longest first; others: in order
 *
 * Files are read while an epoch is built (the helper thread); after prepare() only the loop touches a map.
 */
#ifndef STANDIN_POLICY_MAP_PRIV_H
#define STANDIN_POLICY_MAP_PRIV_H

#include "cfg/epoch.h"
#include "core/hash.h"
#include "core/list.h"
#include "policy/policy_priv.h"

struct map_entry {
	struct list node;          /* struct map.entries */
	struct hnode by_key;       /* struct map.by_key */
	uint64_t ref;              /* #ref of the stats socket: unique in the map */
	char *key, *value;         /* owns */
};

struct map_index;

struct map {
	unsigned refs;
	char *file;                /* owns */
	uint64_t source;           /* hash of the file's text */
	struct hash_key hash_key;
	struct list entries;
	struct htable by_key;      /* all of them, for the stats socket */
	struct map_index *index[PAT_COUNT]; /* owns; NULL: nobody matches so */
	bool out_int, out_ip;      /* values must be such */
	uint64_t next_ref;
	unsigned count;
};

/* What one converter's argument names. */
struct map_def {
	struct cfg_object obj;     /* kind "map", the file's name */
	struct list node;          /* the epoch's part */
	struct map *map;           /* counted */
};

/* Reads <file>. NULL with *err. */
struct map *map_load(const char *file, char **err);
struct map *map_get(struct map *m);
void map_put(struct map **m);
/* From now on it can be looked up by <how>: an index over what it has. 0, or <0 with *err: the key that is no such pattern. */
int map_match_by(struct map *m, enum pat_match how, char **err);
/* Its values are read as <out>. 0, or <0 with *err: one of them is none. */
int map_give(struct map *m, enum smp_type out, char **err);
/* Can everything that <like> is used for be asked of <m>, too? Makes the indexes. */
int map_match_as(struct map *m, const struct map *like, char **err);

/* The value of the entry that <s> matches; NULL: none. <groups>: of a regular expression's, where it is one; may be NULL. */
const struct map_entry *map_find(const struct map *m, enum pat_match how, const struct sample *s, struct policy_ctx *ctx,
				 struct regex_groups *groups);

/* ---- changes, from the loop ---- */
struct map_entry *map_by_key(const struct map *m, const char *key, struct map_entry *after); /* NULL: the first */
struct map_entry *map_by_ref(const struct map *m, uint64_t ref);
int map_add(struct map *m, const char *key, const char *value, char **err);
int map_set(struct map *m, struct map_entry *e, const char *value, char **err);
void map_del(struct map *m, struct map_entry *e);
void map_clear(struct map *m);

/* The maps in force: struct map_def, of the epoch's part. */
struct list *map_defs(const struct epoch *ep);

#endif
