/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * acl.h - patterns, named ACLs and conditions with three values
 *
 * A test is true, false or not known yet (COND_WAIT): rules stop at the first
 * one they cannot decide. Words, flags (-i -f -m -M -u --) and derived names
 * (path_beg, path_reg, hdr_dom, ...) are HAProxy's (its manual, 7.1). Regular expressions
 * are PCRE2 with JIT and match limits.
 */
#ifndef STANDIN_POLICY_ACL_H
#define STANDIN_POLICY_ACL_H

#include "core/list.h"
#include "policy/sample.h"

enum cond_ret { COND_FALSE, COND_TRUE, COND_WAIT };

struct acl;  /* a name and its tests; in an epoch's arena */
struct cond; /* if/unless and terms */

struct acl_set {
	struct list acls; /* struct acl */
};

void acl_set_init(struct acl_set *s);
void acl_set_release(struct acl_set *s); /* forgets them; memory and compiled expressions are the arena's */

/* In all of policy: *err is NULL or malloc'd text when called, and the caller's to free.
 *
 * `acl <name> <criterion> [flags] <values>`: args[0] is the name. 0, or <0 with *err. */
int acl_parse(struct acl_set *s, struct arena *a, int argc, char **args, char **err);
/* The same for the line `acl ...` of a section: errors, and warnings about what never matches, are reported there.
 * 0, or <0. */
struct cfg_line;
int acl_parse_line(struct cfg_line *ln, struct acl_set *s);
/* args[0] is "if" or "unless". Anonymous ACLs { ... } are added to <s>. NULL with *err. An unknown name
 * tells the nearest. Predefined ACLs (TRUE, FALSE, HTTP, METH_GET, LOCALHOST, ...) exist. */
struct cond *cond_parse(struct acl_set *s, struct arena *a, int argc, char **args, char **err);
unsigned cond_needs(const struct cond *c); /* SMP_AT_ bits of everything it looks at; 0 for NULL */
/* Does it use what a place that supplies <at> cannot give? Then true, and *what (malloc'd) says which ACL and
 * keyword: "acl 'x' will never match because it uses keyword 'status' which is incompatible with '<where>'". */
bool cond_conflicts(const struct cond *c, unsigned at, const char *where, char **what);
enum cond_ret cond_eval(const struct cond *c, struct policy_ctx *ctx); /* NULL condition: true */

/* Connections, by what their first packet says of its ends; all of it must fit. Both ends of a range belong to it. */
struct cond_box {
	int family;              /* AF_INET, AF_INET6; AF_UNSPEC: either, and no addresses */
	bool has_src, has_dst;
	uint8_t src[2][16], dst[2][16]; /* network order; IPv4 in the first four bytes */
	uint16_t sport[2], dport[2];
};
#define COND_BOXES_MAX 64

/* <c> as a union of at most <max> boxes: it is true of just these connections. Their number, -1 when it looks at anything but src, dst
 * and their ports, or needs more boxes, or more than COND_BOXES_MAX for a group. NULL condition: everything. */
int cond_boxes(const struct cond *c, struct cond_box *out, int max);

#endif
