/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stock.c - sockets that wait to become somebody's
 *
 * A packet is held while its connection's two sockets are made, and half of the system calls
 * for that do not depend on the connection. So a few sockets of each family lie ready, and are made
 * good at the end of the cycle in which some were taken, when no packet waits for it. Nobody who does not
 * promote has any: a stock begins with the first socket that was not there.
 */
#include <sys/socket.h>
#include <unistd.h>

#include "border_priv.h"

static struct border_stock *stock_of(struct border *b, int family)
{
	return &b->stock[family == AF_INET6];
}

static uint32_t stock_mark(const struct border *b)
{
	return mark_put(0, b->w->l3->mark_mask, MARK_SOCK_QUEUE);
}

int border_stock_take(struct border *b, int family, uint32_t *mark)
{
	struct border_stock *st = stock_of(b, family);

	task_queue(b->w, &b->stock_task);
	if (!st->n) {
		st->wanted = true;
		return -1;
	}
	st->n--;
	*mark = st->mark;
	return st->fd[st->n];
}

static void stock_empty(struct border_stock *st)
{
	while (st->n)
		close(st->fd[--st->n]);
}

static void stock_fill(struct border *b, struct border_stock *st, int family)
{
	uint32_t mark = stock_mark(b);
	const char *step;
	int fd;

	if (st->mark != mark)
		stock_empty(st);
	st->mark = mark;
	while (st->wanted && st->n < BORDER_STOCK) {
		fd = repair_prepare(family, mark, &step);
		if (fd < 0)
			return; /* whoever needs one tries himself, and tells */
		st->fd[st->n++] = fd;
	}
}

static void stock_task(struct worker *w, struct task *t)
{
	stock_fill(w->border, stock_of(w->border, AF_INET), AF_INET);
	stock_fill(w->border, stock_of(w->border, AF_INET6), AF_INET6);
}

void border_stock_init(struct border *b)
{
	task_init(&b->stock_task, stock_task);
}

void border_stock_end(struct border *b)
{
	task_cancel(&b->stock_task);
	stock_empty(&b->stock[0]);
	stock_empty(&b->stock[1]);
}
