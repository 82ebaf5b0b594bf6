/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_priv.h - proxies as they are written in a configuration
 *
 * A px_cfg is one defaults, frontend, backend or listen section; it, its
 * bind and server lines live in their epoch's arena and never change once
 * the epoch is applied. What runs (struct proxy, struct server, struct
 * listener in l7_priv.h) is found by name and outlives epochs; the only
 * run-time pointers in here are ->rt, set by commit in the loop.
 */
#ifndef STANDIN_L7_CFG_PRIV_H
#define STANDIN_L7_CFG_PRIV_H

#include "cfg/cfg.h"
#include "cfg/epoch.h"
#include "policy/logformat.h"
#include "policy/rule.h"

struct proxy;
struct server;
struct listener;
struct tls_bind;
struct tls_server;
struct endpoint;

enum px_mode { PX_TCP, PX_HTTP, PX_HEALTH };
extern const char *const px_mode_name[];

#define PX_CAP_FE  0x1
#define PX_CAP_BE  0x2
#define PX_CAP_DEF 0x4

/* `option` words that have an effect here; px_option[] in opt_cfg.c names them */
#define PX_OPT_HTTPLOG       0x00000001
#define PX_OPT_TCPLOG        0x00000002
#define PX_OPT_CLFLOG        0x00000004
#define PX_OPT_DONTLOGNULL   0x00000008
#define PX_OPT_DONTLOGNORMAL 0x00000010
#define PX_OPT_KEEPALIVE     0x00000020
#define PX_OPT_SERVERCLOSE   0x00000040
#define PX_OPT_HTTPCLOSE     0x00000080
#define PX_OPT_FORWARDFOR    0x00000100
#define PX_OPT_TRANSPARENT   0x00000200
#define PX_OPT_REDISPATCH    0x00000400
#define PX_OPT_ABRTCLOSE     0x00000800
#define PX_OPT_ALLBACKUPS    0x00001000
#define PX_OPT_CLITCPKA      0x00002000
#define PX_OPT_SRVTCPKA      0x00004000
#define PX_OPT_NOLINGER      0x00008000
#define PX_OPT_LOGCHECKS     0x00010000
#define PX_OPT_HTTPCHK       0x00020000
#define PX_OPT_LOGSEPERR     0x00040000
#define PX_OPT_IGNOREPROBES  0x00080000
#define PX_OPT_PREFLAST      0x00100000
#define PX_OPT_AUTODEMOTE    0x00200000
#define PX_OPT_SPLICE_REQ    0x00400000
#define PX_OPT_SPLICE_RES    0x00800000
#define PX_OPT_SPLICE_AUTO   0x01000000
#define PX_OPT_HTTPMODES     (PX_OPT_KEEPALIVE | PX_OPT_SERVERCLOSE | PX_OPT_HTTPCLOSE)

/* retry-on */
#define RETRY_CONN_FAILURE  0x0001
#define RETRY_EMPTY         0x0002
#define RETRY_JUNK          0x0004
#define RETRY_RES_TIMEOUT   0x0008
#define RETRY_0RTT          0x0010
#define RETRY_STATUS(i)     (0x0100u << (i)) /* of retry_status[] */
#define RETRY_NONE          0x80000000u      /* written as `none`: really nothing */
#define RETRY_SET           0x40000000u      /* retry-on was given */
extern const uint16_t retry_status[];
extern const unsigned nb_retry_status;

enum lb_algo { LB_ROUNDROBIN, LB_STATIC_RR, LB_LEASTCONN, LB_SOURCE, LB_FIRST, LB_RANDOM, LB_COUNT };
extern const char *const lb_name[LB_COUNT];

/* answers that may be replaced by errorfile; err_status[] in reply.c */
#define ERR_COUNT 16

enum srv_addr_kind { SRV_ADDR_INET, SRV_ADDR_UNIX, SRV_ADDR_APP, SRV_ADDR_PROMOTED };

/* One `server` line, or the merged default-server settings. */
struct srv_cfg {
	struct list node;          /* in px_cfg->servers */
	char *name;
	const char *file;
	int line;
	unsigned id;               /* from 1, in order */
	enum srv_addr_kind kind;
	struct addr addr;          /* INET; port 0: the client's (dst) port is kept */
	char *path;                /* UNIX */
	char *app;                 /* APP */
	char *addr_text;           /* as written */
	bool check, backup, disabled, non_stick;
	unsigned inter_ms, fastinter_ms, downinter_ms, rise, fall, weight, maxconn;
	struct addr check_addr;    /* `addr`; family AF_UNSPEC: the server's */
	unsigned check_port;       /* `port`; 0: the server's */
	/* ssl */
	bool ssl, verify_none;
	char *ca_file, *crt, *sni_text, *verifyhost, *alpn, *ciphers;
	unsigned ssl_min, ssl_max;
	struct sample_expr *sni;
	struct tls_server *tls;    /* counted: made by resolve */
};

