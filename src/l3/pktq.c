/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pktq.c - a gateway's netlink socket to the kernel's packet queues
 *
 * Reading. The kernel sends one netlink message per packet. recvmmsg() takes up
 * to PKTQ_RX_MSGS of them with one system call into buffers that are big enough
 * for a full GSO packet; each is parsed and handed to the handler where it lies.
 * After each recvmmsg() the handler's batch_end() runs and the verdicts are
 * sent. A wake-up reads at most PKTQ_ROUNDS times, or for PKTQ_BUDGET_US, so a busy queue cannot starve
 * the loop; libev calls again as long as the socket is readable.
 *
 * Verdicts. Each is one NFQNL_MSG_VERDICT message; nfnetlink takes any number of
 * them in one datagram. The headers are built in a buffer, replaced payloads are
 * referenced by the iovec and must live until the flush. The kernel's own batch
 * verdict is of no use: it covers every id below it, also those being held.
 * The reinjected packet runs through the rest of its path inside our sendmsg().
 *
 * The socket is set to drop notifications rather than report ENOBUFS: a packet
 * that does not fit is dropped by the kernel, as by any full router queue.
 * Fail-open is not asked for: a packet of a translated connection must never
 * pass untranslated.
 *
 * Limits: an attribute cannot carry more than 65531 bytes, so the largest
 * possible packets (65532..65535) arrive truncated; pkt.full_len tells.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>

#include "core/bug.h"
#include "core/clock.h"
#include "core/net.h"
#include "core/worker.h"
#include "l3/pktq.h"

#define PKTQ_RX_MSGS 32
#define PKTQ_RX_SIZE (65536 + 1024)     /* largest payload and all other attributes */
#define PKTQ_ROUNDS 8                   /* recvmmsg() calls per wake-up */
#define PKTQ_BUDGET_US 1000             /* after that others have their turn: a promotion takes as long as many packets */
#define PKTQ_COPY_RANGE 0xffff
#define PKTQ_MAXLEN 65536               /* packets that may wait in the kernel, held ones included */
#define PKTQ_RCVBUF (32 << 20)
#define PKTQ_SNDBUF (8 << 20)
#define PKTQ_TX_MSGS 256                /* verdicts in one sendmsg() */
#define PKTQ_TX_BYTES (1 << 20)         /* and their bytes: netlink copies them into one skb */
#define PKTQ_TX_HDR 64                  /* bytes of one verdict without payload */

struct pktq_rx {
	struct mmsghdr msg[PKTQ_RX_MSGS];
	struct iovec iov[PKTQ_RX_MSGS];
	uint8_t *area; /* mmap()ed */
};

struct pktq_tx {
	unsigned n, niov;
	size_t bytes;
	struct iovec iov[PKTQ_TX_MSGS * 3]; /* header, payload, padding */
	uint32_t hdr[PKTQ_TX_MSGS][PKTQ_TX_HDR / 4];
};

static const uint8_t pktq_pad[MNL_ALIGNTO];

/* ---- reading ---- */

static uint32_t pktq_attr_u32(const struct nlattr *a)
{
	return a && mnl_attr_get_payload_len(a) >= 4 ? ntohl(mnl_attr_get_u32(a)) : 0;
}

static uint8_t pktq_family(const struct nfqnl_msg_packet_hdr *ph)
{
	switch (ntohs(ph->hw_protocol)) {
	case 0x0800:
		return AF_INET;
	case 0x86dd:
		return AF_INET6;
	}
	return 0;
}

int pktq_parse(const struct nlmsghdr *nlh, struct pktq_pkt *p)
{
	const struct nlattr *at[NFQA_MAX + 1] = { NULL };
	const struct nfqnl_msg_packet_hdr *ph;
	const struct nfgenmsg *nfg;
	const struct nlattr *attr;
	uint32_t info;

	if (nlh->nlmsg_type != ((NFNL_SUBSYS_QUEUE << 8) | NFQNL_MSG_PACKET) ||
	    nlh->nlmsg_len < mnl_nlmsg_size(sizeof(*nfg)))
		return -EBADMSG;
	mnl_attr_for_each(attr, nlh, sizeof(*nfg)) {
		uint16_t type = mnl_attr_get_type(attr);

		if (type <= NFQA_MAX)
			at[type] = attr;
	}
	if (!at[NFQA_PACKET_HDR] || mnl_attr_get_payload_len(at[NFQA_PACKET_HDR]) < sizeof(*ph))
		return -EBADMSG;

	nfg = mnl_nlmsg_get_payload(nlh);
	ph = mnl_attr_get_payload(at[NFQA_PACKET_HDR]);
	info = pktq_attr_u32(at[NFQA_SKB_INFO]);
	*p = (struct pktq_pkt){
		.ref = { .id = ntohl(ph->packet_id), .queue = ntohs(nfg->res_id) },
		.family = pktq_family(ph),
		.hook = ph->hook,
		.csum_partial = info & (NFQA_SKB_CSUMNOTREADY | NFQA_SKB_GSO),
		.mark = pktq_attr_u32(at[NFQA_MARK]),
		.in_if = pktq_attr_u32(at[NFQA_IFINDEX_INDEV]),
		.out_if = pktq_attr_u32(at[NFQA_IFINDEX_OUTDEV]),
	};
	if (at[NFQA_PAYLOAD]) {
		p->data = mnl_attr_get_payload(at[NFQA_PAYLOAD]);
		p->len = mnl_attr_get_payload_len(at[NFQA_PAYLOAD]);
	}
	p->full_len = at[NFQA_CAP_LEN] ? pktq_attr_u32(at[NFQA_CAP_LEN]) : p->len;
	return 0;
}

