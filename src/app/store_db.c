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
	"CREATE TABLE starts ("
	" id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, app TEXT NOT NULL, release TEXT NOT NULL,"
	" instance TEXT NOT NULL, role TEXT NOT NULL, result TEXT NOT NULL, cold INTEGER NOT NULL,"
	" ready_ms INTEGER NOT NULL, noncache INTEGER NOT NULL, mapped INTEGER NOT NULL, file_rss INTEGER NOT NULL,"
	" cache INTEGER NOT NULL, peak INTEGER NOT NULL, cpu_us INTEGER NOT NULL, throttled_us INTEGER NOT NULL,"
	" procs INTEGER NOT NULL, majfaults INTEGER NOT NULL, mem_hits INTEGER NOT NULL, pids_hits INTEGER NOT NULL,"
	" oom_kills INTEGER NOT NULL, spec_memory INTEGER NOT NULL, spec_cpu_milli INTEGER NOT NULL,"
	" spec_pids INTEGER NOT NULL);"
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
			snprintf(db->err, sizeof(db->err), "written by a newer version (schema %d, known up to %d)", v,
				 SCHEMA_VERSION);
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

int store_db_open(struct store_db *db)
{
	if (db->h)
		return 0;
	db_make_dir(db->path);
	if (sqlite3_open_v2(db->path, &db->h, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL) !=
	    SQLITE_OK)
		return db_fail(db, "opening it");
	sqlite3_busy_timeout(db->h, 1000);
	if (db_exec(db, "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA journal_size_limit = 1048576") < 0)
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

static int db_write_start(struct store_db *db, const struct store_start *s)
{
	const struct start_rec *r = &s->rec;

	return db_run(db,
		      "INSERT INTO starts (at_ms, app, release, instance, role, result, cold, ready_ms, noncache, mapped,"
		      " file_rss, cache, peak, cpu_us, throttled_us, procs, majfaults, mem_hits, pids_hits, oom_kills,"
		      " spec_memory, spec_cpu_milli, spec_pids)"
		      " VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
		      "usssssuuuuuuuuuuuuuuuuu", r->at_ms, s->app, s->release, s->instance,
		      r->standby ? "standby" : "primary", start_result_name(r->result), U(r->cold), U(r->ready_ms),
		      r->noncache, r->mapped, r->file_rss, r->cache, r->peak, r->cpu_us, r->throttled_us, U(r->procs),
		      r->majfaults, r->mem_hits, r->pids_hits, r->oom_kills, r->spec.memory, U(r->spec.cpu_milli),
		      U(r->spec.pids)) ||
	       db_run(db,
		      "DELETE FROM starts WHERE app = ?1 AND (id <= (SELECT id FROM starts WHERE app = ?1"
		      " ORDER BY id DESC LIMIT 1 OFFSET ?3) OR release = ?2 AND id <= (SELECT id FROM starts WHERE app = ?1"
		      " AND release = ?2 ORDER BY id DESC LIMIT 1 OFFSET ?4))",
		      "ssuu", s->app, s->release, U(STORE_APP_KEPT), U(STORE_STARTS_KEPT)) ?
		       -1 :
		       0;
}

static int db_write_event(struct store_db *db, const struct store_event *e)
{
	return db_run(db, "INSERT INTO events (at_ms, app, instance, kind, text) VALUES (?,?,?,?,?)", "ussss", e->at_ms,
		      e->app, e->instance, e->kind, e->text);
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
			      U(z->minimum.pids), sizing_basis_name(z->basis), U(z->starts), U(z->ready_ms), z->why);
	case STORE_FORGET:
		return db_run(db, "DELETE FROM starts WHERE app = ?", "s", it->app) ||
				       db_run(db, "DELETE FROM sizing WHERE app = ?", "s", it->app) ?
			       -1 :
			       0;
	}
	return 0;
}

int store_db_write(struct store_db *db, struct list *items)
{
	struct store_item *it;

	if (store_db_open(db) < 0)
		return -1;
	if (db_exec(db, "BEGIN IMMEDIATE") < 0)
		return db_fail(db, "writing");
	list_for_each(it, items, node)
		if (db_write_item(db, it) < 0)
			return db_fail(db, "writing"); /* closing rolls back */
	if (db_run(db, "DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", "u", U(STORE_EVENTS_KEPT)) < 0 ||
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

	if (!s)
		return NULL;
	s->rec.at_ms = db_u64(st, 0);
	db_text(st, 1, s->app, sizeof(s->app));
	db_text(st, 2, s->release, sizeof(s->release));
	db_text(st, 3, s->instance, sizeof(s->instance));
	db_text(st, 4, word, sizeof(word));
	s->rec.standby = !strcmp(word, "standby");
	db_text(st, 5, word, sizeof(word));
	s->rec.result = START_EXIT;
	for (enum start_result r = 0; r < START_COUNT; r++)
		if (!strcmp(word, start_result_name(r)))
			s->rec.result = r;
	s->rec.cold = db_u64(st, 6);
	s->rec.ready_ms = db_u64(st, 7);
	s->rec.noncache = db_u64(st, 8);
	s->rec.mapped = db_u64(st, 9);
	s->rec.file_rss = db_u64(st, 10);
	s->rec.cache = db_u64(st, 11);
	s->rec.peak = db_u64(st, 12);
	s->rec.cpu_us = db_u64(st, 13);
	s->rec.throttled_us = db_u64(st, 14);
	s->rec.procs = db_u64(st, 15);
	s->rec.majfaults = db_u64(st, 16);
	s->rec.mem_hits = db_u64(st, 17);
	s->rec.pids_hits = db_u64(st, 18);
	s->rec.oom_kills = db_u64(st, 19);
	s->rec.spec.memory = db_u64(st, 20);
	s->rec.spec.cpu_milli = db_u64(st, 21);
	s->rec.spec.pids = db_u64(st, 22);
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

int store_db_load(struct store_db *db, struct list *starts, struct list *events)
{
	char sql[256];
	sqlite3_stmt *st;
	int rc;

	if (store_db_open(db) < 0)
		return -1;
	rc = sqlite3_prepare_v2(db->h,
				"SELECT at_ms, app, release, instance, role, result, cold, ready_ms, noncache, mapped,"
				" file_rss, cache, peak, cpu_us, throttled_us, procs, majfaults, mem_hits, pids_hits,"
				" oom_kills, spec_memory, spec_cpu_milli, spec_pids FROM starts ORDER BY id",
				-1, &st, NULL);
	while (rc == SQLITE_OK || rc == SQLITE_ROW) {
		struct store_start *s;

		rc = sqlite3_step(st);
		if (rc == SQLITE_ROW && (s = db_row_start(st)))
			list_add_tail(starts, &s->node);
	}
	sqlite3_finalize(st);
	if (rc != SQLITE_DONE)
		return db_fail(db, "reading starts");
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
