/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * client.c - the loop's side of the keeper
 *
 * Callbacks are found by the id that a spawn was given, so a child whose object
 * went away (keeper_forget()) is simply not found. When the keeper itself dies,
 * each child's exited() is called with status -1 - PR_SET_PDEATHSIG has killed
 * them - and every later keeper_spawn() says -EPIPE.
 */
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/net.h"
#include "core/worker.h"
#include "keeper_priv.h"

struct keeper {
	int sock; /* owns; -1 when the keeper is gone */
	pid_t pid;
	uint64_t last_id;
	struct keeper_child *children; /* borrows until exited() or keeper_forget() */
	struct worker *w;
	ev_io io;
	char msg[4096] __attribute__((aligned(8)));
};

static const char *const kstep_name[] = {
	[KSTEP_CLONE] = "clone",   [KSTEP_CGROUP] = "cgroup", [KSTEP_OUTPUT] = "output",
	[KSTEP_RLIMIT] = "rlimit", [KSTEP_GROUP] = "group",   [KSTEP_USER] = "user",
	[KSTEP_DIR] = "directory", [KSTEP_EXEC] = "exec",
};
static_assert(ARRAY_SIZE(kstep_name) == KSTEP_COUNT, "a name for each step");

int keeper_start(struct keeper **out)
{
	struct keeper *k = calloc(1, sizeof(*k));
	int sp[2], size = 4 * KEEPER_MAX_MSG;

	if (!k)
		return -ENOMEM;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp)) {
		free(k);
		return -errno;
	}
	setsockopt(sp[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	k->pid = fork();
	if (k->pid == 0) {
		close(sp[0]);
		free(k);
		keeper_main(sp[1]);
	}
	close(sp[1]);
	if (k->pid < 0) {
		int rc = -errno;

		close(sp[0]);
		free(k);
		return rc;
	}
	k->sock = sp[0];
	*out = k;
	return 0;
}

/* Takes the child with <id> off the list. */
static struct keeper_child *keeper_find(struct keeper *k, uint64_t id, bool take)
{
	for (struct keeper_child **p = &k->children; *p; p = &(*p)->next) {
		struct keeper_child *c = *p;

		if (c->id != id)
			continue;
		if (take) {
			*p = c->next;
			c->id = 0;
		}
		return c;
	}
	return NULL;
}

static void keeper_lost(struct keeper *k)
{
	ev_io_stop(k->w->loop, &k->io);
	close(k->sock);
	k->sock = -1;
	msg_alert("the keeper process (pid %d) is gone: no instance can be started any more", (int)k->pid);
	while (k->children) {
		struct keeper_child *c = keeper_find(k, k->children->id, true);

		if (c->pid)
			c->exited(k->w, c, -1);
		else
			c->started(k->w, c, EPIPE, "keeper", 0, -1);
	}
}

static void keeper_started(struct keeper *k, uint64_t id, const struct kmsg_started *st, int pidfd)
{
	struct keeper_child *c = keeper_find(k, id, st->err != 0);

	if (!c) { /* nobody wants it any more */
		if (pidfd >= 0) {
			syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
			close(pidfd);
		}
		return;
	}
	c->pid = st->pid;
	c->started(k->w, c, st->err, st->step >= 0 && st->step < KSTEP_COUNT ? kstep_name[st->step] : "?",
		   st->pid, pidfd);
}

static void keeper_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct keeper *k = container_of(io, struct keeper, io);
	const struct kmsg *m = (const struct kmsg *)k->msg;
	const void *body = m + 1;

	for (int i = 0; i < 64; i++) {
		int fd;
		ssize_t n = kmsg_recv(k->sock, k->msg, sizeof(k->msg), &fd);

		if (n == -EAGAIN)
			return;
		if (n <= 0 && n != -EBADMSG) {
			keeper_lost(k);
			return;
		}
		if (n == (ssize_t)(sizeof(*m) + sizeof(struct kmsg_started)) && m->type == KMSG_STARTED) {
			keeper_started(k, m->id, body, fd);
		} else if (n == (ssize_t)(sizeof(*m) + sizeof(struct kmsg_exited)) &&
			   m->type == KMSG_EXITED) {
			struct keeper_child *c = keeper_find(k, m->id, true);

			if (c)
				c->exited(k->w, c, ((const struct kmsg_exited *)body)->status);
		}
	}
}