/* All messages of one datagram: in practice one. */
static void pktq_datagram(struct pktq *q, const void *area, int len)
{
	const struct nlmsghdr *nlh = area;
	struct pktq_pkt p;

	for (; mnl_nlmsg_ok(nlh, len); nlh = mnl_nlmsg_next(nlh, &len)) {
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			q->stats.errors++;
			continue;
		}
		if (pktq_parse(nlh, &p) < 0) {
			q->stats.malformed++;
			continue;
		}
		q->stats.packets++;
		q->h->packet(q->owner, q, &p);
	}
	if (len > 0)
		q->stats.malformed++;
}

/* One recvmmsg() and its verdicts. False when the queue is empty or nothing more can be read. */
static bool pktq_round(struct pktq *q)
{
	struct pktq_rx *rx = q->rx;
	bool drained;
	int i, n;

	do
		n = recvmmsg(q->fd, rx->msg, PKTQ_RX_MSGS, MSG_DONTWAIT, NULL);
	while (n < 0 && errno == EINTR);
	for (i = 0; i < n; i++) {
		if (rx->msg[i].msg_hdr.msg_flags & MSG_TRUNC)
			q->stats.malformed++;
		else
			pktq_datagram(q, rx->iov[i].iov_base, rx->msg[i].msg_len);
	}
	/* fewer than asked for: the next call would have said EAGAIN */
	drained = n < PKTQ_RX_MSGS;
	q->was_empty = n <= 0;
	q->again = false;
	q->stats.batches++;
	pktq_flush(q);
	q->h->batch_end(q->owner, q, drained);
	pktq_flush(q);
	return !drained || q->again;
}

/* Verdicts given outside a batch (timers, commands): sent when the cycle ends. */
static void pktq_flush_task(struct worker *w, struct task *t)
{
	pktq_flush(container_of(t, struct pktq, flush));
}

void pktq_read(struct pktq *q)
{
	uint64_t from = clock_us();
	int i;

	if (q->fd < 0 || q->in_batch)
		return;
	q->in_batch = true;
	for (i = 0; i < PKTQ_ROUNDS && pktq_round(q) && clock_us() - from < PKTQ_BUDGET_US; i++)
		;
	q->in_batch = false;
}

bool pktq_dry(const struct pktq *q)
{
	struct pollfd p = { .fd = q->fd, .events = POLLIN };

	return q->fd < 0 || poll(&p, 1, 0) == 0;
}

static void pktq_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	pktq_read(io->data);
}

/* ---- verdicts ---- */

static void pktq_tx_add(struct pktq_tx *tx, const void *p, size_t n)
{
	if (!n)
		return;
	tx->iov[tx->niov++] = (struct iovec){ .iov_base = (void *)p, .iov_len = n };
	tx->bytes += n;
}

static uint32_t pktq_kernel_verdict(enum pktq_action a)
{
	switch (a) {
	case PKTQ_ACCEPT:
		return NF_ACCEPT;
	case PKTQ_REPEAT:
		return NF_REPEAT;
	case PKTQ_DROP:
		break;
	}
	return NF_DROP;
}