/* One address of a `bind` line (a range or a list makes several). */
struct bind_cfg {
	struct list node;          /* in px_cfg->binds */
	struct px_cfg *px;
	const char *file;
	int line;
	struct cfg_addr addr;      /* one address, port_last unused */
	bool promoted;             /* bind promoted@ */
	bool transparent, v4v6, v6only, defer_accept;
	char *name, *interface;
	unsigned backlog, maxconn, mode, uid, gid;
	bool has_mode;
	/* ssl */
	bool ssl, strict_sni;
	char **crts;
	unsigned nb_crts;
	char *alpn, *ciphers, *ciphersuites, *ca_file;
	int verify;                /* 0 none, 1 optional, 2 required */
	unsigned ssl_min, ssl_max;
	struct tls_bind *tls;      /* counted: made by resolve, shared by the addresses of one line */
	struct listener *rt;       /* set by commit; the listener holds itself */
};

struct use_be {
	struct list node;          /* in px_cfg->use_backends */
	const char *name;
	struct logformat *lf;      /* the name is to be computed */
	struct cond *cond;
	struct px_cfg *be;         /* when the name is constant */
	const char *file;
	int line;
};

struct px_cfg {
	struct cfg_object obj;     /* kind "frontend", "backend", "listen" */
	const char *kind, *name;   /* also for defaults, which are no objects others refer to */
	unsigned caps, id;
	struct epoch *ep;          /* the one it lives in */
	struct list part_node;     /* in struct l7_cfg */
	struct proxy *rt;          /* counted: set by commit */
	const struct px_cfg *from; /* the defaults it was made from */
	bool disabled;

	enum px_mode mode;
	uint32_t opt, opt_set, opt_no; /* given; given here rather than inherited; negated */
	unsigned to_client, to_server, to_connect, to_queue, to_http_req, to_ka, to_check, to_tunnel,
		to_client_fin, to_server_fin, to_tarpit;
	unsigned maxconn, backlog, fullconn, retries, redispatch_every, inspect_ms, res_inspect_ms;
	uint32_t retry_on;
	enum lb_algo algo;
	unsigned random_draws;

	struct log_set log;
	char *log_tag;
	char *lf_text;             /* log-format; NULL: by option, or the plain line */
	const char *lf_file;
	int lf_line;
	struct logformat *lf;      /* made by resolve; NULL: nothing is logged */
	char *ff_header;           /* option forwardfor header <name> */
	struct netmask ff_except;
	bool ff_has_except, ff_if_none;
	char *monitor_uri;
	struct str errorfile[ERR_COUNT]; /* whole answers; arena */

	/* option httpchk, http-check */
	char *chk_method, *chk_uri, *chk_host;
	unsigned chk_status_min, chk_status_max;

	struct acl_set acls;
	struct rule_set tcp_conn, tcp_sess, tcp_req, tcp_res, http_req, http_res;
	struct list sticks, sticks_res; /* struct stick_rule: of requests, of responses */
	struct list use_backends;  /* struct use_be */
	char *def_be_name;
	const char *def_be_file;
	int def_be_line;
	struct px_cfg *def_be;
	struct list binds;         /* struct bind_cfg */
	struct bind_cfg *promoted; /* bind promoted@, or NULL */
	struct list servers;       /* struct srv_cfg */
	unsigned nb_servers;
	struct srv_cfg *promoted_srv; /* server x promoted@, or NULL */
	struct srv_cfg def_server;
};

/* l7's part of an epoch. */
struct l7_cfg {
	struct epoch *ep;
	struct list proxies;       /* struct px_cfg, in order, defaults too */
	struct px_cfg *defaults;   /* the one new sections take; the last, or NULL */
	unsigned nb;
	struct list tls;           /* struct tls_obj: freed with the part */
};

extern struct cfg_module l7_cfg_module;

/* proxy_cfg.c */
struct l7_cfg *l7_cfg_of(const struct epoch *ep);
struct px_cfg *px_cfg_find(const struct epoch *ep, unsigned cap, const char *name);
void px_cfg_defaults(struct px_cfg *px); /* built-in values */
/* server_cfg.c: default-server's built-in values */
void srv_cfg_defaults(struct srv_cfg *s);
void srv_cfg_resolve(struct px_cfg *px, struct srv_cfg *s, struct diag *d);
/* bind_cfg.c */
void bind_cfg_resolve(struct px_cfg *px, struct bind_cfg *b, struct diag *d);
/* resolve.c */
void l7_cfg_resolve(struct epoch *ep, struct diag *d);
/* Says that a word has no effect in a section without <cap>. */
void px_no_effect(struct cfg_line *ln, const struct cfg_kw *kw, unsigned cap);
/* opt_cfg.c */
const char *px_opt_name(uint32_t bit);

#endif
