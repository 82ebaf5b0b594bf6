/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * wire.c - a cable between two network namespaces, with length and faults
 *
 *   wire [-d MS] [-l PERCENT] [-r PERCENT] [-u PERCENT] [-f BYTES] [-s SEED] NETNS DEV NETNS DEV
 *
 * Makes a tap device in each namespace (a name below /run/netns) and carries
 * frames between them, one at a time, as a real wire does: no offloads, no
 * large segments. Each frame takes MS of delay in its direction; PERCENT of
 * them are lost (-l), overtaken by those sent in the next 3 ms (-r), or
 * doubled (-u). With -f, TCP segments in packets of more than BYTES travel in fragments of at most that, as
 * behind a tunnel that lets no packet be too large, IPv6 too. The kernels that tests run on have no netem, so this is it.
 *
 * Prints "ready" when both devices exist and runs until it is killed. The devices go with it.
 */
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

#include "tool.h"

#define FRAME_MAX   2048
#define QUEUE_MAX   8192 /* frames on their way, a direction: a power of two */
#define OVERTAKE_US 3000

struct frame {
	int64_t due_us;
	uint16_t len;
	uint8_t data[FRAME_MAX];
};

/* Frames that all have the same delay, so their order is the order of their due times */
struct line {
	struct frame *frames;
	unsigned head, tail;
	int64_t delay_us;
};

struct direction {
	int from, to;
	struct line usual, late;
};

static double lose, overtake, repeat;
static size_t fragment; /* 0: never */

static bool happens(double percent)
{
	return percent > 0 && drand48() * 100 < percent;
}

static int tap_open(const char *netns, const char *dev)
{
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };
	char path[256];
	int ns, fd;

	snprintf(path, sizeof(path), "/run/netns/%s", netns);
	ns = open(path, O_RDONLY | O_CLOEXEC);
	if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
		die("%s: %s", path, strerror(errno));
	close(ns);
	fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", dev);
	if (fd < 0 || ioctl(fd, TUNSETIFF, &ifr) < 0)
		die("tap %s: %s", dev, strerror(errno));
	return fd;
}

static void line_init(struct line *l, int64_t delay_us)
{
	l->frames = malloc(QUEUE_MAX * sizeof(*l->frames));
	if (!l->frames)
		die("out of memory");
	l->delay_us = delay_us;
}

static void line_put(struct line *l, const uint8_t *data, uint16_t len, int64_t now)
{
	struct frame *f = &l->frames[l->tail % QUEUE_MAX];

	if (l->tail - l->head == QUEUE_MAX)
		return;
	f->due_us = now + l->delay_us;
	f->len = len;
	memcpy(f->data, data, len);
	l->tail++;
}

/* Sends what is due. Returns when the next one is, or INT64_MAX. */
static int64_t line_send(struct line *l, int to, int64_t now)
{
	for (; l->head != l->tail; l->head++) {
		struct frame *f = &l->frames[l->head % QUEUE_MAX];

		if (f->due_us > now)
			return f->due_us;
		if (write(to, f->data, f->len) < 0 && errno == EAGAIN)
			return now + 100;
	}
	return INT64_MAX;
}

static void direction_put(struct direction *d, const uint8_t *data, size_t n, int64_t now)
{
	if (happens(lose))
		return;
	line_put(happens(overtake) ? &d->late : &d->usual, data, n, now);
	if (happens(repeat))
		line_put(&d->late, data, n, now);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = v >> 8;
	p[1] = v;
}

/* RFC 1071, over an IPv4 header */
static void ip4_checksum(uint8_t *ip, size_t len)
{
	uint32_t sum = 0;

	put16(ip + 10, 0);
	for (size_t i = 0; i < len; i += 2)
		sum += ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~(sum + (sum >> 16)) & 0xffff);
}

/* The piece of an IP packet at <ip> that has <len> bytes from <at> on behind its header of <head> bytes; the frame's length */
static size_t fragment_make(uint8_t *frame, const uint8_t *eth, const uint8_t *ip, size_t head, size_t at, size_t len, bool more,
			    uint32_t id)
{
	uint8_t *out = frame + ETHER_HDR_LEN;
	bool v6 = ip[0] >> 4 == 6;

	memcpy(frame, eth, ETHER_HDR_LEN);
	memcpy(out, ip, head);
	if (v6) {
		uint8_t ext[8] = { ip[6], 0, (at | more) >> 8, at | more, id >> 24, id >> 16, id >> 8, id };

		out[6] = IPPROTO_FRAGMENT;
		put16(out + 4, sizeof(ext) + len);
		memcpy(out + head, ext, sizeof(ext));
		memcpy(out + head + sizeof(ext), ip + head + at, len);
		return ETHER_HDR_LEN + head + sizeof(ext) + len;
	}
	put16(out + 2, head + len);
	put16(out + 4, id);
	put16(out + 6, at / 8 | (more ? 0x2000 : 0));
	ip4_checksum(out, head);
	memcpy(out + head, ip + head + at, len);
	return ETHER_HDR_LEN + head + len;
}

