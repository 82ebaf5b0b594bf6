/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * helper.h - one thread for what may block: SQLite, map and certificate files,
 * configuration builds
 *
 * Jobs run in the order submitted. run() is called on the helper thread and
 * must touch nothing but what the job owns; done() is called in the loop
 * afterwards. A job is embedded in its owner's object and must stay valid until
 * done(). At shutdown helper_destroy() runs what is queued and then every done().
 */
#ifndef STANDIN_CORE_HELPER_H
#define STANDIN_CORE_HELPER_H

#include "core/list.h"

struct worker;
struct helper;

struct helper_job {
	struct list node; /* helper's */
	void (*run)(struct helper_job *job);
	void (*done)(struct worker *w, struct helper_job *job); /* may free the job; may be NULL */
};

int helper_init(struct worker *w);
void helper_submit(struct worker *w, struct helper_job *job);
unsigned helper_pending(const struct worker *w);
/* Blocks until <job>, which was submitted and is not done, has run, and calls its done() from here: for the end of an owner
 * that shares something with it. Jobs before it are waited for, too. */
void helper_finish(struct worker *w, struct helper_job *job);
void helper_destroy(struct worker *w);

#endif
