/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * probe.h - one attempt to find out whether something serves
 *
 * Used by application readiness and checks, and by server health checks. A
 * probe is a connect, optionally a request and the reading of a status line,
 * within one deadline. It lives inside its owner's object; the callback runs
 * exactly once per probe_start() unless probe_cancel() comes first, never from
 * inside probe_start(), and may start the next one.
 */
#ifndef STANDIN_CORE_PROBE_H
#define STANDIN_CORE_PROBE_H

#include <ev.h>

#include "core/net.h"

struct worker;

enum probe_kind { PROBE_TCP, PROBE_HTTP };
enum probe_result {
	PROBE_OK,
	PROBE_REFUSED,  /* connect failed; probe->error is errno */
	PROBE_TIMEOUT_CONNECT,
	PROBE_TIMEOUT_RESPONSE,
	PROBE_CLOSED,   /* closed before a whole status line */
	PROBE_BAD_REPLY, /* not HTTP */
	PROBE_BAD_STATUS, /* probe->status is not in the wanted range */
	PROBE_NO_RESOURCE, /* no descriptor, no memory, no port */
};

struct probe_spec {
	enum probe_kind kind;
	struct addr addr;
	unsigned timeout_ms;
	/* HTTP; borrowed while the probe runs */
	const char *method, *path, *host; /* NULL: "GET", "/", the address */
	unsigned status_min, status_max;  /* 0, 0: 200..399; max 0: min only */
};

struct probe {
	struct worker *w;
	struct probe_spec spec;
	void (*done)(struct probe *p, enum probe_result res);
	int fd;             /* -1 when idle */
	int error, status;
	uint64_t start_us, took_us;
	char reply[256];
	unsigned reply_len, sent;
	ev_io io;
	ev_timer timer;
	bool running, connected;
	enum probe_result early; /* what failed at once, reported by the timer */
};

void probe_init(struct probe *p, struct worker *w, void (*done)(struct probe *p, enum probe_result res));
void probe_start(struct probe *p, const struct probe_spec *spec);
void probe_cancel(struct probe *p);
const char *probe_result_name(enum probe_result r);

#endif