void pktq_verdict(struct pktq *q, const struct pktq_verdict *v)
{
	struct pktq_tx *tx = q->tx;
	struct nlmsghdr *nlh;
	size_t before;

	q->stats.verdicts++;
	if (q->sink) {
		q->sink(q, v);
		return;
	}
	if (tx->n == PKTQ_TX_MSGS || (tx->n && tx->bytes + v->len > PKTQ_TX_BYTES))
		pktq_flush(q);

	nlh = nfq_nlmsg_put((char *)tx->hdr[tx->n], NFQNL_MSG_VERDICT, v->ref.queue);
	nfq_nlmsg_verdict_put(nlh, (int)v->ref.id, (int)pktq_kernel_verdict(v->action));
	if (v->set_mark)
		nfq_nlmsg_verdict_put_mark(nlh, v->mark);
	before = nlh->nlmsg_len;
	if (v->data) {
		struct nlattr *a = mnl_nlmsg_get_payload_tail(nlh);

		a->nla_type = NFQA_PAYLOAD;
		a->nla_len = (uint16_t)(MNL_ATTR_HDRLEN + v->len);
		before += MNL_ATTR_HDRLEN;
		nlh->nlmsg_len = (uint32_t)(before + MNL_ALIGN(v->len));
	}
	pktq_tx_add(tx, nlh, before);
	if (v->data) {
		pktq_tx_add(tx, v->data, v->len);
		pktq_tx_add(tx, pktq_pad, MNL_ALIGN(v->len) - v->len);
	}
	tx->n++;
	if (!q->in_batch)
		task_queue(q->w, &q->flush);
}

static void pktq_mem_free(struct pktq *q)
{
	struct pktq_mem *m;

	while ((m = q->mem)) {
		q->mem = m->next;
		free(m);
	}
}

void pktq_free_later(struct pktq *q, struct pktq_mem *m)
{
	m->next = q->mem;
	q->mem = m;
	if (!q->in_batch && !q->sink)
		task_queue(q->w, &q->flush);
}

void pktq_flush(struct pktq *q)
{
	struct pktq_tx *tx = q->tx;
	struct sockaddr_nl snl = { .nl_family = AF_NETLINK };
	struct msghdr mh = { .msg_name = &snl, .msg_namelen = sizeof(snl) };
	ssize_t rc;

	q->flushes++;
	if (tx && tx->n) {
		mh.msg_iov = tx->iov;
		mh.msg_iovlen = tx->niov;
		do
			rc = sendmsg(q->fd, &mh, 0);
		while (rc < 0 && errno == EINTR);
		if (rc < 0)
			q->stats.errors += tx->n;
		tx->n = tx->niov = 0;
		tx->bytes = 0;
	}
	pktq_mem_free(q);
}

/* ---- setting up ---- */

/* Sends <nlh> and waits for its acknowledgement; packets that come in between are not possible yet on a
 * fresh socket, and harmless: they are read again by nobody and dropped with the queue. */
static int pktq_request(struct pktq *q, struct nlmsghdr *nlh)
{
	char buf[8192];
	ssize_t n;

	nlh->nlmsg_flags |= NLM_F_ACK;
	nlh->nlmsg_seq = ++q->seq;
	if (send(q->fd, nlh, nlh->nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		const struct nlmsghdr *r = (const struct nlmsghdr *)buf;
		int len;

		n = recv(q->fd, buf, sizeof(buf), 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		len = (int)n;
		if (!mnl_nlmsg_ok(r, len) || r->nlmsg_type != NLMSG_ERROR || r->nlmsg_seq != q->seq)
			continue;
		return ((const struct nlmsgerr *)mnl_nlmsg_get_payload(r))->error;
	}
}

static int pktq_config(struct pktq *q, uint16_t queue)
{
	uint32_t buf[64];
	struct nlmsghdr *nlh;
	uint32_t flags = NFQA_CFG_F_GSO;
	int rc;

	nlh = nfq_nlmsg_put((char *)buf, NFQNL_MSG_CONFIG, queue);
	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	rc = pktq_request(q, nlh);
	if (rc < 0)
		return rc;
	nlh = nfq_nlmsg_put((char *)buf, NFQNL_MSG_CONFIG, queue);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, PKTQ_COPY_RANGE);
	nfq_nlmsg_cfg_put_qmaxlen(nlh, PKTQ_MAXLEN);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(flags));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(flags));
	return pktq_request(q, nlh);
}

static int pktq_fail(char **err, int rc, const char *what, int queue)
{
	const char *hint = "";

	if (rc == -EPERM)
		hint = queue >= 0 ? " (CAP_NET_ADMIN is needed, and another process may have the queue)" :
				    " (CAP_NET_ADMIN is needed)";
	else if (rc == -EBUSY)
		hint = " (another process has the queue)";
	else if (rc == -EPROTONOSUPPORT || rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ENOENT)
		hint = " (does this kernel have CONFIG_NETFILTER_NETLINK_QUEUE?)";
	if (queue >= 0) {
		if (asprintf(err, "%s %d: %s%s", what, queue, strerror(-rc), hint) < 0)
			*err = NULL;
	} else if (asprintf(err, "%s: %s%s", what, strerror(-rc), hint) < 0) {
		*err = NULL;
	}
	return rc;
}

