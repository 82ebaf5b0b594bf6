/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * log.h - messages to the operator's terminal, and syslog lines to log targets
 *
 * Two different things. msg_*() prints start-up and configuration messages on
 * stderr in HAProxy's form, "[ALERT]    (pid) : text". log_*() sends a line to
 * the targets a section configured with `log`: /dev/log or another unix
 * datagram socket, UDP, stdout or stderr, in RFC 3164 or RFC 5424 form, raw,
 * short, or timed. Sending never blocks: a full socket drops the line and
 * counts it.
 */
#ifndef STANDIN_CORE_LOG_H
#define STANDIN_CORE_LOG_H

#include <syslog.h>

#include "core/list.h"
#include "core/net.h"
#include "core/str.h"

struct worker;

/* ---- terminal ---- */
enum msg_level { MSG_DIAG, MSG_NOTICE, MSG_WARNING, MSG_ALERT };
/* Process-wide by nature (stderr). As in HAProxy, quiet (-q) silences everything unless verbose (-V) is set too;
 * diag messages are shown only with -dD. Until msg_set_started(true) the first message is preceded by two
 * notices that tell version and path. */
void msg_set_quiet(bool quiet);
void msg_set_verbose(bool verbose);
void msg_set_diag(bool diag);
void msg_set_started(bool started);
void msg_notice(const char *fmt, ...) PRINTF_LIKE(1, 2);
void msg_warning(const char *fmt, ...) PRINTF_LIKE(1, 2);
void msg_alert(const char *fmt, ...) PRINTF_LIKE(1, 2);
void msg_print(enum msg_level lvl, const char *text);

/* ---- syslog ---- */
enum log_format {
	LOG_FMT_UNSPEC, /* no `format`: rfc3164 where log-send-hostname gives a name, else local */
	LOG_FMT_LOCAL,
	LOG_FMT_RFC3164,
	LOG_FMT_RFC5424,
	LOG_FMT_SHORT,
	LOG_FMT_RAW,
	LOG_FMT_TIMED,
	LOG_FMT_PRIORITY,
	LOG_FMT_ISO
};

/* One `log` line of the configuration; lives in an epoch, immutable. */
struct log_target {
	struct list node;   /* in struct log_set */
	char *spec;         /* as written, for messages; arena of the epoch */
	enum { LOG_TO_UNIX, LOG_TO_UDP, LOG_TO_FD } kind;
	struct addr addr;   /* UDP */
	char *path;         /* unix datagram */
	int fd;             /* LOG_TO_FD: 1 stdout, 2 stderr, or as given by fd@<n> */
	enum log_format format;
	int facility;       /* 0..23 */
	int max_level, min_level;
	unsigned max_len;
};

/* The targets of one section, and whether it also uses global's. */
struct log_set {
	struct list targets;             /* struct log_target */
	const struct log_set *global;    /* `log global`: these too; NULL: no */
	char *tag, *hostname;            /* log-tag, log-send-hostname of this section, or NULL: global's */
};

void log_set_init(struct log_set *ls);
/* Parses the words after `log` ("127.0.0.1:514 len 1024 format rfc5424 local0 info"). Strings
 * go to <a>. Returns 0, or -EINVAL with *err set (malloc'd text for the caller to free). */
struct arena;
int log_target_parse(struct log_set *ls, struct arena *a, int argc, char **argv, char **err);

/* Sends one line (no newline) of syslog <level> (LOG_INFO...) to every target that takes it.
 * <ls> NULL, or without targets: nothing happens. Loop thread only. */
void log_send(struct worker *w, const struct log_set *ls, int level, struct str line);
void log_printf(struct worker *w, const struct log_set *ls, int level, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* What a line without tag or hostname of its section uses; NULL: "standin", and none. Copied.
 * epoch_apply() sets it from the global section. */
void logger_set_identity(struct worker *w, const char *tag, const char *hostname);
uint64_t log_dropped(const struct worker *w);

/* made and freed by worker_init() / worker_destroy() */
int logger_init(struct worker *w);
void logger_destroy(struct worker *w);

#endif
