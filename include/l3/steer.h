/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer.h - firewall rules, routes and sysctls that bring packets to the queue
 *
 * `steer auto` puts them in and takes them out; `steer manual` prints them
 * (--print-steering). What they do is told in l3/mark.h and doc/internals/marks.md.
 *
 *   plan   pure: from a struct steer_conf to texts (iptables-restore input of
 *          both families, the ip and sysctl lines). Self-contained, no pointers
 *          into the conf: a reload makes one and sends it to the helper thread.
 *          The same conf makes a script for nft, which is only ever printed.
 *   steer  one per network namespace: what is in force, the state file
 *          /run/standin/steer-<netns inode> with the sysctls' originals, and
 *          a lock on it that says that a daemon lives.
 *
 * steer_apply() and steer_withdraw() run iptables-save and iptables-restore and
 * wait for them (10-50 ms): call them before the loop starts, after it ended, or
 * through struct steer_job on the helper thread. Each family's rules change
 * atomically; a second family that fails takes the first back. Leftovers of a run
 * that crashed are found by their chains' names, ip rules by mark and table, and
 * replaced; originals of sysctls by the state file.
 */
#ifndef STANDIN_L3_STEER_H
#define STANDIN_L3_STEER_H

#include <net/if.h>

#include "core/buf.h"
#include "core/helper.h"
#include "core/net.h"
#include "policy/acl.h"

#define STEER_RULE_PREF 10 /* of our ip rule: after `local`, before all others */

struct steer_ports {
	uint16_t lo, hi; /* lo == hi: one port */
};

/* one `match` line */
struct steer_match {
	char in[IFNAMSIZ], out[IFNAMSIZ]; /* "": any */
	struct netmask src, dst;          /* net.family AF_UNSPEC: any. Both set: of one family */
	const struct steer_ports *ports;  /* destination ports; borrowed during steer_plan() */
	unsigned nb_ports;                /* 0: any */
};

struct steer_gateway {
	const char *name;                 /* for messages */
	uint16_t queue_first, queue_last;
	bool block;                       /* on-failure block */
	bool leftover;                    /* takes no new connections; those it has are queued, whatever family */
	const struct cond_box *kernel;    /* which of its connections need not come here at all: class offloaded at the SYN */
	unsigned nb_kernel;
	const struct steer_match *match;  /* none: nothing is handed to this gateway */
	unsigned nb_match;
};

struct steer_conf {
	uint32_t mark_mask;    /* four adjacent bits */
	uint32_t route_table;
	uint32_t set_mask;     /* bits of others that set-mark rules set: the connection keeps them for packets we do not see */
	uint64_t maxflows;     /* 0: not checked against the tracker's limit */
	bool narrow;           /* the classes lean and bulk (l3/mark.h), which need the kernel's bpf match */
	const struct steer_gateway *gw;
	unsigned nb_gw;
};

struct steer_plan;
struct steer;

/* Compiles <conf>. NULL with *err (malloc'd): mask not four adjacent bits, families mixed in one match. */
struct steer_plan *steer_plan_make(const struct steer_conf *conf, char **err);
void steer_plan_free(struct steer_plan **p);
/* iptables-restore input (family AF_INET) or ip6tables-restore input (AF_INET6) for `--noflush`, "" when
 * the plan has nothing for that family. Valid as long as the plan. */
const char *steer_plan_rules(const struct steer_plan *p, int family);
/* Do connections become the kernel's by its rules alone, without a packet in the queue? */
bool steer_plan_kernel(const struct steer_plan *p);
/* Was something of an earlier daemon left when <st> was opened? */
bool steer_after_crash(const struct steer *st);
/* All of it as a shell script that an operator can read and run: --print-steering. */
void steer_plan_print(const struct steer_plan *p, struct buf *out);
/* The same with a table for nft in place of the iptables rules; <conf>'s `narrow` and `kernel` are not looked at, manual
 * steering has neither. 0, or -EINVAL with *err (malloc'd): what steer_plan_make() refuses, and names of interfaces
 * that nft has no way to write. */
int steer_nft_print(const struct steer_conf *conf, struct buf *out, char **err);

/* Messages that are not errors ("net.ipv4.ip_forward is 0: ...") go here, one line each, no newline.
 * Called on the thread that runs steer_apply(). */
typedef void steer_warn_fn(void *arg, const char *line);

/* Takes the lock of this network namespace: -EBUSY when another daemon steers here (*err tells its pid),
 * -EPERM, -errno. Nothing is changed yet. <dir> NULL: /run/standin. */
int steer_open(struct steer **out, const char *dir, char **err);
/* Puts <p> in force, in place of what was. 0, or -errno with *err and everything as before. Idempotent. */
int steer_apply(struct steer *st, const struct steer_plan *p, steer_warn_fn *warn, void *arg, char **err);
/* Takes rules, chains, routes out and puts the sysctls back. Goes on after an error, and
 * returns the first (*err has all of them). */
int steer_withdraw(struct steer *st, char **err);
/* Drops the lock; the state file goes when nothing is in force. */
void steer_close(struct steer **st);

/* steer_apply() on the helper thread. Fill conf's plan and st, submit with steer_job_submit(); done() gets
 * rc and err in the loop. One job at a time for one struct steer. */
struct steer_job {
	struct helper_job job;
	struct steer *st;            /* borrows until done() */
	struct steer_plan *plan;     /* owns; freed after done() */
	void (*done)(struct worker *w, struct steer_job *j); /* may free the job's container */
	void *owner;
	int rc;
	char *err, *warnings;        /* malloc'd, freed after done(); warnings: lines, or NULL */
};
void steer_job_submit(struct worker *w, struct steer_job *j);

#endif
