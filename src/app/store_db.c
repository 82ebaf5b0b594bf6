/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * store_db.c - the SQLite file: schema, migrations, reading, writing
 *
 * Runs on the helper thread. The file is in WAL mode with synchronous=NORMAL: a
 * kill -9 loses nothing that was committed, a power cut perhaps the last moments,
 * never the file's integrity. doc/internals/store.md describes the tables for
 * whoever reads them with sqlite3.
 *
 * PRAGMA user_version is the version of the schema. migration[n] makes version
 * n + 1 of version n, in one transaction with the new number. A file that a newer
 * program wrote is left alone: the daemon then runs without one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/compiler.h"
#include "store_priv.h"

static const char *const migration[] = {
	/* 0 -> 1 */
	"CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;"
	"INSERT INTO meta VALUES ('program', 'standin'), ('created', datetime('now'));"
	"CREATE TABLE starts (id INTEGER PRIMARY KEY, app TEXT NOT NULL, release TEXT NOT NULL,"
	" instance TEXT NOT NULL, role TEXT NOT NULL, result TEXT NOT NULL, at_ms INTEGER NOT NULL,"
	" cold INTEGER NOT NULL, ready_ms INTEGER NOT NULL, noncache INTEGER NOT NULL,"
	" mapped INTEGER NOT NULL, file_rss INTEGER NOT NULL, cache INTEGER NOT NULL,"
	" peak INTEGER NOT NULL, cpu_us INTEGER NOT NULL, throttled_us INTEGER NOT NULL,"
	" procs INTEGER NOT NULL, majfaults INTEGER NOT NULL, mem_hits INTEGER NOT NULL,"
	" pids_hits INTEGER NOT NULL, oom_kills INTEGER NOT NULL, spec_memory INTEGER NOT NULL,"
	" spec_cpu_milli INTEGER NOT NULL, spec_pids INTEGER NOT NULL);"
	"CREATE INDEX starts_app ON starts (app, release, id);"
	"CREATE TABLE events ("
	" id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, app TEXT NOT NULL, instance TEXT NOT NULL,"
	" kind TEXT NOT NULL, text TEXT NOT NULL);"
	"CREATE TABLE sizing ("
	" app TEXT NOT NULL, release TEXT NOT NULL, memory INTEGER NOT NULL, cpu_milli INTEGER NOT NULL,"
	" pids INTEGER NOT NULL, basis TEXT NOT NULL, starts INTEGER NOT NULL, ready_ms INTEGER NOT NULL,"
	" why TEXT NOT NULL, PRIMARY KEY (app, release)) WITHOUT ROWID;",
};

#define SCHEMA_VERSION ((int)ARRAY_SIZE(migration))

static int db_fail(struct store_db *db, const char *what)
{
	snprintf(db->err, sizeof(db->err), "%s: %s", what, db->h ? sqlite3_errmsg(db->h) : "out of memory");
	store_db_close(db);
	return -1;
}

