/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * endpoint.h - an address with a name that can move: `app@NAME`
 *
 * `app` publishes, `l7` subscribes; neither includes the other. Each change of
 * address or state makes a new generation. Whoever connected to generation g
 * and loses the connection calls it a suspicion: the endpoint may already be
 * dead though nobody has told yet, because sockets die before the pidfd is
 * readable (FACTS §6). It waits, at most ENDPOINT_SUSPECT_MS, for the
 * generation to change before it counts the failure against the server.
 */
#ifndef STANDIN_CORE_ENDPOINT_H
#define STANDIN_CORE_ENDPOINT_H

#include "core/list.h"
#include "core/net.h"

#define ENDPOINT_SUSPECT_MS 50

struct worker;

enum endpoint_state {
	ENDPOINT_DOWN, /* nobody serves: wait (queue) or fail */
	ENDPOINT_UP,   /* addr serves */
};

struct endpoint {
	struct list node;      /* in struct endpoints */
	char *name;            /* owns: "web" for app@web */
	enum endpoint_state state;
	struct addr addr;      /* valid when up */
	uint64_t generation;   /* grows by one with each publication */
	struct list subs;      /* struct endpoint_sub */
	unsigned refs;         /* counted: subscribers and the publisher */
	bool published;        /* a publisher exists */
};

struct endpoint_sub {
	struct list node;
	void (*changed)(struct worker *w, struct endpoint_sub *sub, struct endpoint *ep);
};

int endpoints_init(struct worker *w);
void endpoints_destroy(struct worker *w);

/* Finds or makes the endpoint and takes a reference; never NULL but on no memory. */
struct endpoint *endpoint_get(struct worker *w, const char *name);
void endpoint_put(struct worker *w, struct endpoint *ep);
/* Tells every subscriber, synchronously, after the change. <addr> NULL when DOWN. */
void endpoint_publish(struct worker *w, struct endpoint *ep, enum endpoint_state st, const struct addr *addr);
/* The publisher goes away (its app left the configuration): DOWN, and published becomes false. */
void endpoint_retire(struct worker *w, struct endpoint *ep);
/* The caller holds a reference as long as it is subscribed. A callback may unsubscribe itself or others; one
 * that subscribes meanwhile is not told of this publication. */
void endpoint_subscribe(struct endpoint *ep, struct endpoint_sub *sub);
void endpoint_unsubscribe(struct endpoint_sub *sub);

#endif
