/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * json.c - writing JSON (RFC 8259)
 *
 * A comma is written before an element when its container already has one: one
 * bit a depth. Depth is bounded by what our own listings nest, so running past
 * it is a bug, not an input.
 */
#include "core/json.h"

#include <math.h>
#include <stdio.h>

#include "core/bug.h"

#define JSON_MAX_DEPTH 63

void json_init(struct json *j, struct buf *out)
{
	*j = (struct json){ .out = out };
}

static void json_put(struct json *j, const char *s)
{
	buf_put_grow(j->out, s, strlen(s));
}

/* Length of the well-formed UTF-8 sequence at <s> (RFC 3629), 0 when there is none. */
static size_t json_utf8_len(const uint8_t *s, size_t n)
{
	size_t len = s[0] < 0x80   ? 1
		     : s[0] < 0xc2 ? 0
		     : s[0] < 0xe0 ? 2
		     : s[0] < 0xf0 ? 3
		     : s[0] < 0xf5 ? 4
				   : 0;

	if (!len || len > n)
		return 0;
	for (size_t i = 1; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
	    (s[0] == 0xf4 && s[1] > 0x8f))
		return 0; /* overlong, surrogate, beyond U+10FFFF */
	return len;
}

static void json_put_escaped(struct json *j, uint8_t c)
{
	static const char short_form[] = {
		['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'
	};

	if (c == '"' || c == '\\')
		buf_printf_grow(j->out, "\\%c", c);
	else if (c < sizeof(short_form) && short_form[c])
		buf_printf_grow(j->out, "\\%c", short_form[c]);
	else
		buf_printf_grow(j->out, "\\u%04x", c);
}

static void json_quote(struct json *j, struct str v)
{
	const uint8_t *p = (const uint8_t *)v.p;
	size_t i = 0, run, len;

	json_put(j, "\"");
	while (i < v.n) {
		for (run = i; i < v.n && p[i] >= 0x20 && p[i] < 0x7f && p[i] != '"' && p[i] != '\\'; i++)
			;
		buf_put_grow(j->out, p + run, i - run);
		if (i == v.n)
			break;
		len = json_utf8_len(p + i, v.n - i);
		if (len > 1)
			buf_put_grow(j->out, p + i, len);
		else if (len == 1)
			json_put_escaped(j, p[i]);
		else
			json_put(j, "\\ufffd");
		i += MAX(len, (size_t)1);
	}
	json_put(j, "\"");
}

/* Everything before the value: comma and key. */
static void json_elem(struct json *j, const char *key)
{
	uint64_t bit = 1ull << j->depth;

	if (j->depth && (j->has_elem & bit))
		json_put(j, ",");
	j->has_elem |= bit;
	if (key) {
		json_quote(j, str_c(key));
		json_put(j, ":");
	}
}

static void json_open(struct json *j, const char *key, const char *bracket)
{
	json_elem(j, key);
	json_put(j, bracket);
	BUG_ON(j->depth == JSON_MAX_DEPTH);
	j->depth++;
	j->has_elem &= ~(1ull << j->depth);
}

static void json_close(struct json *j, const char *bracket)
{
	BUG_ON(!j->depth);
	j->depth--;
	json_put(j, bracket);
}

void json_obj_open(struct json *j, const char *key)
{
	json_open(j, key, "{");
}

void json_obj_close(struct json *j)
{
	json_close(j, "}");
}

void json_arr_open(struct json *j, const char *key)
{
	json_open(j, key, "[");
}

void json_arr_close(struct json *j)
{
	json_close(j, "]");
}

void json_str(struct json *j, const char *key, struct str v)
{
	json_elem(j, key);
	json_quote(j, v);
}

void json_int(struct json *j, const char *key, int64_t v)
{
	json_elem(j, key);
	buf_printf_grow(j->out, "%lld", (long long)v);
}

void json_uint(struct json *j, const char *key, uint64_t v)
{
	json_elem(j, key);
	buf_printf_grow(j->out, "%llu", (unsigned long long)v);
}

void json_num(struct json *j, const char *key, double v)
{
	char text[352]; /* DBL_MAX has 309 digits */
	char *end;

	json_elem(j, key);
	if (!isfinite(v)) {
		json_put(j, "null");
		return;
	}
	end = text + snprintf(text, sizeof(text), "%.6f", v);
	while (end[-1] == '0')
		*--end = '\0';
	if (end[-1] == '.')
		*--end = '\0';
	json_put(j, strcmp(text, "-0") ? text : "0");
}

void json_bool(struct json *j, const char *key, bool v)
{
	json_elem(j, key);
	json_put(j, v ? "true" : "false");
}
