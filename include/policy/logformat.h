/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * logformat.h - text with %tags and %[expressions]
 *
 * Used by log-format and by every argument that HAProxy calls <fmt>. The tags
 * (%ci, %ST, %[src]) whose values belong to a layer are asked from ctx->lf.
 */
#ifndef STANDIN_POLICY_LOGFORMAT_H
#define STANDIN_POLICY_LOGFORMAT_H

#include "policy/sample.h"

struct logformat;

/* A layer's fields. tag() writes the field called <name> ("ci", "ST") to <out>; false: no such field. */
struct lf_source {
	bool (*tag)(struct policy_ctx *ctx, const char *name, struct buf *out);
	const char *const *names; /* valid names, NULL-terminated: checked when parsing */
};

/* Or'ed to <at>: a log line. Absent values print as "-"; control characters as #XX. Elsewhere absent is empty, and
 * control characters become %XX, so that no value can end a header's line. */
#define LF_LOG 0x100

/* Allocates in <a>. <src> NULL: only tags that policy itself knows (addresses) and expressions. NULL with *err. */
struct logformat *logformat_parse(const char *fmt, unsigned at, const struct lf_source *src, struct arena *a, char **err);
unsigned logformat_needs(const struct logformat *lf);
/* Appends; false when <out> is full (it is then filled as far as possible). */
bool logformat_build(const struct logformat *lf, struct policy_ctx *ctx, struct buf *out);
/* The constant text when there is nothing to evaluate, else NULL. */
const char *logformat_const(const struct logformat *lf);

#endif
