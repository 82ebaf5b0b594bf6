/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tool_http.h - an HTTP/1.1 response reader for the test tools
 *
 * response_feed() takes bytes as they come and says how many of them belonged
 * to this response; what is left over belongs to the next. Bodies are framed
 * by status, Content-Length, chunked coding or the end of the connection
 * (response_eof()). It trusts its server no further than its own buffers.
 */
#ifndef STANDIN_TESTS_TOOL_HTTP_H
#define STANDIN_TESTS_TOOL_HTTP_H

#include <strings.h>

#include "tool.h"

enum resp_st {
	RESP_HEAD,
	RESP_BODY,       /* left bytes of it to come */
	RESP_CHUNK_LINE, /* a chunk's size, in line[] */
	RESP_CHUNK_DATA, /* left bytes, its line end included */
	RESP_TRAILERS,
	RESP_UNTIL_EOF,
	RESP_DONE,
	RESP_BAD,
};

struct response {
	enum resp_st st;
	bool to_head; /* the request was a HEAD */
	int status;
	bool close; /* the connection ends after it */
	char head[16384];
	size_t head_len;
	char line[64];
	size_t line_len;
	uint64_t left, body_len;
	void (*body)(void *arg, const void *data, size_t len); /* may be NULL */
	void *arg;
};

static inline void response_init(struct response *r, bool to_head)
{
	*r = (struct response){ .to_head = to_head, .body = r->body, .arg = r->arg };
}

/* The value of the first header of that name into <out>, "" when there is none. */
static inline const char *response_header(const struct response *r, const char *name, char *out, size_t size)
{
	size_t len = strlen(name);

	*out = '\0';
	for (const char *p = strchr(r->head, '\n'); p && p[1] && p[1] != '\r'; p = strchr(p + 1, '\n')) {
		if (strncasecmp(p + 1, name, len) || p[1 + len] != ':')
			continue;
		p += len + 2;
		p += strspn(p, " \t");
		len = strcspn(p, "\r\n");
		snprintf(out, size, "%.*s", (int)len, p);
		break;
	}
	return out;
}

static inline void response_framing(struct response *r)
{
	char v[128];

	if (sscanf(r->head, "HTTP/1.%*1[01] %d", &r->status) != 1) {
		r->st = RESP_BAD;
		return;
	}
	if (r->status >= 100 && r->status < 200) { /* not the answer yet */
		response_init(r, r->to_head);
		return;
	}
	r->close = strcasestr(response_header(r, "Connection", v, sizeof(v)), "close") ||
		   !strncmp(r->head, "HTTP/1.0", 8);
	if (r->to_head || r->status == 204 || r->status == 304) {
		r->st = RESP_DONE;
	} else if (strcasestr(response_header(r, "Transfer-Encoding", v, sizeof(v)), "chunked")) {
		r->st = RESP_CHUNK_LINE;
	} else if (*response_header(r, "Content-Length", v, sizeof(v))) {
		r->left = strtoull(v, NULL, 10);
		r->st = r->left ? RESP_BODY : RESP_DONE;
	} else {
		r->st = RESP_UNTIL_EOF;
		r->close = true;
	}
}

static inline size_t response_take(struct response *r, const char *data, size_t len)
{
	if (r->body && len)
		r->body(r->arg, data, len);
	r->body_len += len;
	return len;
}

/* One byte of a line; true when the line is complete, in line[], without its end. */
static inline bool response_line(struct response *r, char c)
{
	if (c == '\n') {
		while (r->line_len && r->line[r->line_len - 1] == '\r')
			r->line_len--;
		r->line[r->line_len] = '\0';
		r->line_len = 0;
		return true;
	}
	if (r->line_len < sizeof(r->line) - 1)
		r->line[r->line_len++] = c;
	return false;
}

static inline size_t response_step(struct response *r, const char *data, size_t len)
{
	size_t n = r->left < len ? r->left : len, crlf;

	switch (r->st) {
	case RESP_HEAD:
		if (r->head_len == sizeof(r->head) - 1) {
			r->st = RESP_BAD;
			return 0;
		}
		r->head[r->head_len++] = *data;
		if (r->head_len >= 4 && !memcmp(r->head + r->head_len - 4, "\r\n\r\n", 4))
			response_framing(r);
		return 1;
	case RESP_BODY:
		r->left -= response_take(r, data, n);
		if (!r->left)
			r->st = RESP_DONE;
		return n;
	case RESP_CHUNK_LINE:
		if (response_line(r, *data)) {
			char *end;

			r->left = strtoull(r->line, &end, 16);
			if (end == r->line)
				r->st = RESP_BAD;
			else
				r->st = r->left ? RESP_CHUNK_DATA : RESP_TRAILERS;
			r->left += 2;
		}
		return 1;
	case RESP_CHUNK_DATA:
		crlf = r->left - n < 2 ? 2 - (r->left - n) : 0; /* of its line end, in these n bytes */
		response_take(r, data, crlf < n ? n - crlf : 0);
		r->left -= n;
		if (!r->left)
			r->st = RESP_CHUNK_LINE;
		return n;
	case RESP_TRAILERS:
		if (response_line(r, *data) && !*r->line)
			r->st = RESP_DONE;
		return 1;
	case RESP_UNTIL_EOF: return response_take(r, data, len);
	case RESP_DONE:
	case RESP_BAD: break;
	}
	return 0;
}

static inline size_t response_feed(struct response *r, const char *data, size_t len)
{
	size_t used = 0;

	while (used < len && r->st != RESP_DONE && r->st != RESP_BAD)
		used += response_step(r, data + used, len - used);
	return used;
}

/* The connection ended. Whether that completes the response. */
static inline bool response_eof(struct response *r)
{
	if (r->st == RESP_UNTIL_EOF)
		r->st = RESP_DONE;
	return r->st == RESP_DONE;
}

#endif