/* In fragments, if it is too large a TCP segment. */
static void direction_split(struct direction *d, const uint8_t *data, size_t n, int64_t now)
{
	static uint32_t id = 1;
	const uint8_t *ip = data + ETHER_HDR_LEN;
	unsigned type = n > ETHER_HDR_LEN + 40U ? data[12] << 8 | data[13] : 0;
	size_t head, total, piece, at;

	head = type == ETHERTYPE_IP ? (ip[0] & 15) * 4U : 40;
	total = type == ETHERTYPE_IP ? ip[2] * 256U + ip[3] : 40 + ip[4] * 256U + ip[5];
	if (!fragment || (type != ETHERTYPE_IP && type != ETHERTYPE_IPV6) || ip[type == ETHERTYPE_IP ? 9 : 6] != IPPROTO_TCP ||
	    total <= fragment || total > n - ETHER_HDR_LEN || (type == ETHERTYPE_IP && (ip[6] & 0x3f || ip[7]))) {
		direction_put(d, data, n, now);
		return;
	}
	piece = (fragment - head - (type == ETHERTYPE_IP ? 0 : 8)) & ~7UL;
	for (at = 0; at < total - head; at += piece) {
		size_t len = total - head - at < piece ? total - head - at : piece;
		uint8_t frame[FRAME_MAX];

		direction_put(d, frame, fragment_make(frame, data, ip, head, at, len, at + len < total - head, id), now);
	}
	id++;
}

static void direction_read(struct direction *d)
{
	uint8_t data[FRAME_MAX];
	int64_t now = now_us();
	ssize_t n;

	while ((n = read(d->from, data, sizeof(data))) > 0)
		direction_split(d, data, n, now);
}

static int64_t direction_send(struct direction *d)
{
	int64_t now = now_us();
	int64_t a = line_send(&d->usual, d->to, now), b = line_send(&d->late, d->to, now);

	return a < b ? a : b;
}

static void carry(struct direction dir[2])
{
	struct pollfd pfd[2] = { { .fd = dir[0].from, .events = POLLIN },
				 { .fd = dir[1].from, .events = POLLIN } };

	for (;;) {
		int64_t a = direction_send(&dir[0]), b = direction_send(&dir[1]);
		int64_t next = a < b ? a : b, wait = next == INT64_MAX ? 1000000 : next - now_us();
		struct timespec ts = { wait / 1000000, wait % 1000000 * 1000 };

		if (wait < 0)
			ts = (struct timespec){ 0 };
		if (ppoll(pfd, 2, &ts, NULL) < 0 && errno != EINTR)
			die("poll: %s", strerror(errno));
		for (int i = 0; i < 2; i++) {
			if (pfd[i].revents & POLLIN)
				direction_read(&dir[i]);
			else if (pfd[i].revents)
				exit(0); /* its namespace has gone */
		}
	}
}

int main(int argc, char **argv)
{
	struct direction dir[2] = { 0 };
	int64_t delay_us = 0;
	long seed = 1;
	int opt;

	while ((opt = getopt(argc, argv, "d:l:r:u:f:s:")) != -1) {
		switch (opt) {
		case 'd': delay_us = atof(optarg) * 1000; break;
		case 'l': lose = atof(optarg); break;
		case 'r': overtake = atof(optarg); break;
		case 'u': repeat = atof(optarg); break;
		case 'f': fragment = atoi(optarg); break;
		case 's': seed = atol(optarg); break;
		default: return EXIT_UNABLE;
		}
	}
	if (argc - optind != 4 || (fragment && (fragment < 128 || fragment > 1500)))
		die("usage: wire [-d MS] [-l PERCENT] [-r PERCENT] [-u PERCENT] [-f BYTES] [-s SEED] NETNS DEV NETNS "
		    "DEV");
	srand48(seed);
	prctl(PR_SET_TIMERSLACK, 1);
	dir[0].from = dir[1].to = tap_open(argv[optind], argv[optind + 1]);
	dir[1].from = dir[0].to = tap_open(argv[optind + 2], argv[optind + 3]);
	for (int i = 0; i < 2; i++) {
		line_init(&dir[i].usual, delay_us);
		line_init(&dir[i].late, delay_us + OVERTAKE_US);
	}
	puts("ready");
	fflush(stdout);
	carry(dir);
}
