/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * border_repair.c - the system calls that make a pseudo socket fail, one after the other
 *
 * The real repair.c on system calls that do nothing but say what the test wants. For every n the n-th of them
 * fails, in every way that has been seen or may be: no privilege, no buffers, an option that the kernel does
 * not know. Whatever it was, the connection is forwarded unharmed, the refusal is counted, and no descriptor
 * is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <sys/socket.h>

#include "border/border.h"
#include "border/border_priv.h"
#include "l3_gateway.h"

/* ---- the kernel ---- */

struct rt_call {
	const char *name;
	int level, opt, val;
};

static struct rt_call rt_call[128];
static int rt_calls, rt_fail_at, rt_fail_errno, rt_open;
static bool rt_armed;      /* calls are the test's */
static bool rt_ours[1024]; /* descriptors made while they were */
static char rt_stream;

int __real_socket(int family, int type, int proto);
int __real_close(int fd);
int __real_bind(int fd, const struct sockaddr *sa, socklen_t len);
int __real_connect(int fd, const struct sockaddr *sa, socklen_t len);
int __real_setsockopt(int fd, int level, int opt, const void *val, socklen_t len);
int __real_getsockopt(int fd, int level, int opt, void *val, socklen_t *len);

static int rt_did(const char *name, int level, int opt, int val)
{
	rt_call[rt_calls++ % ARRAY_SIZE(rt_call)] = (struct rt_call){ name, level, opt, val };
	if (rt_calls != rt_fail_at)
		return 0;
	errno = rt_fail_errno;
	return -1;
}

int __wrap_socket(int family, int type, int proto)
{
	int fd;

	if (!rt_armed)
		return __real_socket(family, type, proto);
	if (rt_did("socket", family, type, proto) < 0)
		return -1;
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	rt_ours[fd] = true;
	rt_open++;
	return fd;
}

int __wrap_close(int fd)
{
	if (fd >= 0 && rt_ours[fd]) {
		rt_ours[fd] = false;
		rt_open--;
	}
	return __real_close(fd);
}

int __wrap_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	return rt_armed ? rt_did("bind", 0, 0, 0) : __real_bind(fd, sa, len);
}

int __wrap_connect(int fd, const struct sockaddr *sa, socklen_t len)
{
	return rt_armed ? rt_did("connect", 0, 0, 0) : __real_connect(fd, sa, len);
}

int __wrap_setsockopt(int fd, int level, int opt, const void *val, socklen_t len)
{
	return rt_armed ? rt_did("setsockopt", level, opt, *(const int *)val)
			: __real_setsockopt(fd, level, opt, val, len);
}

int __wrap_getsockopt(int fd, int level, int opt, void *val, socklen_t *len)
{
	if (!rt_armed)
		return __real_getsockopt(fd, level, opt, val, len);
	memset(val, 0, *len);
	return rt_did("getsockopt", level, opt, 0);
}

struct stream *__wrap_stream_promote(struct worker *w, const struct cfg_object *fe, const struct promoted *p)
{
	return (struct stream *)&rt_stream;
}

void __wrap_stream_kill(struct stream *s)
{
}

/* ---- one socket ---- */

static const struct repair_spec rt_spec = {
	.local = { .family = AF_INET, .port = 80 },
	.peer = { .family = AF_INET, .port = 40000 },
	.snd_seq = 1000,
	.rcv_seq = 5000,
	.peer_mss = 1460,
	.peer_wscale = 7,
	.local_wscale = 8,
	.sack = true,
	.timestamps = true,
	.snd_wnd = 60000,
	.max_wnd = 65535,
	.rcv_wnd = 30000,
	.tsval = 77,
	.fd = -1,
};

static int rt_make(int fail_at, int err, const char **step)
{
	int fd = -1, rc;

	rt_calls = 0;
	rt_fail_at = fail_at;
	rt_fail_errno = err;
	rt_armed = true;
	rc = repair_make(&rt_spec, &fd, step);
	if (rc == 0)
		repair_close(&fd);
	rt_armed = false;
	cr_assert_eq(rt_open, 0, "call %d: a descriptor is left", fail_at);
	return rc;
}