int keeper_attach(struct worker *w)
{
	struct keeper *k = w->keeper;
	int rc = net_nonblock(k->sock);

	if (rc < 0)
		return rc;
	k->w = w;
	ev_io_init(&k->io, keeper_readable, k->sock, EV_READ);
	ev_set_priority(&k->io, EV_MAXPRI); /* deaths before what they break */
	ev_io_start(w->loop, &k->io);
	return 0;
}

/* Appends <s> with its NUL at <pos>; false when the message would be too long. */
static bool kspawn_put(char *msg, size_t *pos, const char *s)
{
	size_t n = strlen(s) + 1;

	if (n > KEEPER_MAX_MSG - *pos)
		return false;
	memcpy(msg + *pos, s, n);
	*pos += n;
	return true;
}

static ssize_t kspawn_build(char *msg, const struct keeper_spawn *sp)
{
	struct kmsg_spawn f = { .uid = sp->uid,
				.gid = sp->gid,
				.umask = sp->umask,
				.stop_ms = sp->stop_ms,
				.stop_signal = sp->stop_signal,
				.nb_rlimits = sp->nb_rlimits };
	size_t pos = sizeof(f);
	bool ok = kspawn_put(msg, &pos, sp->path) && kspawn_put(msg, &pos, sp->dir ? sp->dir : "/");

	if (sp->nb_rlimits < 0 || sp->nb_rlimits > KEEPER_MAX_RLIMITS)
		return -EINVAL;
	for (int i = 0; i < sp->nb_rlimits; i++) {
		f.rlimits[i].resource = sp->rlimits[i].resource;
		f.rlimits[i].soft = sp->rlimits[i].soft;
		f.rlimits[i].hard = sp->rlimits[i].hard;
	}
	for (; ok && f.nb_cgroups < KEEPER_MAX_CGROUPS && sp->cgroup_procs[f.nb_cgroups]; f.nb_cgroups++)
		ok = kspawn_put(msg, &pos, sp->cgroup_procs[f.nb_cgroups]);
	for (; ok && sp->argv[f.argc] && f.argc < UINT16_MAX; f.argc++)
		ok = kspawn_put(msg, &pos, sp->argv[f.argc]);
	for (; ok && sp->envp[f.envc] && f.envc < UINT16_MAX; f.envc++)
		ok = kspawn_put(msg, &pos, sp->envp[f.envc]);
	memcpy(msg, &f, sizeof(f));
	return ok ? (ssize_t)pos : -E2BIG;
}

int keeper_spawn(struct worker *w, const struct keeper_spawn *sp, struct keeper_child *c)
{
	struct keeper *k = w->keeper;
	struct kmsg m = { .type = KMSG_SPAWN };
	char *msg;
	ssize_t n;
	int rc;

	if (!k || k->sock < 0)
		return -EPIPE;
	msg = malloc(KEEPER_MAX_MSG);
	if (!msg)
		return -ENOMEM;
	n = kspawn_build(msg, sp);
	m.id = k->last_id + 1;
	rc = n < 0 ? (int)n : kmsg_send(k->sock, &m, msg, n, sp->out_fd);
	free(msg);
	if (rc < 0)
		return rc;
	c->id = ++k->last_id;
	c->pid = 0;
	c->next = k->children;
	k->children = c;
	return 0;
}

void keeper_forget(struct worker *w, struct keeper_child *c)
{
	if (w->keeper && c->id)
		keeper_find(w->keeper, c->id, true);
}

static int keeper_name(struct worker *w, int type, const char *name, int fd)
{
	struct kmsg m = { .type = type };

	if (!w->keeper || w->keeper->sock < 0)
		return -EPIPE;
	if (!*name || strlen(name) >= KEEPER_NAME_LEN)
		return -EINVAL;
	return kmsg_send(w->keeper->sock, &m, name, strlen(name) + 1, fd);
}

int keeper_hold(struct worker *w, const char *name, int fd)
{
	return fd < 0 ? -EBADF : keeper_name(w, KMSG_HOLD, name, fd);
}

int keeper_drop(struct worker *w, const char *name)
{
	return keeper_name(w, KMSG_DROP, name, -1);
}

void keeper_stop(struct worker *w)
{
	struct keeper *k = w->keeper;

	if (!k)
		return;
	if (k->w && k->sock >= 0)
		ev_io_stop(k->w->loop, &k->io);
	if (k->sock >= 0)
		close(k->sock);
	while (waitpid(k->pid, NULL, 0) < 0 && errno == EINTR)
		;
	free(k);
	w->keeper = NULL;
}

pid_t keeper_pid(const struct keeper *k)
{
	return k->pid;
}
