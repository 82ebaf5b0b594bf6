/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * compiler.h - the few macros every file may use
 */
#ifndef STANDIN_CORE_COMPILER_H
#define STANDIN_CORE_COMPILER_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#define MAX(a, b) ((a) > (b) ? (a) : (b))

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static inline void *container_at(const void *member, size_t offset)
{
	return (char *)member - offset;
}
#define container_of(ptr, type, member) ((type *)container_at((ptr), offsetof(type, member)))

#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define UNUSED __attribute__((unused))

/* Runs at program start, before main(): for registering keywords only. What
 * it touches are tables of facts about the program, never run-time state. */
#define INITCALL __attribute__((constructor)) static void

#endif