/* Where it stands among the calls; -1: nowhere. */
static int rt_where(const char *name, int level, int opt)
{
	for (int i = 0; i < rt_calls; i++)
		if (strcmp(rt_call[i].name, name) == 0 &&
		    (!opt || (rt_call[i].level == level && rt_call[i].opt == opt)))
			return i;
	return -1;
}

Test(repair, the_calls_come_in_the_order_that_the_kernel_wants)
{
	const char *step;
	int connect_at;

	cr_assert_eq(rt_make(0, 0, &step), 0);
	connect_at = rt_where("connect", 0, 0);
	cr_assert_geq(connect_at, 0);
	cr_assert_lt(rt_where("setsockopt", SOL_SOCKET, SO_RCVBUFFORCE), connect_at,
		     "connect() takes the clamp from it");
	cr_assert_lt(rt_where("setsockopt", IPPROTO_TCP, TCP_QUEUE_SEQ), connect_at);
	cr_assert_lt(rt_where("setsockopt", IPPROTO_TCP, TCP_MAXSEG), connect_at);
	cr_assert_lt(rt_where("bind", 0, 0), connect_at);
	cr_assert_gt(rt_where("setsockopt", IPPROTO_TCP, TCP_REPAIR_OPTIONS), connect_at);
	cr_assert_gt(rt_where("setsockopt", IPPROTO_TCP, TCP_REPAIR_WINDOW), connect_at);
	cr_assert_eq(rt_call[rt_where("setsockopt", IPPROTO_TCP, TCP_TIMESTAMP)].val, 78,
		     "even, and not before what was sent");
}

Test(repair, each_call_that_fails_is_told_by_name_and_leaves_no_descriptor)
{
	static const int errs[] = { EPERM, ENOBUFS, EINVAL };
	const char *step;
	int calls, optional = 0;

	rt_make(0, 0, &step);
	calls = rt_calls - 1; /* without the closing one */
	for (size_t e = 0; e < ARRAY_SIZE(errs); e++)
		for (int n = 1; n <= calls; n++) {
			int rc;

			step = "";
			rc = rt_make(n, errs[e], &step);
			if (rc == 0) {
				int opt = rt_call[n - 1].opt;

				cr_assert(opt == 72 /* SO_BUF_LOCK */ || opt == TCP_NODELAY,
					  "call %d, option %d, matters", n, opt);
				optional++;
				continue;
			}
			cr_assert_eq(rc, -errs[e]);
			cr_assert(step[0], "call %d has a name", n);
		}
	cr_assert_eq(optional, 2 * (int)ARRAY_SIZE(errs));
}

/* ---- a connection ---- */

static const char *rt_reason(const struct gateway_reasons *rs)
{
	const char *why = NULL;

	for (int i = 0; i < GATEWAY_REASONS; i++)
		if (rs->r[i].name && rs->r[i].count) {
			cr_assert_null(why, "one reason");
			cr_assert_eq(rs->r[i].count, 1);
			why = rs->r[i].name;
		}
	return why;
}

