/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * store.h - what starts took and what happened, kept over restarts
 *
 * Everything here returns at once; the file is touched by the helper thread
 * only (src/app/store.c).
 */
#ifndef STANDIN_APP_STORE_H
#define STANDIN_APP_STORE_H

#include "app/sizing.h"
#include "core/list.h"

struct worker;
struct store;

#define STORE_NAME_LEN    64 /* app and instance names, kinds; NUL included, longer ones are cut */
#define STORE_RELEASE_LEN 80
#define STORE_TEXT_LEN    256
#define STORE_STARTS_KEPT 64    /* per release */
#define STORE_APP_KEPT    512   /* starts, per app */
#define STORE_EVENTS_KEPT 10000 /* of all */
#define STORE_EVENTS_READ 500   /* newest, at start */

struct store_start {
	struct list node;
	char app[STORE_NAME_LEN], release[STORE_RELEASE_LEN], instance[STORE_NAME_LEN];
	struct start_rec rec;
};

struct store_event {
	struct list node;
	uint64_t at_ms; /* wall clock */
	char app[STORE_NAME_LEN], instance[STORE_NAME_LEN], kind[STORE_NAME_LEN], text[STORE_TEXT_LEN];
};

struct store_ops {
	/* Once, from the loop: what the file held, oldest first (empty lists when there is none). The
	 * elements are the callee's to take (list_del() and keep: malloc'd); the rest is freed after. */
	void (*loaded)(struct worker *w, void *owner, struct list *starts, struct list *events);
	/* The file began to fail (why, malloc-free text) or works again (NULL). */
	void (*state)(struct worker *w, void *owner, const char *why);
};

/* <ops> stay until store_close(). NULL on no memory. */
struct store *store_open(struct worker *w, const char *path, const struct store_ops *ops, void *owner);
/* Copied, written within STORE_DELAY; dropped and counted when the file does not work. */
void store_add_start(struct store *s, const struct store_start *st);
void store_add_event(struct store *s, const struct store_event *ev);
void store_set_sizing(struct store *s, const char *app, const char *release, const struct sizing *sz);
void store_forget(struct store *s, const char *app); /* its starts and sizing; events stay */
const char *store_path(const struct store *s);
const char *store_error(const struct store *s); /* NULL: works */
uint64_t store_dropped(const struct store *s);
/* Writes what waits, closes the file; all on the helper thread, after this returns. No callback comes any
 * more. */
void store_close(struct store *s);

#endif
