/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_epoch.c - building, applying, counting
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cfg/cfg_priv.h"
#include "core/worker.h"

static char events[1024]; /* what modules were asked, in order */
static bool fail_prepare;

static void event(const char *what, const char *who)
{
	size_t n = strlen(events);

	snprintf(events + n, sizeof(events) - n, "%s%s-%s", n ? " " : "", what, who);
}

#define MODULE(name_, order_)                                                                             \
	static struct cfg_module mod_##name_;                                                             \
	static void *name_##_create(struct epoch *ep)                                                     \
	{                                                                                                 \
		event("create", #name_);                                                                  \
		return &mod_##name_;                                                                      \
	}                                                                                                 \
	static void name_##_resolve(struct epoch *ep, struct diag *d)                                     \
	{                                                                                                 \
		cr_assert_eq(epoch_part(ep, &mod_##name_), &mod_##name_);                                 \
		event("resolve", #name_);                                                                 \
	}                                                                                                 \
	static void name_##_destroy(void *part)                                                           \
	{                                                                                                 \
		event("destroy", #name_);                                                                 \
	}                                                                                                 \
	static int name_##_prepare(struct worker *w, struct epoch *ep, struct epoch *old, struct diag *d) \
	{                                                                                                 \
		event("prepare", #name_);                                                                 \
		return fail_prepare && order_ == 1003 ? -1 : 0;                                           \
	}                                                                                                 \
	static void name_##_commit(struct worker *w, struct epoch *ep, struct epoch *old)                 \
	{                                                                                                 \
		event("commit", #name_);                                                                  \
	}                                                                                                 \
	static void name_##_abort(struct worker *w, struct epoch *ep)                                     \
	{                                                                                                 \
		event("abort", #name_);                                                                   \
	}                                                                                                 \
	static struct cfg_module mod_##name_ = {                                                          \
		.name = #name_,                                                                           \
		.order = order_,                                                                          \
		.create = name_##_create,                                                                 \
		.resolve = name_##_resolve,                                                               \
		.destroy = name_##_destroy,                                                               \
		.prepare = name_##_prepare,                                                               \
		.commit = name_##_commit,                                                                 \
		.abort = name_##_abort,                                                                   \
	}

MODULE(c, 1003);
MODULE(a, 1001);
MODULE(b, 1002);

INITCALL unit_register(void)
{
	cfg_module_register(&mod_c);
	cfg_module_register(&mod_a);
	cfg_module_register(&mod_b);
}

static char path[64];

static struct epoch *build(const char *text, struct diag *d)
{
	char *files[1] = { path };
	struct epoch *ep;
	FILE *f;

	snprintf(path, sizeof(path), "/tmp/standin-unit-epoch.%d", (int)getpid());
	f = fopen(path, "w");
	fputs(text, f);
	fclose(f);
	ep = epoch_build(files, 1, d);
	unlink(path);
	return ep;
}

/* Only our three: they come last in the order. */
static struct cfg_module *ours(void)
{
	return &mod_a;
}

Test(epoch, is_built_by_modules_in_their_order_and_freed_in_the_other)
{
	struct diag d;
	struct epoch *ep;

	diag_init(&d);
	ep = build("global\n maxconn 5\n", &d);
	cr_assert_not_null(ep);
	cr_assert_eq(ep->refs, 1);
	cr_assert_eq(ep->nb_files, 1);
	cr_assert_str_eq(ep->files[0], path);
	epoch_get(ep);
	epoch_put(ep);
	cr_assert_str_eq(events, "create-a create-b create-c resolve-a resolve-b resolve-c");
	events[0] = '\0';
	epoch_put(ep);
	cr_assert_str_eq(events, "destroy-c destroy-b destroy-a");
	epoch_put(NULL);
	diag_free(&d);
}

Test(epoch, with_errors_is_none_and_leaves_nothing)
{
	struct diag d;

	diag_init(&d);
	cr_assert_null(build("global\n maxconn x\n", &d));
	cr_assert_eq(d.errors, 1);
	cr_assert_str_eq(
	    events, "create-a create-b create-c resolve-a resolve-b resolve-c destroy-c destroy-b destroy-a");
	diag_free(&d);
}

Test(epoch, warnings_are_errors_when_zero_warning_says_so)
{
	struct diag d;
	struct epoch *ep;

	diag_init(&d);
	ep = build("global\n noreuseport\n", &d);
	cr_assert_not_null(ep);
	epoch_put(ep);
	cr_assert_null(build("global\n zero-warning\n noreuseport\n", &d));
	diag_free(&d);
}

Test(epoch, applying_prepares_all_then_commits_all)
{
	struct epoch *one, *two;
	struct worker w;
	struct diag d;

	diag_init(&d);
	worker_init(&w);
	one = build("global\n", &d);
	two = build("global\n", &d);
	events[0] = '\0';
	cr_assert_eq(epoch_apply_modules(ours(), &w, one, &d), 0);
	cr_assert_str_eq(events, "prepare-a prepare-b prepare-c commit-a commit-b commit-c");
	cr_assert_eq(w.epoch, one);
	cr_assert_eq(one->id, 1);
	cr_assert_eq(one->refs, 2);
	cr_assert_eq(epoch_apply_modules(ours(), &w, two, &d), 0);
	cr_assert_eq(two->id, 2);
	cr_assert_eq(one->refs, 1, "the worker's reference was dropped");
	epoch_put(w.epoch);
	epoch_put(one);
	epoch_put(two);
	worker_destroy(&w);
	diag_free(&d);
}

Test(epoch, that_cannot_be_applied_changes_nothing)
{
	struct epoch *one, *two;
	struct worker w;
	struct diag d;

	diag_init(&d);
	worker_init(&w);
	one = build("global\n", &d);
	two = build("global\n", &d);
	cr_assert_eq(epoch_apply_modules(ours(), &w, one, &d), 0);
	events[0] = '\0';
	fail_prepare = true;
	cr_assert_lt(epoch_apply_modules(ours(), &w, two, &d), 0);
	cr_assert_str_eq(events, "prepare-a prepare-b prepare-c abort-b abort-a");
	cr_assert_eq(w.epoch, one);
	cr_assert_eq(two->refs, 1);
	epoch_put(w.epoch);
	epoch_put(one);
	epoch_put(two);
	worker_destroy(&w);
	diag_free(&d);
}

Test(epoch, finds_objects_by_kind_and_name)
{
	struct cfg_object web = { .kind = "backend", .name = "web", .file = "f", .line = 1 },
			  fe = { .kind = "frontend", .name = "web", .file = "f", .line = 2 },
			  again = { .kind = "backend", .name = "web", .file = "g", .line = 3 };
	struct epoch *ep = epoch_new();
	struct diag d;

	diag_init(&d);
	epoch_add_object(ep, &web, &d);
	epoch_add_object(ep, &fe, &d);
	cr_assert_eq(d.errors, 0);
	cr_assert_eq(epoch_find(ep, "frontend", "web"), &fe);
	cr_assert_null(epoch_find(ep, "app", "web"));
	cr_assert_str_eq(epoch_nearest(ep, "backend", "wbe"), "web");
	cr_assert_null(epoch_nearest(ep, "app", "web"));
	epoch_add_object(ep, &again, &d);
	cr_assert_eq(d.errors, 1);
	cr_assert_str_eq(
	    list_first(&d.msgs, struct diag_msg, node)->text,
	    "config : parsing [g:3] : backend 'web' has the same name as backend 'web' declared at f:1.");
	cr_assert_eq(epoch_find(ep, "backend", "web"), &web, "the first one stays");
	diag_free(&d);
	epoch_put(ep);
}