/* Promotes a new connection while the <fail_at>-th call fails; how many calls there were. */
static int rt_promote(int fail_at, int err)
{
	uint32_t id;

	gt_up(" tcp-request content promote fe_in if { dst_port 80 }\n");
	gt_w.epoch = gt_ep;
	cr_assert_eq(border_worker_init(&gt_w), 0);
	gt_handshake();
	rt_calls = rt_open = 0;
	rt_fail_at = fail_at;
	rt_fail_errno = err;
	rt_armed = true;
	id = gt_c2s(GT_ISN + 1, GT_SISN + 1, SEG_ACK | SEG_PSH, "ping");
	rt_armed = false;
	if (gt_flow_1()->state == FLOW_ST_PROMOTED) {
		cr_assert(gt_got(id)->local);
		cr_assert_eq(rt_open, 2);
		cr_assert_null(rt_reason(&gt_gw->promote_failures));
	} else {
		const char *want = err == EADDRINUSE || err == EADDRNOTAVAIL ? "address-in-use" : "socket";

		cr_assert(gt_passed(id), "call %d: forwarded", fail_at);
		cr_assert_eq(gt_flow_1()->state, FLOW_ST_WATCHED);
		cr_assert_null(flow_border(gt_flow_1()));
		cr_assert_eq(rt_open, 0, "call %d: %d descriptors are left", fail_at, rt_open);
		cr_assert_str_eq(rt_reason(&gt_gw->promote_failures), want);
		cr_assert(gt_passed(gt_s2c(GT_SISN + 1, GT_ISN + 5, SEG_ACK, "pong")), "and it goes on");
		cr_assert(gt_passed(gt_c2s(GT_ISN + 5, GT_SISN + 5, SEG_FIN | SEG_ACK, NULL)));
	}
	return rt_calls;
}

static void rt_end(void)
{
	border_worker_destroy(&gt_w);
	gt_w.epoch = NULL;
	gt_down();
}

Test(repair, a_connection_whose_sockets_cannot_be_made_is_forwarded_unharmed)
{
	static const int errs[] = { EPERM, ENOBUFS, EINVAL, EADDRINUSE };
	int calls = rt_promote(0, 0), refused = 0;

	rt_end();
	cr_assert_gt(calls, 30);
	for (size_t e = 0; e < ARRAY_SIZE(errs); e++)
		for (int n = 1; n <= calls; n++) {
			rt_promote(n, errs[e]);
			refused += gt_flow_1()->state != FLOW_ST_PROMOTED;
			rt_end();
		}
	cr_assert_gt(refused, (int)ARRAY_SIZE(errs) * (calls - 10), "few calls do not matter");
}

Test(repair, half_of_the_work_lies_ready_for_the_next_one)
{
	int first = rt_promote(0, 0), before, fd, i;
	uint32_t mark = 0;

	rt_armed = true;
	ev_run(gt_w.loop, EVRUN_NOWAIT); /* the end of the cycle */
	cr_assert_eq(rt_open, 2 + BORDER_STOCK);
	for (i = 0; i < 2; i++) {
		const char *step;
		struct repair_spec spec = rt_spec;

		before = rt_calls;
		spec.fd = border_stock_take(gt_w.border, AF_INET, &spec.fd_mark);
		spec.mark = spec.fd_mark;
		cr_assert_geq(spec.fd, 0);
		cr_assert_eq(repair_make(&spec, &fd, &step), 0);
		cr_assert_leq(rt_calls - before, first / 2 - 7, "%d calls instead of %d", rt_calls - before,
			      first / 2);
		repair_close(&fd);
	}
	/* what has another mark gets its own; what fails is closed */
	for (i = 0; i < 2; i++) {
		const char *step;
		struct repair_spec spec = rt_spec;

		spec.fd = border_stock_take(gt_w.border, AF_INET, &spec.fd_mark);
		spec.mark = spec.fd_mark ^ 1;
		before = rt_calls;
		rt_fail_at = i ? before + 2 : 0;
		rt_fail_errno = EPERM;
		cr_assert_eq(repair_make(&spec, &fd, &step), i ? -EPERM : 0);
		cr_assert_eq(rt_call[before % ARRAY_SIZE(rt_call)].opt, SO_MARK);
		cr_assert_eq(rt_call[before % ARRAY_SIZE(rt_call)].val, (int)spec.mark);
		if (!i)
			repair_close(&fd);
	}
	cr_assert_eq(rt_open, 2 + BORDER_STOCK - 4);
	cr_assert_eq(border_stock_take(gt_w.border, AF_INET6, &mark), -1, "nobody has asked for one yet");
	ev_run(gt_w.loop, EVRUN_NOWAIT);
	cr_assert_eq(rt_open, 2 + 2 * BORDER_STOCK);
	rt_armed = false;
	rt_end();
	cr_assert_eq(rt_open, 0, "the stock is given back");
}
