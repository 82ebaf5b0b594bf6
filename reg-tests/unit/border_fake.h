/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border_fake.h - border on a fake queue, fake sockets, a fake stream and a fake clock
 *
 * The real border, flow, turn and path code. A pseudo socket is a number and a struct
 * repair_queues that the test writes; what border told it is written down. The program that includes it
 * must be linked with WRAP_BORDER (Makefile). To be included by one file of a program.
 */
#ifndef BORDER_FAKE_H
#define BORDER_FAKE_H

#include <errno.h>

#include "border/border.h"
#include "border/border_priv.h"
#include "l3_gateway.h"

/* ---- what stands in for sockets, stream and clock ---- */

#define BT_FD  1000
#define BT_FDS 2048

struct bt_sock {
	struct repair_spec spec;
	struct repair_queues q;
	uint32_t mark, clamp, unsent_max;
	bool open;
};

static struct bt_sock bt_sock[BT_FDS];
static int bt_nsock, bt_open;
static int bt_fail_at, bt_fail_errno; /* the n-th socket cannot be made; 0: all can */
static unsigned bt_looks;             /* at a socket's queues */
static uint64_t bt_now_us;
static bool bt_queue_busy;
static uint32_t bt_moved; /* between the last look and repair: bytes that came */

static struct promoted bt_streams[BT_FDS / 2]; /* the address of one is that of a stream */
static struct promoted *bt_with;               /* the newest */
static int bt_nstreams;
static int bt_stream_errno, bt_asks;
static bool bt_may_leave, bt_quiet, bt_opaque, bt_cancelled, bt_detached;
static const char *bt_why;
static uint64_t bt_bytes[2];
static bool bt_server_last;

uint64_t clock_us(void)
{
	return bt_now_us;
}

int __wrap_repair_prepare(int family, uint32_t mark, const char **step)
{
	return -ENOSYS; /* no stock */
}

int __wrap_repair_make(const struct repair_spec *spec, int *fd, const char **step)
{
	if (bt_fail_at && --bt_fail_at == 0) {
		*step = "bind";
		return -bt_fail_errno;
	}
	bt_sock[bt_nsock] =
	    (struct bt_sock){ .spec = *spec,
			      .mark = spec->mark,
			      .open = true,
			      .q = { .tcp_state = 1, .snd_wnd = spec->snd_wnd, .rcv_wnd = spec->rcv_wnd } };
	*fd = BT_FD + bt_nsock++;
	bt_open++;
	return 0;
}

UNUSED static struct bt_sock *bt_of(int fd)
{
	cr_assert(fd >= BT_FD && fd < BT_FD + bt_nsock && bt_sock[fd - BT_FD].open, "socket %d", fd);
	return &bt_sock[fd - BT_FD];
}

int __wrap_repair_set_mark(int fd, uint32_t mark)
{
	bt_of(fd)->mark = mark;
	return 0;
}

void __wrap_repair_clamp_window(int fd, uint32_t bytes)
{
	bt_of(fd)->clamp = bytes;
}

static unsigned bt_opened;

void __wrap_repair_open_window(int fd, uint32_t bytes)
{
	bt_of(fd)->clamp = bytes;
	bt_opened++;
}

void __wrap_repair_limit_unsent(int fd, uint32_t bytes)
{
	bt_of(fd)->unsent_max = bytes;
}

int __wrap_repair_queues(int fd, struct repair_queues *q)
{
	bt_looks++;
	*q = bt_of(fd)->q;
	return 0;
}

uint32_t __wrap_repair_tsval(int fd)
{
	return 0;
}

int __wrap_repair_freeze(int fd, struct repair_state *st)
{
	struct bt_sock *s = bt_of(fd);

	s->q.received += bt_moved;
	*st = (struct repair_state){ .tcp_state = 1,
				     .snd_seq = s->spec.snd_seq + s->q.acked,
				     .rcv_seq = s->spec.rcv_seq + s->q.received - bt_moved,
				     .snd_wnd = s->q.snd_wnd,
				     .rcv_wnd = s->q.rcv_wnd };
	return 0;
}

int __wrap_repair_thaw(int fd)
{
	bt_of(fd);
	return 0;
}

void __wrap_repair_close(int *fd)
{
	if (*fd < 0)
		return;
	bt_of(*fd)->open = false;
	bt_open--;
	*fd = -1;
}

/* The kernel gives it back; what passed there was not seen. */
const char *__wrap_l3_recall(struct flow *f)
{
	f->recalled = true;
	seqtrk_relearn(&f->trk);
	if (f->state == FLOW_ST_OFFLOADED) {
		f->seen = FLOW_SEEN_ALL;
		f->xlate_by = f->xlate_by == FLOW_XLATE_NONE ? FLOW_XLATE_NONE : FLOW_XLATE_DAEMON;
		f->mark_class = f->want_class = f->xlate_by == FLOW_XLATE_NONE ? MARK_OURS : MARK_HARD;
		flow_set_state(f, f->xlate_by == FLOW_XLATE_NONE ? FLOW_ST_WATCHED : FLOW_ST_TRANSLATED);
	}
	return NULL;
}

/* What the kernel's sockets are doing after the stream let go of them. */
static int bt_state[2];

int __wrap_border_socket_state(const struct border *b, const struct flow *f, int d)
{
	return bt_state[d];
}

bool __wrap_pktq_dry(const struct pktq *q)
{
	return !bt_queue_busy;
}

