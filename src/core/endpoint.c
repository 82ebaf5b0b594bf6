/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * endpoint.c - addresses with a name that can move
 *
 * Few (one for each app) and rarely looked up by name: a list. While a publication
 * tells the subscribers, they wait on a list of their own and go back to
 * ep->subs one by one: any of them may unsubscribe itself or another, and a
 * publication made from inside one tells everybody the newest state.
 */
#include "core/endpoint.h"

#include <errno.h>
#include <stdlib.h>

#include "core/bug.h"
#include "core/worker.h"

struct endpoints {
	struct list all;
	uint64_t floor; /* the highest generation of those that have gone: a name that comes back goes on from it */
};

int endpoints_init(struct worker *w)
{
	w->endpoints = calloc(1, sizeof(*w->endpoints));
	if (!w->endpoints)
		return -ENOMEM;
	list_init(&w->endpoints->all);
	return 0;
}

static void endpoint_free(struct endpoints *all, struct endpoint *ep)
{
	all->floor = MAX(all->floor, ep->generation);
	list_del(&ep->node);
	free(ep->name);
	free(ep);
}

void endpoints_destroy(struct worker *w)
{
	struct endpoint *ep, *next;

	if (!w->endpoints)
		return;
	list_for_each_safe (ep, next, &w->endpoints->all, node) {
		WARN_ON(ep->refs);
		endpoint_free(w->endpoints, ep);
	}
	free(w->endpoints);
	w->endpoints = NULL;
}

struct endpoint *endpoint_get(struct worker *w, const char *name)
{
	struct endpoint *ep;

	list_for_each (ep, &w->endpoints->all, node) {
		if (strcmp(ep->name, name) == 0) {
			ep->refs++;
			return ep;
		}
	}
	ep = calloc(1, sizeof(*ep));
	if (!ep)
		return NULL;
	ep->name = strdup(name);
	if (!ep->name) {
		free(ep);
		return NULL;
	}
	ep->refs = 1;
	ep->generation = w->endpoints->floor;
	list_init(&ep->subs);
	list_add_tail(&w->endpoints->all, &ep->node);
	return ep;
}

void endpoint_put(struct worker *w, struct endpoint *ep)
{
	if (!ep || WARN_ON(!ep->refs))
		return;
	if (--ep->refs)
		return;
	WARN_ON(!list_empty(&ep->subs));
	endpoint_free(w->endpoints, ep);
}

void endpoint_publish(struct worker *w, struct endpoint *ep, enum endpoint_state st, const struct addr *addr)
{
	struct list waiting;

	ep->published = true;
	ep->state = st;
	ep->addr = st == ENDPOINT_UP && addr ? *addr : (struct addr){ 0 };
	ep->generation++;
	ep->refs++; /* a subscriber may drop what was the last one */
	list_init(&waiting);
	list_splice_tail(&waiting, &ep->subs);
	while (!list_empty(&waiting)) {
		struct endpoint_sub *sub = list_first(&waiting, struct endpoint_sub, node);

		list_del(&sub->node);
		list_add_tail(&ep->subs, &sub->node);
		sub->changed(w, sub, ep);
	}
	endpoint_put(w, ep);
}

void endpoint_retire(struct worker *w, struct endpoint *ep)
{
	endpoint_publish(w, ep, ENDPOINT_DOWN, NULL);
	ep->published = false;
}

void endpoint_subscribe(struct endpoint *ep, struct endpoint_sub *sub)
{
	list_add_tail(&ep->subs, &sub->node);
}

void endpoint_unsubscribe(struct endpoint_sub *sub)
{
	list_del(&sub->node);
}
