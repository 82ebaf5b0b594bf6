/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * lacks.c - runs a program as on a kernel that lacks something
 *
 *   lacks THING COMMAND [ARG]...
 *
 * A system call filter refuses what asks for it with the error that such a kernel answers; all that
 * the program starts is under it, too.
 *
 *   netfilter  no nfnetlink: socket(AF_NETLINK, ..., NETLINK_NETFILTER) is EPROTONOSUPPORT
 *   ipv6       socket(AF_INET6, ...) is EAFNOSUPPORT
 *   pidfd      pidfd_open() is ENOSYS
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct thing {
	const char *name;
	unsigned call;
	int arg[3]; /* what its first arguments have to be, -1: anything */
	int error;
};

static const struct thing things[] = {
	{ "netfilter", SYS_socket, { AF_NETLINK, -1, NETLINK_NETFILTER }, EPROTONOSUPPORT },
	{ "ipv6", SYS_socket, { AF_INET6, -1, -1 }, EAFNOSUPPORT },
	{ "pidfd", SYS_pidfd_open, { -1, -1, -1 }, ENOSYS },
};

#define WORD(what) (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, what))
#define UNLESS(value, skip) (struct sock_filter) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, skip)
#define ANSWER(ret) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, ret)

static int take_away(const struct thing *t)
{
	struct sock_filter code[16];
	unsigned n = 0, last = 1;

	for (int i = 0; i < 3; i++)
		last += t->arg[i] >= 0 ? 2 : 0;
	code[n++] = WORD(nr);
	code[n++] = UNLESS(t->call, last);
	for (int i = 0; i < 3; i++) {
		if (t->arg[i] < 0)
			continue;
		last -= 2;
		code[n++] = WORD(args[i]);
		code[n++] = UNLESS(t->arg[i], last);
	}
	code[n++] = ANSWER(SECCOMP_RET_ERRNO | (unsigned)t->error);
	code[n++] = ANSWER(SECCOMP_RET_ALLOW);
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -1 :
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &(struct sock_fprog){ .len = n, .filter = code });
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 2 && i < sizeof(things) / sizeof(things[0]); i++) {
		if (strcmp(argv[1], things[i].name) != 0)
			continue;
		if (take_away(&things[i]) == 0)
			execvp(argv[2], argv + 2);
		perror(argv[2]);
		return 1;
	}
	fprintf(stderr, "usage: lacks netfilter|ipv6|pidfd COMMAND [ARG]...\n");
	return 2;
}