static void pktq_tune(int fd)
{
	int one = 1, rcv = PKTQ_RCVBUF, snd = PKTQ_SNDBUF;

	/* best effort: each only makes a full queue less likely */
	setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &rcv, sizeof(rcv));
	setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &snd, sizeof(snd));
}

static int pktq_alloc(struct pktq *q)
{
	struct pktq_rx *rx;
	int i;

	q->tx = calloc(1, sizeof(*q->tx));
	q->rx = rx = calloc(1, sizeof(*q->rx));
	if (!q->tx || !rx)
		return -ENOMEM;
	rx->area = mmap(NULL, PKTQ_RX_MSGS * PKTQ_RX_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rx->area == MAP_FAILED) {
		rx->area = NULL;
		return -ENOMEM;
	}
	for (i = 0; i < PKTQ_RX_MSGS; i++) {
		rx->iov[i] = (struct iovec){ .iov_base = rx->area + i * PKTQ_RX_SIZE, .iov_len = PKTQ_RX_SIZE };
		rx->msg[i].msg_hdr = (struct msghdr){ .msg_iov = &rx->iov[i], .msg_iovlen = 1 };
	}
	return 0;
}

int pktq_open(struct pktq *q, struct worker *w, uint16_t first, uint16_t last, const struct pktq_handler *h, void *owner,
	     char **err)
{
	struct sockaddr_nl snl = { .nl_family = AF_NETLINK };
	int rc, n;

	*q = (struct pktq){ .w = w, .h = h, .owner = owner, .first = first, .last = last, .fd = -1, .flushes = 1 };
	list_init(&q->node);
	task_init(&q->flush, pktq_flush_task);
	q->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (q->fd < 0)
		return pktq_fail(err, -errno, "netfilter socket", -1);
	if (bind(q->fd, (struct sockaddr *)&snl, sizeof(snl)) < 0) {
		rc = pktq_fail(err, -errno, "netfilter socket", -1);
		goto out;
	}
	pktq_tune(q->fd);
	for (n = first; n <= last; n++) {
		rc = pktq_config(q, (uint16_t)n);
		if (rc < 0) {
			pktq_fail(err, rc, "queue", n);
			goto out;
		}
	}
	rc = pktq_alloc(q);
	if (rc < 0) {
		pktq_fail(err, rc, "queue buffers", -1);
		goto out;
	}
	net_nonblock(q->fd);
	ev_io_init(&q->io, pktq_readable, q->fd, EV_READ);
	q->io.data = q;
	ev_io_start(w->loop, &q->io);
	return 0;
out:
	pktq_close(q);
	return rc;
}

int pktq_open_fake(struct pktq *q, struct worker *w, const struct pktq_handler *h, void *owner,
		  void (*sink)(struct pktq *q, const struct pktq_verdict *v))
{
	*q = (struct pktq){ .w = w, .h = h, .owner = owner, .fd = -1, .sink = sink, .flushes = 1, .was_empty = true };
	list_init(&q->node);
	task_init(&q->flush, pktq_flush_task);
	return 0;
}

void pktq_close(struct pktq *q)
{
	pktq_flush(q);
	task_cancel(&q->flush);
	if (q->fd >= 0) {
		if (ev_is_active(&q->io))
			ev_io_stop(q->w->loop, &q->io);
		close(q->fd);
		q->fd = -1;
	}
	if (q->rx && q->rx->area)
		munmap(q->rx->area, PKTQ_RX_MSGS * PKTQ_RX_SIZE);
	free(q->rx);
	free(q->tx);
	q->rx = NULL;
	q->tx = NULL;
}

/* ---- the kernel's counters ---- */

void pktq_kernel_line(const char *line, uint16_t first, uint16_t last, struct pktq_kernel *out)
{
	unsigned queue, portid, waiting, mode, range, full, lost;

	/* nfqnl_seq_show() in net/netfilter/nfnetlink_queue.c */
	if (sscanf(line, "%u %u %u %u %u %u %u", &queue, &portid, &waiting, &mode, &range, &full, &lost) != 7 ||
	    queue < first || queue > last)
		return;
	out->waiting += waiting;
	out->overrun += (uint64_t)full + lost;
}

void pktq_kernel(const struct pktq *q, struct pktq_kernel *out)
{
	char line[256];
	FILE *f = fopen("/proc/net/netfilter/nfnetlink_queue", "re");

	*out = (struct pktq_kernel){ 0 };
	if (!f)
		return;
	while (fgets(line, sizeof(line), f))
		pktq_kernel_line(line, q->first, q->last, out);
	fclose(f);
}
