/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow_filter.h - which flows `show flow` lists
 *
 * Pairs of a word and a value, all of which a flow must fit.
 */
#ifndef STANDIN_L3_FLOW_FILTER_H
#define STANDIN_L3_FLOW_FILTER_H

#include "core/net.h"

struct flow;

#define FLOW_FILTER_USAGE \
	"[state <state>] [gateway <name>] [frontend <name>] [src|dst|addr <net>[:<port>]] [older|younger <time>]"

/* one end's addresses and port */
struct flow_filter_end {
	struct netmask net; /* net.family AF_UNSPEC: any */
	uint16_t port;      /* 0: any */
};

struct flow_filter {
	int state;                    /* enum flow_state; -1: any */
	const char *gateway, *frontend; /* borrow from argv; NULL: any. frontend "-": never promoted */
	struct flow_filter_end src, dst, any;
	unsigned older_ms, younger_ms; /* 0: any age */
};

/* argv: words and values in turn. 0, or -EINVAL with *err (malloc'd). */
int flow_filter_parse(struct flow_filter *ff, int argc, char **argv, char **err);
/* <now_ms>: clock_ms() */
bool flow_filter_match(const struct flow_filter *ff, const struct flow *f, uint64_t now_ms);

#endif
