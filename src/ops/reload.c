/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * reload.c - a new configuration beside the running one
 *
 *   1. the helper thread builds an epoch from the same files; the loop goes on
 *   2. back in the loop it is applied, or refused by what it needs (a port, a rule)
 *   3. whoever asked hears; everybody else reads it on stderr and in the log
 *
 * A bad configuration changes nothing. Asking while a reload runs is an error
 * for a command; a signal that comes meanwhile is remembered, because the files
 * may have changed after they were read.
 */
#include <errno.h>
#include <stdio.h>

#include "ops_priv.h"

static void reload_build(struct helper_job *job)
{
	struct ops *ops = container_of(job, struct ops, reload_job);

	ops->reload_epoch = epoch_build(ops->opt.files, ops->opt.nb_files, &ops->reload_diag);
}

/* Says on stderr and in the log how it went. */
static void reload_tell(struct ops *ops, bool ok)
{
	const struct log_set *ls = ops->w->epoch ? &ops->w->epoch->global.log : NULL;
	struct diag_msg *m;

	diag_print(&ops->reload_diag);
	list_for_each(m, &ops->reload_diag.msgs, node) {
		if (m->level >= MSG_WARNING)
			log_printf(ops->w, ls, m->level == MSG_ALERT ? LOG_ALERT : LOG_WARNING, "%s", m->text);
	}
	if (ok) {
		msg_notice("configuration reloaded (epoch %llu)", (unsigned long long)ops->w->epoch->id);
		log_printf(ops->w, ls, LOG_NOTICE, "configuration reloaded (epoch %llu)",
			   (unsigned long long)ops->w->epoch->id);
	} else {
		msg_alert("the new configuration was refused, the running one stays");
		log_printf(ops->w, ls, LOG_ALERT, "the new configuration was refused, the running one stays");
	}
}

static void reload_done(struct worker *w, struct helper_job *job)
{
	struct ops *ops = container_of(job, struct ops, reload_job);
	struct ops_reload_waiter *rw, *tmp;
	bool ok = false;

	if (ops->reload_epoch) {
		ok = epoch_apply(w, ops->reload_epoch, &ops->reload_diag) == 0;
		epoch_put(ops->reload_epoch);
		ops->reload_epoch = NULL;
	}
	ops->reloads += ok;
	ops->reload_failures += !ok;
	reload_tell(ops, ok);
	ops->reloading = false;
	list_for_each_safe(rw, tmp, &ops->reload_waiters, node) {
		list_del(&rw->node);
		rw->done(rw, ok, &ops->reload_diag);
	}
	diag_free(&ops->reload_diag);
	if (ops->reload_again) {
		ops->reload_again = false;
		ops_reload(w, NULL);
	}
}

int ops_reload(struct worker *w, struct ops_reload_waiter *rw)
{
	struct ops *ops = w->ops;

	if (w->stopping)
		return -ESHUTDOWN;
	if (ops->reloading) {
		if (rw)
			return -EALREADY;
		ops->reload_again = true;
		return 0;
	}
	ops->reloading = true;
	diag_init(&ops->reload_diag);
	if (rw)
		list_add_tail(&ops->reload_waiters, &rw->node);
	ops->reload_job = (struct helper_job){ .run = reload_build, .done = reload_done };
	list_init(&ops->reload_job.node);
	helper_submit(w, &ops->reload_job);
	return 0;
}