struct stream *__wrap_stream_promote(struct worker *w, const struct cfg_object *fe, const struct promoted *p)
{
	if (bt_stream_errno) {
		errno = bt_stream_errno;
		return NULL;
	}
	bt_with = &bt_streams[bt_nstreams++];
	*bt_with = *p;
	return (struct stream *)bt_with;
}

static unsigned bt_begun;

void __wrap_stream_begin(struct stream *s)
{
	bt_begun++;
}

int __wrap_stream_leave_ask(struct stream *s, enum stream_leave_when when)
{
	struct promoted *p = (struct promoted *)s;

	bt_asks++;
	p->ops->asked(s, p->owner, false);
	return 0;
}

const char *__wrap_stream_leave_why(const struct stream *s)
{
	return bt_why;
}

void __wrap_stream_leave_cancel(struct stream *s)
{
	bt_cancelled = true;
}

bool __wrap_stream_may_leave(const struct stream *s)
{
	return bt_may_leave;
}

bool __wrap_stream_is_opaque(const struct stream *s)
{
	return bt_opaque;
}

bool __wrap_stream_quiet(const struct stream *s)
{
	return bt_may_leave && bt_quiet;
}

void __wrap_stream_bytes(const struct stream *s, uint64_t bytes[2])
{
	memcpy(bytes, bt_bytes, sizeof(bt_bytes));
}

void __wrap_stream_detach(struct stream *s, struct stream_resume *out)
{
	bt_detached = true;
	*out = (struct stream_resume){ .c2s = RESUME_TUNNEL,
				       .bytes = { bt_bytes[0], bt_bytes[1] },
				       .server_last = bt_server_last };
}

/* The real one gives its sockets back, too. */
void __wrap_stream_kill(struct stream *s)
{
	struct promoted *p = (struct promoted *)s;
	int fd[2] = { -1, -1 }, d;

	for (d = 0; d < 2; d++) {
		bt_of(p->fd[d])->open = false;
		bt_open--;
	}
	p->ops->ended(s, p->owner, fd, true);
}

/* ---- a gateway with a border ---- */

UNUSED static void bt_up(const char *lines)
{
	gt_up(lines);
	gt_w.epoch = gt_ep;
	bt_now_us = gt_w.now_ms * 1000; /* the loop takes one from the other */
	bt_may_leave = bt_quiet = true;
	cr_assert_eq(border_worker_init(&gt_w), 0);
}

UNUSED static void bt_down(void)
{
	border_worker_destroy(&gt_w);
	gt_w.epoch = NULL;
	gt_down();
	cr_assert_eq(bt_open, 0, "%d sockets were left open", bt_open);
}

UNUSED static struct border *bt_border(void)
{
	return gt_w.border;
}

/* What waits for the end of the cycle. */
UNUSED static void bt_tasks(void)
{
	ev_run(gt_w.loop, EVRUN_NOWAIT);
	pktq_flush(gt_gw->q);
}

/* Time passes, a millisecond after the other, and border looks where it wants to. */
UNUSED static void bt_wait(unsigned ms)
{
	while (ms--) {
		bt_now_us += 1000;
		if (bt_border()->timer_us <= bt_now_us)
			ev_invoke(gt_w.loop, &bt_border()->timer, EV_TIMER);
		bt_tasks();
	}
	pktq_flush(gt_gw->q);
}

UNUSED static struct border_flow *bt_bf(void)
{
	return flow_border(gt_flow_1());
}

UNUSED static struct bt_sock *bt_side(int d)
{
	return bt_of(bt_bf()->fd[d]);
}

UNUSED static unsigned bt_mark(int d)
{
	return mark_get(bt_side(d)->mark, MARK_MASK_DEFAULT);
}

UNUSED static bool bt_local(uint32_t id)
{
	return gt_got(id) && gt_got(id)->local;
}

UNUSED static unsigned bt_refused(const struct gateway_reasons *rs, const char *why)
{
	unsigned n = 0;

	for (int i = 0; i < GATEWAY_REASONS; i++)
		if (rs->r[i].name && strcmp(rs->r[i].name, why) == 0)
			n += (unsigned)rs->r[i].count;
	return n;
}

#define BT_C (GT_ISN + 1)
#define BT_S (GT_SISN + 1)

/* Promoted by its first four bytes; returns their packet. */
UNUSED static uint32_t bt_promoted(void)
{
	uint32_t id;

	gt_handshake();
	id = gt_c2s(BT_C, BT_S, SEG_ACK | SEG_PSH, "ping");
	bt_tasks();
	return id;
}

/* As above, and both sockets stand behind the first four bytes: read, sent on, acknowledged. */
UNUSED static void bt_carrying(void)
{
	bt_promoted();
	cr_assert_eq(gt_flow_1()->state, FLOW_ST_PROMOTED);
	bt_side(FLOW_CLIENT)->q.received = 4;
	bt_side(FLOW_SERVER)->q.acked = 4;
	bt_bytes[0] = 4;
}

UNUSED static void bt_ask(bool req_done)
{
	bt_with->ops->asked((struct stream *)bt_with, bt_with->owner, req_done);
}

UNUSED static void bt_leave(void)
{
	bt_ask(false);
	bt_with->ops->may_leave((struct stream *)bt_with, bt_with->owner);
	bt_tasks();
}

#define BT_RULE " tcp-request content promote fe_in if { dst_port 80 }\n"

#endif
