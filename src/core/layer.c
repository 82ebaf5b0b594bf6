/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * layer.c - the list of layers, sorted by start order
 */
#include "core/layer.h"

#include <string.h>

#include "core/log.h"

static struct layer *layer_head;

void layer_register(struct layer *l)
{
	struct layer **at = &layer_head;

	while (*at && (*at)->order <= l->order)
		at = &(*at)->next;
	l->next = *at;
	*at = l;
}

/* Ends the layers before <end> (NULL: all), the last started first. */
static void layers_destroy_until(struct worker *w, const struct layer *end)
{
	const struct layer *l, *last;

	while (end != layer_head) {
		last = NULL;
		for (l = layer_head; l != end; l = l->next)
			last = l;
		if (!last)
			return;
		if (last->destroy)
			last->destroy(w);
		end = last;
	}
}

int layers_init(struct worker *w)
{
	struct layer *l;
	int rc;

	for (l = layer_head; l; l = l->next) {
		rc = l->init ? l->init(w) : 0;
		if (rc < 0) {
			msg_alert("%s cannot start: %s", l->name, strerror(-rc));
			layers_destroy_until(w, l);
			return rc;
		}
	}
	return 0;
}

void layers_destroy(struct worker *w)
{
	layers_destroy_until(w, NULL);
}

void layers_soft_stop(struct worker *w)
{
	const struct layer *l;

	for (l = layer_head; l; l = l->next) {
		if (l->soft_stop)
			l->soft_stop(w);
	}
}

unsigned layers_busy(struct worker *w)
{
	const struct layer *l;
	unsigned n = 0;

	for (l = layer_head; l; l = l->next)
		n += l->busy ? l->busy(w) : 0;
	return n;
}

void layers_log_state(struct worker *w)
{
	const struct layer *l;

	for (l = layer_head; l; l = l->next) {
		if (l->log_state)
			l->log_state(w);
	}
}
