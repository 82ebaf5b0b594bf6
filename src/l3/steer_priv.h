/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * steer_priv.h - shared by steer.c (order, lock, state), steer_plan.c and steer_nft.c (texts), steer_run.c (programs)
 * and steer_route.c (rtnetlink)
 */
#ifndef STANDIN_L3_STEER_PRIV_H
#define STANDIN_L3_STEER_PRIV_H

#include "l3/steer.h"

#define STEER_CHAIN "STANDIN_" /* all our chains begin so: what does not is not ours */

struct steer_plan {
	uint32_t mark_mask, route_table;
	uint64_t maxflows;
	char *rules[2]; /* owns: [0] IPv4, [1] IPv6; "" when nothing is wanted */
	char *names;    /* owns: of the gateways, "a, b" */
	bool kernel;    /* connections become the kernel's by rules alone */
};

struct steer_sysctl {
	const char *path; /* below /proc/sys */
	const char *want;
};
extern const struct steer_sysctl steer_sysctls[];
extern const unsigned steer_nb_sysctls;

static inline int steer_family(int i)
{
	return i ? AF_INET6 : AF_INET;
}

/* ---- steer_run.c ---- */

/* What is in the kernel's mangle table: output of iptables-save. *out is malloc'd. 0, or -errno with *err. */
int steer_save(int family, char **out, char **err);
/* Feeds <text> to iptables-restore --noflush. 0, or -errno with *err: one line that says which rule
 * or which part of the kernel is missing. */
int steer_restore(int family, const char *text, char **err);
/* One line from <out> of a failed iptables-restore, with the rule of <text> it speaks of: pure, for tests.
 * Returns the errno it stands for, negative. */
int steer_explain(const char *prog, const char *text, const char *out, char **err);

/* ---- steer_plan.c ---- */

/* Can <c> be steered? 0, or -EINVAL with *err: mask not four adjacent bits, families mixed in one match. */
int steer_conf_check(const struct steer_conf *c, char **err);
/* Are there rules for packets of <family>? */
bool steer_conf_applies(const struct steer_conf *c, int family);
bool steer_match_applies(const struct steer_match *m, int family);
/* "a, b": its gateways. malloc'd. */
char *steer_conf_names(const struct steer_conf *c);
/* Of a shell script: its beginning with the sysctls; our ip rule and route. May be run again. */
void steer_print_head(struct buf *out, const char *names);
void steer_print_route(struct buf *out, int family, uint32_t mark_mask, uint32_t table);

struct steer_plan *steer_plan_dup(const struct steer_plan *p); /* NULL: no memory */

/* Restore input that takes everything of ours in <saved> (iptables-save output) out, puts <rules> ("" for
 * none) in and leaves the rest alone. NULL: there is nothing to do. malloc'd. */
char *steer_merge(const char *saved, const char *rules);
/* A rule of somebody else's in <saved> that erases our bits in connections ("" CONNMARK without a mask),
 * as a line of its own (malloc'd), or NULL. */
char *steer_conflict(const char *saved);

/* ---- steer_route.c ---- */

/* Our ip rule and `local default dev lo` in <table>, and no others of ours. What is there is not touched. 0 or
 * -errno with *err. */
int steer_route_set(int family, uint32_t mark, uint32_t mask, uint32_t table, char **err);
/* Takes out every ip rule that carries our protocol number, and the routes that they lead to. */
int steer_route_clear(int family, char **err);

/* *err = text, growing outward: an earlier *err is appended in front with "; ". */
void steer_err(char **err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
