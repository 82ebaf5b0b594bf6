/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * trace.h - what happens to one flow, told step by step
 *
 * `trace flow <id>` listens to a flow until it ends or the listener leaves. Every
 * step is a line: each packet with what became of it, changes of state, decisions,
 * refusals. A flow that nobody listens to pays for one look at a flag.
 */
#ifndef STANDIN_L3_TRACE_H
#define STANDIN_L3_TRACE_H

#include "core/compiler.h"

struct flow;
struct visit;
struct l3;

/* A step of <f>; no newline. Also <f>'s log lines come this way. */
void trace_step_(struct flow *f, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A packet, and what became of it. */
void trace_packet_(const struct visit *v, const char *fate);
/* The flow is gone: its listeners' commands end. */
void trace_over_(struct flow *f);
/* <l3> goes: listeners that are left know of no flow. */
void trace_end(struct l3 *l3);

#define trace_step(f, ...)                          \
	do {                                        \
		if (unlikely((f)->traced))          \
			trace_step_((f), __VA_ARGS__); \
	} while (0)
#define trace_packet(v, fate)                       \
	do {                                        \
		if ((v)->f && unlikely((v)->f->traced)) \
			trace_packet_((v), (fate)); \
	} while (0)
#define trace_over(f)                               \
	do {                                        \
		if (unlikely((f)->traced))          \
			trace_over_((f));           \
	} while (0)

#endif
