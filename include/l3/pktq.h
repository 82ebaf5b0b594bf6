/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * pktq.h - packets from the kernel's queue, verdicts back to it
 *
 * One struct pktq serves the queue numbers of one gateway with one netlink
 * socket. Packets are handed out one by one where they lie in the receive
 * buffer; verdicts are collected and sent together when the batch is over.
 * A packet without a verdict stays in the kernel: that is what holding means,
 * and whoever holds one keeps its struct pktq_ref.
 */
#ifndef STANDIN_L3_PKTQ_H
#define STANDIN_L3_PKTQ_H

#include <ev.h>

#include "core/list.h"
#include "core/worker.h"

struct pktq;
struct pktq_rx;

/* What names a packet that waits in the kernel. */
struct pktq_ref {
	uint32_t id;
	uint16_t queue;
};

enum pktq_hook { PKTQ_HOOK_PREROUTING = 0, PKTQ_HOOK_FORWARD = 2, PKTQ_HOOK_OUTPUT = 3 }; /* NF_INET_* */

struct pktq_pkt {
	struct pktq_ref ref;
	uint8_t family;       /* AF_INET or AF_INET6; 0: another protocol */
	uint8_t hook;         /* enum pktq_hook */
	bool csum_partial;    /* the TCP checksum is not filled in yet (GSO or local traffic) */
	uint32_t mark;
	uint32_t in_if, out_if; /* 0: none */
	uint8_t *data;        /* IP header on; may be written to; valid until the handler returns */
	uint32_t len;         /* bytes in data */
	uint32_t full_len;    /* of the packet; above len when it was truncated: cannot be rewritten then */
};

enum pktq_action { PKTQ_DROP, PKTQ_ACCEPT, PKTQ_REPEAT };

struct pktq_verdict {
	struct pktq_ref ref;
	enum pktq_action action;
	bool set_mark;
	uint32_t mark;
	/* Replaces the whole packet when not NULL. Must stay valid until pktq_flush(). */
	const void *data;
	uint32_t len;
};

/* Memory that a verdict of this batch still points to: linked here, freed by pktq_flush(). First member of what
 * malloc() gave. */
struct pktq_mem {
	struct pktq_mem *next;
};

struct pktq_handler {
	/* One packet. Its verdict may be given now, later, or never (then the kernel keeps it until the queue closes). */
	void (*packet)(void *owner, struct pktq *q, struct pktq_pkt *p);
	/* After each batch, when its verdicts are sent. <drained>: the queue was read until it was empty, and may have filled
	 * while the batch was worked on (q->was_empty: it had not; q->again: read it once more). */
	void (*batch_end)(void *owner, struct pktq *q, bool drained);
};

struct pktq_stats {
	uint64_t packets, verdicts, batches;
	uint64_t malformed;   /* netlink messages that made no sense */
	uint64_t errors;      /* verdicts that the kernel refused */
};

struct pktq {
	struct list node;         /* owner's */
	struct worker *w;
	const struct pktq_handler *h;
	void *owner;
	uint16_t first, last;     /* queue numbers */
	int fd;                   /* -1: a test's, verdicts go to sink */
	unsigned portid, seq;
	ev_io io;
	struct pktq_rx *rx;        /* owns: receive buffers */
	struct pktq_tx *tx;        /* owns: verdicts collected */
	bool in_batch;             /* verdicts given now are sent when the batch is over */
	bool was_empty;            /* the batch is: nothing waited when it was read */
	bool again;                /* the handler asks for another read before others have their turn */
	uint64_t flushes;          /* from 1 on */
	struct task flush;         /* and otherwise when the cycle is */
	struct pktq_mem *mem;      /* to be freed after the flush */
	struct pktq_stats stats;
	void (*sink)(struct pktq *q, const struct pktq_verdict *v); /* tests: sees verdicts instead of the kernel */
};

/* Binds the queues and starts reading. On failure -errno with *err set (malloc'd text that says what is missing:
 * support in the kernel, permission, or that another process has the queue). */
int pktq_open(struct pktq *q, struct worker *w, uint16_t first, uint16_t last, const struct pktq_handler *h, void *owner,
	     char **err);
/* A queue without a kernel behind it, for tests: verdicts go to <sink>. */
int pktq_open_fake(struct pktq *q, struct worker *w, const struct pktq_handler *h, void *owner,
		  void (*sink)(struct pktq *q, const struct pktq_verdict *v));
/* Packets without a verdict are dropped by the kernel, which then follows the queue rule's bypass flag. */
void pktq_close(struct pktq *q);

/* Reads what waits now, not at the next wake-up of the loop; bounded. Nothing from inside a handler. */
void pktq_read(struct pktq *q);
/* Is there nothing to read now? */
bool pktq_dry(const struct pktq *q);

/* Collects a verdict; sends what was collected when it becomes too much. */
void pktq_verdict(struct pktq *q, const struct pktq_verdict *v);
/* Frees <m> once the verdicts that may point to it are sent. */
void pktq_free_later(struct pktq *q, struct pktq_mem *m);
void pktq_flush(struct pktq *q);

/* What the kernel says of the queues <first>..<last>. */
struct pktq_kernel {
	uint64_t waiting; /* packets without a verdict, held ones too */
	uint64_t overrun; /* dropped: the queue or the socket was full */
};
/* Reads /proc: for commands, not for packets. */
void pktq_kernel(const struct pktq *q, struct pktq_kernel *out);
/* One line of it: adds the numbers when it is about one of those queues. For pktq.c and tests. */
void pktq_kernel_line(const char *line, uint16_t first, uint16_t last, struct pktq_kernel *out);

/* One netlink message to a packet; for pktq.c and the fuzz target. 0, or -EBADMSG. */
struct nlmsghdr;
int pktq_parse(const struct nlmsghdr *nlh, struct pktq_pkt *p);

#endif
