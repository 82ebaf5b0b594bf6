/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * keeper_priv.h - the words that loop and keeper exchange
 *
 * A SOCK_SEQPACKET pair: one record is one message, all or nothing, its
 * descriptors with it. Each begins with struct kmsg, whose length must be that
 * of the record. Both ends are the same binary, so structs travel as they are.
 *
 *   loop -> keeper  SPAWN  struct kmsg_spawn, strings; 0 or 1 descriptor (the child's output)
 *                   HOLD   name; 1 descriptor
 *                   DROP   name
 *   keeper -> loop  STARTED struct kmsg_started; 1 descriptor (pidfd) when err is 0
 *                   EXITED  struct kmsg_exited
 *
 * The end of the loop's socket means: end all, then yourself.
 */
#ifndef STANDIN_KEEPER_PRIV_H
#define STANDIN_KEEPER_PRIV_H

#include <sys/resource.h>

#include "keeper/keeper.h"

enum kmsg_type { KMSG_SPAWN = 1, KMSG_HOLD, KMSG_DROP, KMSG_STARTED, KMSG_EXITED };

struct kmsg {
	uint32_t len; /* of the whole message */
	uint16_t type;
	uint16_t nb_fds;
	uint64_t id;
};

/* After it, each ended by NUL: path, dir, cgroups, argv, envp. */
struct kmsg_spawn {
	uint32_t uid, gid, umask, stop_ms;
	int32_t stop_signal;
	uint16_t nb_cgroups, nb_rlimits, argc, envc;
	struct {
		int32_t resource;
		uint64_t soft, hard;
	} rlimits[KEEPER_MAX_RLIMITS];
};

/* What a child does between clone and exec: named in STARTED when it fails. */
enum kstep {
	KSTEP_CLONE,
	KSTEP_CGROUP,
	KSTEP_OUTPUT,
	KSTEP_RLIMIT,
	KSTEP_GROUP,
	KSTEP_USER,
	KSTEP_DIR,
	KSTEP_EXEC,
	KSTEP_COUNT
};

struct kmsg_started {
	int32_t err, step, pid;
};

struct kmsg_exited {
	int32_t status;
};

/* A spawn as the keeper checked it. Pointers go into the message. */
struct kspawn {
	struct kmsg_spawn fixed;
	const char *path, *dir;
	char *cgroups[KEEPER_MAX_CGROUPS + 1];
	char **argv, **envp; /* own, in one block: free(argv) */
	int out_fd;
	const struct rlimit *nofile; /* borrows: what the daemon was started with; NULL: as is */
};

/* Sends one message with <fd> (-1: none). 0 or -errno. */
int kmsg_send(int sock, struct kmsg *m, const void *body, size_t n, int fd);
/* Receives one into <buf>; *fd is owned by the caller, or -1: none came, or there was no room for it. Length, 0 at the end, -errno;
 * -EBADMSG what is no message (thrown away, its descriptors closed). */
ssize_t kmsg_recv(int sock, void *buf, size_t size, int *fd);
/* Checks a SPAWN as if the sender were hostile. 0 or -errno; on success free(sp->argv) later. */
int kspawn_parse(struct kspawn *sp, void *msg, size_t len, int fd);
/* Clones and, in the child, execs. *report is the reading end of the pipe on which the child says what
 * failed: end of file is success. The pid, or -errno. */
pid_t kspawn_clone(const struct kspawn *sp, int *pidfd, int *report);
void keeper_main(int sock) __attribute__((noreturn));

#endif
