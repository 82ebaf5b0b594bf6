/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * layer.h - the layers that make up the process, in the order they start
 *
 * A layer registers itself; main() starts what is linked in, in rising order,
 * and ends it in falling order. Configuration is applied after all have started
 * (cfg_module), so init() makes only the empty run-time object in its struct
 * worker slot.
 */
#ifndef STANDIN_CORE_LAYER_H
#define STANDIN_CORE_LAYER_H

#include "core/compiler.h"

struct worker;

/* start order */
#define LAYER_POLICY 5
#define LAYER_OPS    10
#define LAYER_L7     20
#define LAYER_L3     30
#define LAYER_BORDER 40
#define LAYER_APP    50

struct layer {
	const char *name;
	int order;
	int (*init)(struct worker *w);      /* 0 or -errno */
	void (*destroy)(struct worker *w);  /* also after a failed start of a later layer */
	void (*soft_stop)(struct worker *w); /* take no new work; may be NULL */
	/* What still needs the process after a soft stop: connections, instances, ...; may be NULL. */
	unsigned (*busy)(struct worker *w);
	void (*log_state)(struct worker *w); /* one log line for each of its objects (SIGHUP); may be NULL */
	struct layer *next;
};

void layer_register(struct layer *l); /* static; from an INITCALL */
int layers_init(struct worker *w);    /* 0, or -errno with what had started ended again; says which failed */
void layers_destroy(struct worker *w);
void layers_soft_stop(struct worker *w);
unsigned layers_busy(struct worker *w);
void layers_log_state(struct worker *w);

#endif
