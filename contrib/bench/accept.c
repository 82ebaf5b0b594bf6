/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * accept.c - a packet queue that accepts everything
 *
 *   accept [-c BYTES] [-b] QUEUE
 *
 * The least that any program with a packet queue can do, so what is left for one that also
 * thinks. It reads as the daemon does: GSO packets whole, BYTES (65535) of each
 * copied, up to 32 with one system call, their verdicts in one datagram. With -b one
 * batch verdict stands for all of them, which a program that may hold
 * packets cannot use.
 */
#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <sys/uio.h>

#include "tool.h"

#define MSGS     32
#define MSG_SIZE (65536 + 1024)

static uint32_t packet_id(const struct nlmsghdr *nlh)
{
	const struct nlattr *a;

	mnl_attr_for_each(
	    a, nlh,
	    sizeof(struct nfgenmsg)) if (mnl_attr_get_type(a) ==
					 NFQA_PACKET_HDR) return ntohl(((const struct nfqnl_msg_packet_hdr *)
									    mnl_attr_get_payload(a))
									   ->packet_id);
	return 0;
}

static void send_nl(int fd, const void *data, size_t len)
{
	if (send(fd, data, len, 0) < 0)
		die("netlink: %s", strerror(errno));
}

static int open_queue(int queue, unsigned copy)
{
	char buf[512];
	struct nlmsghdr *nlh;
	int one = 1, size = 32 << 20, fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	struct sockaddr_nl snl = { .nl_family = AF_NETLINK };

	if (fd < 0 || connect(fd, (struct sockaddr *)&snl, sizeof(snl)) < 0)
		die("netlink: %s", strerror(errno));
	setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, queue);
	nfq_nlmsg_cfg_put_cmd(nlh, AF_UNSPEC, NFQNL_CFG_CMD_BIND);
	send_nl(fd, nlh, nlh->nlmsg_len);
	nlh = nfq_nlmsg_put(buf, NFQNL_MSG_CONFIG, queue);
	nfq_nlmsg_cfg_put_params(nlh, NFQNL_COPY_PACKET, copy);
	nfq_nlmsg_cfg_put_qmaxlen(nlh, 65536);
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	send_nl(fd, nlh, nlh->nlmsg_len);
	return fd;
}

static size_t put_verdict(void *buf, int type, int queue, uint32_t id)
{
	struct nlmsghdr *nlh = nfq_nlmsg_put(buf, type, queue);

	nfq_nlmsg_verdict_put(nlh, id, NF_ACCEPT);
	return nlh->nlmsg_len;
}

int main(int argc, char **argv)
{
	static struct mmsghdr msg[MSGS];
	static struct iovec iov[MSGS];
	static uint32_t out[MSGS * 16];
	unsigned copy = 65535;
	bool batch = false;
	int opt, fd, queue;

	while ((opt = getopt(argc, argv, "+c:b")) != -1) {
		switch (opt) {
		case 'c': copy = atoi(optarg); break;
		case 'b': batch = true; break;
		default: return EXIT_UNABLE;
		}
	}
	if (argc - optind != 1)
		die("usage: accept [-c BYTES] [-b] QUEUE");
	queue = atoi(argv[optind]);
	fd = open_queue(queue, copy);
	for (int i = 0; i < MSGS; i++) {
		iov[i] = (struct iovec){ malloc(MSG_SIZE), MSG_SIZE };
		if (!iov[i].iov_base)
			die("out of memory");
		msg[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	}
	for (;;) {
		int n = recvmmsg(fd, msg, MSGS, MSG_WAITFORONE, NULL);
		size_t len = 0;

		if (n < 0 && errno != EINTR)
			die("recvmmsg: %s", strerror(errno));
		for (int i = batch ? n - 1 : 0; i < n; i++)
			len += put_verdict((char *)out + len,
					   batch ? NFQNL_MSG_VERDICT_BATCH : NFQNL_MSG_VERDICT, queue,
					   packet_id(iov[i].iov_base));
		if (n > 0)
			send_nl(fd, out, len);
	}
}
