/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * store_priv.h - between the loop's side of the store and the file's
 */
#ifndef STANDIN_APP_STORE_PRIV_H
#define STANDIN_APP_STORE_PRIV_H

#include <sqlite3.h>

#include "app/store.h"

enum store_item_kind { STORE_START, STORE_EVENT, STORE_SIZING, STORE_FORGET };

struct store_item {
	struct list node;
	enum store_item_kind kind;
	union {
		struct store_start start;
		struct store_event event;
		struct {
			char app[STORE_NAME_LEN], release[STORE_RELEASE_LEN];
			struct sizing sizing;
		} sizing;
		char app[STORE_NAME_LEN];
	};
};

/* The file, as the helper thread knows it; nobody else looks inside while a job runs. */
struct store_db {
	sqlite3 *h;    /* owns; NULL: not open */
	char *path;    /* owns */
	char err[200]; /* why it does not work; "" */
};

/* Helper thread only. 0, or -1 with db->err set; then the file is closed. */
int store_db_write(struct store_db *db, struct list *items); /* struct store_item; one transaction */
int store_db_load(struct store_db *db, struct list *starts, struct list *events);
void store_db_close(struct store_db *db);

#endif
