/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * json.h - writing JSON into a growing buffer
 *
 * The writer places commas. Its state is three words, so a listing that stops
 * when the output is full and resumes later keeps it in its context.
 */
#ifndef STANDIN_CORE_JSON_H
#define STANDIN_CORE_JSON_H

#include "core/buf.h"

struct json {
	struct buf *out; /* borrows; grows */
	uint64_t has_elem; /* one bit per depth: a comma is due */
	unsigned depth;
};

void json_init(struct json *j, struct buf *out);
/* <key> is NULL inside arrays and at the top. */
void json_obj_open(struct json *j, const char *key);
void json_obj_close(struct json *j);
void json_arr_open(struct json *j, const char *key);
void json_arr_close(struct json *j);
void json_str(struct json *j, const char *key, struct str v); /* escaped; invalid UTF-8 as \ufffd */
void json_int(struct json *j, const char *key, int64_t v);
void json_uint(struct json *j, const char *key, uint64_t v);
void json_num(struct json *j, const char *key, double v); /* up to 6 digits, no exponent */
void json_bool(struct json *j, const char *key, bool v);

#endif
