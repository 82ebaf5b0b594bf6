/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * list.h - circular doubly linked lists with the node embedded in the element
 *
 * An element knows no list; list_del() leaves the node pointing to itself, so
 * deleting twice is harmless and list_empty(&elem->node) says "on no list".
 */
#ifndef STANDIN_CORE_LIST_H
#define STANDIN_CORE_LIST_H

#include "core/compiler.h"

struct list {
	struct list *next, *prev;
};

#define LIST_HEAD_INIT(name) { &(name), &(name) }

static inline void list_init(struct list *l)
{
	l->next = l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
	return l->next == l;
}

static inline void list_insert_(struct list *el, struct list *prev, struct list *next)
{
	next->prev = el;
	el->next = next;
	el->prev = prev;
	prev->next = el;
}

static inline void list_add(struct list *head, struct list *el)
{
	list_insert_(el, head, head->next);
}

static inline void list_add_tail(struct list *head, struct list *el)
{
	list_insert_(el, head->prev, head);
}

static inline void list_del(struct list *el)
{
	el->prev->next = el->next;
	el->next->prev = el->prev;
	list_init(el);
}

/* Moves all elements of <from> to the end of <to>; <from> is empty after. */
static inline void list_splice_tail(struct list *to, struct list *from)
{
	if (list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	list_init(from);
}

#define list_entry(el, type, member) container_of(el, type, member)
#define list_first(head, type, member)                                                                       \
	(list_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member) (list_empty(head) ? NULL : list_entry((head)->prev, type, member))

#define list_for_each(pos, head, member)                                                                     \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head);               \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* <pos> may be deleted in the body; its successor <tmp> may not. */
#define list_for_each_safe(pos, tmp, head, member)                                                           \
	for (pos = list_entry((head)->next, __typeof__(*pos), member),                                       \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member);                                    \
	     &pos->member != (head); pos = tmp, tmp = list_entry(tmp->member.next, __typeof__(*tmp), member))

#endif
