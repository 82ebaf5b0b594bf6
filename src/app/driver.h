/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * driver.h - how instances are run: the one interface between their life and what they are made of
 *
 * A driver is one file that registers itself. Everything it does to an instance
 * begins with start() and is over when clean() has returned 0. It answers by
 * events, from the loop, never from inside start():
 *   INST_EV_SPAWNED        in->pid is set
 *   INST_EV_SPAWN_FAILED   instance_cause() was called; nothing runs
 *   INST_EV_EXIT           once after SPAWNED, as soon as it is known
 *   instance_status()      how it ended; may come later than EXIT, must come
 * Limits are in place before the first instruction of the program runs.
 */
#ifndef STANDIN_APP_DRIVER_H
#define STANDIN_APP_DRIVER_H

#include "app_priv.h"

struct app_driver {
	const char *name; /* as in `driver <name>` */
	/* While a configuration is built (helper thread; only <cfg> may be touched). 0, or -EINVAL with *err
	 * malloc'd. */
	int (*check)(const struct app_cfg *cfg, char **err);
	/* Runs in->cfg's command on in->addr inside in->limits. 0, or -errno and instance_cause() was called. */
	int (*start)(struct instance *in);
	/* To the main process. */
	void (*signal)(struct instance *in, int sig);
	/* SIGKILL to everything there is of it; may be asked again until clean() says 0. */
	void (*kill)(struct instance *in);
	/* Raises or lowers limits of the running instance. *holds: what holds now, 0 where the host has no
	 * such limit; *failed: bits (CG_BIT()) of those that could not be set. 0 or -errno. */
	int (*limit)(struct instance *in, const struct app_spec *spec, struct app_spec *holds,
		     unsigned *failed);
	void (*usage)(struct instance *in, struct cgroup_usage *u);
	/* The part that cgroup_sample() tells; called often. */
	void (*sample)(struct instance *in, struct cgroup_usage *u);
	uint64_t (*file_rss)(struct instance *in);
	/* After EXIT or SPAWN_FAILED: frees in->drv once nothing runs any more. 0, or -EBUSY: kill() and ask
	 * again. */
	int (*clean)(struct instance *in);
	struct app_driver *next;
};

/* From an INITCALL. */
void app_driver_register(struct app_driver *d);
const struct app_driver *app_driver_find(const char *name);
const struct app_driver *app_driver_first(void);

#endif
