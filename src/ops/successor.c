/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * successor.c - a process started with -sf or -st hands its configuration to the running one
 *
 * A gateway's queue, rules and connections do not move to another process, and
 * they need not: what a successor has that is new is its configuration. So every
 * process listens on an abstract socket that is named after its pid, with the
 * commands of the stats socket at level admin, for root and its own user only; a
 * successor that finds it asks for `reload <files>` and ends. The pid stays what it was.
 *
 * A pid that does not listen there is somebody else's process, or one of another
 * network namespace: it is signalled, as HAProxy does.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/buf.h"
#include "ops_priv.h"

#define SUCCESSOR_NAME "standin-%d"

/* ---- who is asked ---- */

void successor_listen(struct ops *ops)
{
	char spec[48], *err = NULL;
	struct ops_socket_cfg sc = { .level = CLI_ADMIN, .uid = -1, .gid = -1, .spec = spec };
	struct cli_listener *l;

	sc.addr.kind = CFG_ADDR_ABNS;
	snprintf(sc.addr.path, sizeof(sc.addr.path), SUCCESSOR_NAME, (int)getpid());
	snprintf(spec, sizeof(spec), "abns@" SUCCESSOR_NAME, (int)getpid());
	if (cli_listener_open(ops, &sc, &l, &err) == 0)
		l->permanent = l->kin = true;
	else
		msg_warning("-sf and -st will not find this process: %s", err ? err : "out of memory");
	free(err);
}

bool successor_is_kin(int fd)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0 && (cred.uid == 0 || cred.uid == geteuid());
}

/* ---- who asks ---- */

static int successor_connect(int pid)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	snprintf(un.sun_path + 1, sizeof(un.sun_path) - 1, SUCCESSOR_NAME, pid);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -ESRCH;
}

/* A word of a command, whatever is in it. */
static void successor_word(struct buf *b, const char *s)
{
	buf_put_grow(b, " ", 1);
	for (; *s; s++)
		buf_printf_grow(b, strchr(" \t\\;", *s) ? "\\%c" : "%c", *s);
}

/* Its directory is another one: paths are made absolute. */
static bool successor_command(struct buf *b, char *const *files, int nb_files)
{
	bool ok = true;

	buf_printf_grow(b, "reload");
	for (int i = 0; i < nb_files && ok; i++) {
		char *path = realpath(files[i], NULL);

		ok = path && !strpbrk(path, "\r\n");
		if (ok)
			successor_word(b, path);
		free(path);
	}
	buf_put_grow(b, "\n", 1);
	return ok;
}

static bool successor_talk(int fd, const struct buf *command, struct buf *answer)
{
	char piece[4096];
	ssize_t n;

	if (send(fd, buf_head(command), command->data, MSG_NOSIGNAL) != (ssize_t)command->data || shutdown(fd, SHUT_WR) < 0)
		return false;
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0)
		buf_put_grow(answer, piece, (size_t)n);
	buf_put_grow(answer, "", 1);
	return n == 0;
}

/* What it said, line by line, but for the verdict. */
static void successor_tell(char *text)
{
	char *line;

	while ((line = strsep(&text, "\n")))
		if (*line && strncmp(line, "Success=", 8) != 0)
			msg_warning("%s", line);
}

int ops_hand_over(int pid, char *const *files, int nb_files)
{
	struct buf command = { 0 }, answer = { 0 };
	int fd = successor_connect(pid), rc = -EIO;

	if (fd < 0)
		return fd;
	if (!successor_command(&command, files, nb_files))
		rc = -ENOENT;
	else if (successor_talk(fd, &command, &answer)) {
		rc = strstr(buf_head(&answer), "Success=1") ? 0 : strstr(buf_head(&answer), OPS_STOPPING) ? -ESHUTDOWN : -EINVAL;
		if (rc != -ESHUTDOWN)
			successor_tell(buf_head(&answer));
	}
	close(fd);
	buf_free(&command);
	buf_free(&answer);
	return rc;
}