static int db_exec(struct store_db *db, const char *sql)
{
	return sqlite3_exec(db->h, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static int db_version(struct store_db *db)
{
	sqlite3_stmt *st;
	int v = -1;

	if (sqlite3_prepare_v2(db->h, "PRAGMA user_version", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int(st, 0);
	sqlite3_finalize(st);
	return v;
}

static int db_migrate(struct store_db *db)
{
	for (int v; (v = db_version(db)) != SCHEMA_VERSION;) {
		char set[64];

		if (v < 0)
			return db_fail(db, "reading the schema's version");
		if (v > SCHEMA_VERSION) {
			snprintf(db->err, sizeof(db->err),
				 "written by a newer version (schema %d, known up to %d)", v, SCHEMA_VERSION);
			store_db_close(db);
			return -1;
		}
		snprintf(set, sizeof(set), "PRAGMA user_version = %d", v + 1);
		if (db_exec(db, "BEGIN IMMEDIATE") < 0)
			return db_fail(db, "locking it for a new schema");
		if (db_version(db) != v) { /* somebody else was faster */
			db_exec(db, "ROLLBACK");
			continue;
		}
		if (db_exec(db, migration[v]) < 0 || db_exec(db, set) < 0 || db_exec(db, "COMMIT") < 0)
			return db_fail(db, "making the tables");
	}
	return 0;
}

/* Makes the last directory of the path when it is missing. */
static void db_make_dir(const char *path)
{
	char dir[4096];
	char *slash;

	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash && slash != dir) {
		*slash = 0;
		mkdir(dir, 0755);
	}
}

static int db_open(struct store_db *db)
{
	if (db->h)
		return 0;
	db_make_dir(db->path);
	if (sqlite3_open_v2(db->path, &db->h,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
			    NULL) != SQLITE_OK)
		return db_fail(db, "opening it");
	sqlite3_busy_timeout(db->h, 1000);
	if (db_exec(db, "PRAGMA journal_mode = WAL") < 0 || db_exec(db, "PRAGMA synchronous = NORMAL") < 0 ||
	    db_exec(db, "PRAGMA journal_size_limit = 1048576") < 0)
		return db_fail(db, "opening it");
	if (db_migrate(db) < 0)
		return -1;
	db->err[0] = 0;
	return 0;
}

void store_db_close(struct store_db *db)
{
	sqlite3_close(db->h);
	db->h = NULL;
}

/* ---- writing ---- */

/* Runs <sql> with arguments by <fmt>: s const char *, u uint64_t. 0 or -1. */
static int db_run(struct store_db *db, const char *sql, const char *fmt, ...)
{
	sqlite3_stmt *st;
	va_list ap;
	int rc;

	if (sqlite3_prepare_v2(db->h, sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	va_start(ap, fmt);
	for (int i = 1; *fmt; i++, fmt++)
		if (*fmt == 's')
			sqlite3_bind_text(st, i, va_arg(ap, const char *), -1, SQLITE_STATIC);
		else
			sqlite3_bind_int64(st, i, (sqlite3_int64)va_arg(ap, uint64_t));
	va_end(ap);
	rc = sqlite3_step(st) == SQLITE_DONE ? 0 : -1;
	sqlite3_finalize(st);
	return rc;
}

#define U(v) ((uint64_t)(v))

/* The numbers of a start: columns of the table, fields of struct start_rec. */
#define COL(column, field)                                                                                   \
	{ #column, offsetof(struct start_rec, field), sizeof(((struct start_rec *)0)->field) }

static const struct db_col {
	const char *name;
	size_t offset, size;
} start_cols[] = {
	COL(at_ms, at_ms),
	COL(cold, cold),
	COL(ready_ms, ready_ms),
	COL(noncache, noncache),
	COL(mapped, mapped),
	COL(file_rss, file_rss),
	COL(cache, cache),
	COL(peak, peak),
	COL(cpu_us, cpu_us),
	COL(throttled_us, throttled_us),
	COL(procs, procs),
	COL(majfaults, majfaults),
	COL(mem_hits, mem_hits),
	COL(pids_hits, pids_hits),
	COL(oom_kills, oom_kills),
	COL(spec_memory, spec.memory),
	COL(spec_cpu_milli, spec.cpu_milli),
	COL(spec_pids, spec.pids),
};

static uint64_t col_get(const struct db_col *c, const struct start_rec *r)
{
	const char *p = (const char *)r + c->offset;

	return c->size == 8 ? *(const uint64_t *)p : c->size == 4 ? *(const uint32_t *)p : *(const bool *)p;
}

static void col_set(const struct db_col *c, struct start_rec *r, uint64_t v)
{
	char *p = (char *)r + c->offset;

	if (c->size == 8)
		*(uint64_t *)p = v;
	else if (c->size == 4)
		*(uint32_t *)p = MIN(v, UINT32_MAX);
	else
		*(bool *)p = v;
}

/* ", at_ms, cold, ..." or ", ?, ?, ..." */
static const char *start_col_list(char *out, size_t size, bool names)
{
	size_t n = 0;

	for (const struct db_col *c = start_cols; c < start_cols + ARRAY_SIZE(start_cols); c++)
		n += snprintf(out + n, size - n, ", %s", names ? c->name : "?");
	return out;
}

static int db_insert_start(struct store_db *db, const struct store_start *s)
{
	const char *text[] = { s->app, s->release, s->instance, s->rec.standby ? "standby" : "primary",
			       start_result_name(s->rec.result) };
	char sql[1024], names[512], marks[128];
	int at = 0, rc;
	sqlite3_stmt *st;

	snprintf(sql, sizeof(sql), "INSERT INTO starts (app, release, instance, role, result%s) VALUES (?,?,?,?,?%s)",
		 start_col_list(names, sizeof(names), true), start_col_list(marks, sizeof(marks), false));
	if (sqlite3_prepare_v2(db->h, sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	for (size_t i = 0; i < ARRAY_SIZE(text); i++)
		sqlite3_bind_text(st, ++at, text[i], -1, SQLITE_STATIC);
	for (const struct db_col *c = start_cols; c < start_cols + ARRAY_SIZE(start_cols); c++)
		sqlite3_bind_int64(st, ++at, (sqlite3_int64)col_get(c, &s->rec));
	rc = sqlite3_step(st) == SQLITE_DONE ? 0 : -1;
	sqlite3_finalize(st);
	return rc;
}

/* The newest stay: so many of a release, so many of an app. */
static int db_prune_starts(struct store_db *db, const struct store_start *s)
{
	if (db_run(db,
		   "DELETE FROM starts WHERE app = ?1 AND id <= (SELECT id FROM starts WHERE app = ?1"
		   " ORDER BY id DESC LIMIT 1 OFFSET ?2)",
		   "su", s->app, U(STORE_APP_KEPT)) < 0)
		return -1;
	return db_run(db,
		      "DELETE FROM starts WHERE app = ?1 AND release = ?2 AND id <= (SELECT id FROM starts"
		      " WHERE app = ?1 AND release = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?3)",
		      "ssu", s->app, s->release, U(STORE_STARTS_KEPT));
}

static int db_write_start(struct store_db *db, const struct store_start *s)
{
	return db_insert_start(db, s) < 0 ? -1 : db_prune_starts(db, s);
}

static int db_write_event(struct store_db *db, const struct store_event *e)
{
	return db_run(db, "INSERT INTO events (at_ms, app, instance, kind, text) VALUES (?,?,?,?,?)", "ussss",
		      e->at_ms, e->app, e->instance, e->kind, e->text);
}

static int db_write_item(struct store_db *db, const struct store_item *it)
{
	const struct sizing *z = &it->sizing.sizing;

	switch (it->kind) {
	case STORE_START: return db_write_start(db, &it->start);
	case STORE_EVENT: return db_write_event(db, &it->event);
	case STORE_SIZING:
		return db_run(db, "INSERT OR REPLACE INTO sizing VALUES (?,?,?,?,?,?,?,?,?)", "ssuuusuus",
			      it->sizing.app, it->sizing.release, z->minimum.memory, U(z->minimum.cpu_milli),
			      U(z->minimum.pids), sizing_basis_name(z->basis), U(z->starts), U(z->ready_ms),
			      z->why);
	case STORE_FORGET:
		if (db_run(db, "DELETE FROM starts WHERE app = ?", "s", it->app) < 0)
			return -1;
		return db_run(db, "DELETE FROM sizing WHERE app = ?", "s", it->app);
	}
	return 0;
}

int store_db_write(struct store_db *db, struct list *items)
{
	struct store_item *it;

	if (db_open(db) < 0)
		return -1;
	if (db_exec(db, "BEGIN IMMEDIATE") < 0)
		return db_fail(db, "writing");
	list_for_each(it, items, node)
		if (db_write_item(db, it) < 0)
			return db_fail(db, "writing"); /* closing rolls back */
	if (db_run(db, "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", "u",
		   U(STORE_EVENTS_KEPT)) < 0 ||
	    db_exec(db, "COMMIT") < 0)
		return db_fail(db, "writing");
	return 0;
}

/* ---- reading ---- */

static void db_text(sqlite3_stmt *st, int col, char *dst, size_t size)
{
	const char *s = (const char *)sqlite3_column_text(st, col);

	snprintf(dst, size, "%s", s ? s : "");
}

static uint64_t db_u64(sqlite3_stmt *st, int col)
{
	sqlite3_int64 v = sqlite3_column_int64(st, col);

	return v < 0 ? 0 : (uint64_t)v; /* the file may have been edited by hand */
}

static struct store_start *db_row_start(sqlite3_stmt *st)
{
	struct store_start *s = calloc(1, sizeof(*s));
	char word[32];
	int at = 5;

	if (!s)
		return NULL;
	db_text(st, 0, s->app, sizeof(s->app));
	db_text(st, 1, s->release, sizeof(s->release));
	db_text(st, 2, s->instance, sizeof(s->instance));
	db_text(st, 3, word, sizeof(word));
	s->rec.standby = !strcmp(word, "standby");
	db_text(st, 4, word, sizeof(word));
	s->rec.result = START_EXIT;
	for (enum start_result r = 0; r < START_COUNT; r++)
		if (!strcmp(word, start_result_name(r)))
			s->rec.result = r;
	for (const struct db_col *c = start_cols; c < start_cols + ARRAY_SIZE(start_cols); c++)
		col_set(c, &s->rec, db_u64(st, at++));
	return s;
}

static struct store_event *db_row_event(sqlite3_stmt *st)
{
	struct store_event *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	e->at_ms = db_u64(st, 0);
	db_text(st, 1, e->app, sizeof(e->app));
	db_text(st, 2, e->instance, sizeof(e->instance));
	db_text(st, 3, e->kind, sizeof(e->kind));
	db_text(st, 4, e->text, sizeof(e->text));
	return e;
}

static int db_load_starts(struct store_db *db, struct list *starts)
{
	char sql[1024], names[512];
	sqlite3_stmt *st;
	int rc;

	snprintf(sql, sizeof(sql), "SELECT app, release, instance, role, result%s FROM starts ORDER BY id",
		 start_col_list(names, sizeof(names), true));
	rc = sqlite3_prepare_v2(db->h, sql, -1, &st, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		struct store_start *s;

		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && (s = db_row_start(st)))
			list_add_tail(starts, &s->node);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : db_fail(db, "reading starts");
}

static int db_load_events(struct store_db *db, struct list *events)
{
	char sql[128];
	sqlite3_stmt *st;
	int rc;

	snprintf(sql, sizeof(sql), "SELECT at_ms, app, instance, kind, text FROM events ORDER BY id DESC LIMIT %d",
		 STORE_EVENTS_READ);
	rc = sqlite3_prepare_v2(db->h, sql, -1, &st, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		struct store_event *e;

		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && (e = db_row_event(st)))
			list_add(events, &e->node);
	}
	sqlite3_finalize(st);
	return rc == SQLITE_DONE ? 0 : db_fail(db, "reading events");
}

int store_db_load(struct store_db *db, struct list *starts, struct list *events)
{
	if (db_open(db) < 0 || db_load_starts(db, starts) < 0)
		return -1;
	return db_load_events(db, events);
}
