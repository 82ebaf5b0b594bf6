/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * spec.h - how much of the machine an instance may use
 */
#ifndef STANDIN_APP_SPEC_H
#define STANDIN_APP_SPEC_H

#include "core/compiler.h"

/* 0 in any field: not limited. */
struct app_spec {
	uint64_t memory;    /* bytes */
	uint32_t cpu_milli; /* thousandths of a core */
	uint32_t pids;      /* tasks: processes and threads */
};

#endif
