/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ops_priv.h - shared by the files of ops only
 */
#ifndef STANDIN_OPS_PRIV_H
#define STANDIN_OPS_PRIV_H

#include <ev.h>

#include "cfg/cfg.h"
#include "core/helper.h"
#include "core/worker.h"
#include "ops/ops.h"

/* ---- configuration: `stats socket` lines of the global section ---- */
struct ops_socket_cfg {
	struct list node;  /* in ops_cfg.sockets */
	char *spec;        /* the address as written: its identity across epochs */
	struct cfg_addr addr;
	enum cli_level level;
	unsigned mode;     /* of a unix socket; 0: from the umask */
	int uid, gid;      /* -1: unchanged */
	const char *file;
	int line;
};

struct ops_cfg {
	struct list sockets;
};

/* ---- run time ---- */
struct cli_listener {
	struct list node;      /* in ops.listeners */
	struct worker *w;
	char *spec;            /* owns */
	char *unlink_path;     /* owns; unix sockets made by us, else NULL */
	int fd;                /* owns */
	ev_io io;
	ev_timer rest;         /* accept() lacked something: not watched meanwhile */
	enum cli_level level;
	bool permanent;        /* -S, successor.c: belongs to no configuration */
	bool kin;              /* only for root and our own user */
	dev_t dev;             /* of unlink_path when we made it */
	ino_t ino;
	bool wanted;           /* marked while an epoch is applied */
	bool fresh;            /* opened for the epoch being applied */
};

struct ops {
	struct worker *w;
	const struct ops_options *opt; /* borrows for the process's life */
	struct list listeners;
	struct list conns;     /* struct cli_conn */
	unsigned nb_conns;

	/* reload.c */
	struct ops_reload_job *reload; /* under way; NULL: none. Owns itself */
	struct list reload_waiters;
	bool reload_again;
	unsigned reloads, reload_failures;

	/* soft stop */
	ev_timer stop_poll, hard_stop;
};

/* One connection of an operator. */
struct cli_conn {
	struct list node;      /* in ops.conns */
	struct worker *w;
	int fd;                /* owns */
	ev_io rd, wr;
	ev_timer idle;
	struct buf in, out;    /* own; grow */
	char *line;            /* owns: the line being worked on; rest points into it */
	char *rest;            /* commands not yet begun, or NULL */
	char *args[CLI_MAX_ARGS + 1];
	struct cli_ctx ctx;
	struct task resume;    /* cli_wake() */
	enum cli_level level;
	unsigned timeout_ms;
	bool running;          /* a command has not ended */
	bool waiting;          /* it returned CLI_WAIT */
	bool prompt, eof, closing;
};

/* ops_cfg.c: "level admin mode 600 ..." of a socket; what is wrong in *err, malloc'd */
int ops_socket_words(struct ops_socket_cfg *sc, char **words, int n, char **err);
/* cli_sock.c */
int cli_listener_open(struct ops *ops, const struct ops_socket_cfg *sc, struct cli_listener **out, char **err);
void cli_listener_close(struct cli_listener *l);
/* Its line has changed: level, mode and owner. */
void cli_listener_update(struct cli_listener *l, const struct ops_socket_cfg *sc);
/* Leaves those who knock waiting for <s> seconds: the socket stays readable, and the loop would spin. */
void cli_listener_rest(struct cli_listener *l, double s);
/* cli.c */
void cli_accept(struct cli_listener *l);
void cli_conn_close(struct cli_conn *c);
/* successor.c: for a process started with -sf or -st */
void successor_listen(struct ops *ops);
bool successor_is_kin(int fd);
#define OPS_STOPPING "The process is stopping."
/* reload.c: ops goes; who waits for a reload hears that it failed */
void ops_reload_abandon(struct ops *ops);
/* cli_match.c */
const struct cli_kw *cli_kw_find(char **args, int argc, int *nb_words);
void cli_help(struct cli_ctx *ctx, char **words, int nb_words, const char *title);

#endif
