/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * fuzz.h - what fuzz targets share
 */
#ifndef STANDIN_FUZZ_H
#define STANDIN_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/compiler.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

/* A property that must hold for every input. */
#define CHECK(cond)                                                                                          \
	do {                                                                                                 \
		if (!(cond)) {                                                                               \
			fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);            \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* A copy on the heap, of exactly <n> bytes. */
static inline void *fuzz_dup(const void *p, size_t n)
{
	void *m = malloc(n ? n : 1);

	if (n)
		memcpy(m, p, n);
	return m;
}

#endif
