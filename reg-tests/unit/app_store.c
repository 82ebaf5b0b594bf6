/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * store.c with a real file and the real helper thread.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/store.h"
#include "core/clock.h"
#include "core/helper.h"
#include "core/worker.h"

static struct worker w;
static char dir[64], path[128];

static struct {
	int loaded, starts, events, states;
	bool failing;
	struct start_rec last;
	char last_app[64], last_text[256];
} seen;

static void on_loaded(struct worker *wk, void *owner, struct list *starts, struct list *events)
{
	struct store_start *s;
	struct store_event *e;

	seen.loaded++;
	seen.starts = seen.events = 0;
	list_for_each(s, starts, node) {
		seen.starts++;
		seen.last = s->rec;
		snprintf(seen.last_app, sizeof(seen.last_app), "%s", s->app);
	}
	list_for_each(e, events, node) {
		seen.events++;
		snprintf(seen.last_text, sizeof(seen.last_text), "%s", e->text);
	}
}

static void on_state(struct worker *wk, void *owner, const char *why)
{
	seen.states++;
	seen.failing = why != NULL;
}

static const struct store_ops ops = { .loaded = on_loaded, .state = on_state };

static void setup(void)
{
	memset(&seen, 0, sizeof(seen));
	strcpy(dir, "/tmp/app-store-XXXXXX");
	cr_assert_not_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/sub/state.db", dir);
	cr_assert_eq(worker_init(&w), 0);
}

static void teardown(void)
{
	char cmd[128];

	worker_destroy(&w);
	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	cr_assert_eq(system(cmd), 0);
}

TestSuite(store, .init = setup, .fini = teardown, .timeout = 20);

static void wait_loaded(int n)
{
	while (seen.loaded < n)
		ev_run(w.loop, EVRUN_ONCE);
}

static struct store_start a_start(const char *app, const char *release)
{
	struct store_start s = { .rec = { .at_ms = 123456789012, .standby = true, .cold = true, .result = START_OOM,
					  .ready_ms = 1, .noncache = 2, .mapped = 3, .file_rss = 4, .cache = 5, .peak = 6,
					  .cpu_us = 7, .throttled_us = 8, .procs = 9, .majfaults = 10, .mem_hits = 11,
					  .pids_hits = 12, .oom_kills = 13, .spec = { 1ULL << 40, 15, 16 } } };

	snprintf(s.app, sizeof(s.app), "%s", app);
	snprintf(s.release, sizeof(s.release), "%s", release);
	strcpy(s.instance, "web-1");
	return s;
}

/* Closes the store and waits until the helper thread is done with it. */
static void close_store(struct store *s)
{
	store_close(s);
	while (helper_pending(&w))
		ev_run(w.loop, EVRUN_ONCE);
}

Test(store, what_one_run_wrote_the_next_one_reads)
{
	struct store_start st = a_start("web", "r1");
	struct store_event ev = { .at_ms = 5, .app = "web", .kind = "ready", .text = "it's \"quoted\"" };
	struct store *s = store_open(&w, path, &ops, NULL);

	wait_loaded(1);
	cr_assert_eq(seen.starts + seen.events, 0);
	store_add_start(s, &st);
	store_add_event(s, &ev);
	close_store(s);
	s = store_open(&w, path, &ops, NULL);
	wait_loaded(2);
	cr_assert_eq(seen.starts, 1);
	cr_assert_eq(seen.events, 1);
	cr_assert_str_eq(seen.last_text, "it's \"quoted\"");
	cr_assert_str_eq(seen.last_app, "web");
	cr_assert(!memcmp(&seen.last, &st.rec, sizeof(st.rec)), "a field was not kept");
	cr_assert_null(store_error(s));
	close_store(s);
}

Test(store, batches_are_written_while_it_runs)
{
	struct store_start st = a_start("web", "r1");
	struct store *s = store_open(&w, path, &ops, NULL), *other;
	uint64_t end = clock_us() + 3000000;

	wait_loaded(1);
	store_add_start(s, &st);
	do {
		ev_run(w.loop, EVRUN_ONCE);
		other = store_open(&w, path, &ops, NULL);
		wait_loaded(seen.loaded + 1);
		close_store(other);
	} while (!seen.starts && clock_us() < end);
	cr_assert_eq(seen.starts, 1);
	close_store(s);
}

Test(store, history_is_bounded)
{
	struct store_start st = a_start("web", "r1"), other = a_start("other", "r1");
	struct store *s = store_open(&w, path, &ops, NULL);

	wait_loaded(1);
	store_add_start(s, &other);
	for (int i = 0; i < STORE_STARTS_KEPT + 20; i++) {
		st.rec.at_ms = i;
		store_add_start(s, &st);
	}
	close_store(s);
	s = store_open(&w, path, &ops, NULL);
	wait_loaded(2);
	cr_assert_eq(seen.starts, STORE_STARTS_KEPT + 1);
	cr_assert_eq(seen.last.at_ms, STORE_STARTS_KEPT + 19, "the oldest must go");
	close_store(s);
}

Test(store, forgetting_an_app_leaves_the_others)
{
	struct store_start st = a_start("web", "r1"), other = a_start("other", "r1");
	struct store *s = store_open(&w, path, &ops, NULL);

	wait_loaded(1);
	store_add_start(s, &other);
	store_add_start(s, &st);
	store_forget(s, "web");
	close_store(s);
	s = store_open(&w, path, &ops, NULL);
	wait_loaded(2);
	cr_assert_eq(seen.starts, 1);
	cr_assert_str_eq(seen.last_app, "other");
	close_store(s);
}

Test(store, a_file_that_cannot_be_opened_is_told_once_and_nothing_else_fails)
{
	struct store_start st = a_start("web", "r1");
	struct store *s;

	snprintf(path, sizeof(path), "/proc/none/state.db");
	s = store_open(&w, path, &ops, NULL);
	wait_loaded(1);
	cr_assert(seen.failing);
	cr_assert_eq(seen.states, 1);
	cr_assert_not_null(store_error(s));
	store_add_start(s, &st);
	close_store(s);
	cr_assert_eq(seen.states, 1);
}

Test(store, a_file_that_is_no_database_is_left_as_it_is)
{
	char text[16] = "";
	struct store *s;
	FILE *f;

	snprintf(path, sizeof(path), "%s/state.db", dir);
	f = fopen(path, "w");
	for (int i = 0; i < 1000; i++)
		fputs("not SQLite ", f);
	fclose(f);
	s = store_open(&w, path, &ops, NULL);
	wait_loaded(1);
	cr_assert(seen.failing);
	close_store(s);
	f = fopen(path, "r");
	cr_assert_not_null(fgets(text, 11, f));
	fclose(f);
	cr_assert_str_eq(text, "not SQLite");
}

Test(store, a_file_of_a_newer_version_is_left_as_it_is)
{
	struct store *s;
	sqlite3 *h;

	snprintf(path, sizeof(path), "%s/state.db", dir);
	cr_assert_eq(sqlite3_open(path, &h), SQLITE_OK);
	cr_assert_eq(sqlite3_exec(h, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(h);
	s = store_open(&w, path, &ops, NULL);
	wait_loaded(1);
	cr_assert(seen.failing);
	cr_assert_not_null(strstr(store_error(s), "newer"));
	close_store(s);
}
