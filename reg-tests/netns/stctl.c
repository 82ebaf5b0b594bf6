/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * stctl.c - one command to a stats socket, its answer to stdout
 *
 *   stctl [-t MS] PATH|ADDR:PORT COMMAND...
 *
 * The words are joined by blanks. Exit status 2 when the socket cannot be
 * reached or does not answer within MS (5000).
 */
#include <sys/time.h>
#include <sys/un.h>

#include "tool.h"

static int reach(char *where)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	char *port = strrchr(where, ':');
	int fd;

	if (*where != '/' && port) {
		*port = '\0';
		return dial(where, port + 1);
	}
	if (strlen(where) >= sizeof(un.sun_path))
		die("%s: path too long", where);
	strcpy(un.sun_path, where);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		die("%s: %s", where, strerror(errno));
	return fd;
}

int main(int argc, char **argv)
{
	char buf[65536] = "";
	int opt, fd, ms = 5000;
	struct timeval tv;
	ssize_t n;

	while ((opt = getopt(argc, argv, "+t:")) != -1) {
		if (opt != 't')
			return EXIT_UNABLE;
		ms = atoi(optarg);
	}
	if (argc - optind < 2)
		die("usage: stctl [-t MS] PATH|ADDR:PORT COMMAND...");
	fd = reach(argv[optind]);
	tv = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	for (int i = optind + 1; i < argc; i++) {
		strncat(buf, argv[i], sizeof(buf) - strlen(buf) - 2);
		strcat(buf, i + 1 < argc ? " " : "\n");
	}
	if (!send_all(fd, buf, strlen(buf)))
		die("send: %s", strerror(errno));
	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0) {
		fwrite(buf, 1, n, stdout);
		fflush(stdout); /* some answers come bit by bit */
	}
	if (n < 0)
		die("no answer: %s", strerror(errno));
	return fflush(stdout) ? EXIT_UNABLE : 0;
}
