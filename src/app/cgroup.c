/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cgroup.c - control groups v1, v2 and both, as one thing
 *
 * A host mounts some controllers as v1 hierarchies, others (or all) in the one
 * v2 hierarchy, and /proc/self/cgroup says where in each we are ourselves. We
 * live there: each hierarchy gets one directory of ours, the tree, and in it one
 * for each instance:
 *
 *     v1   <mount>/<our own group>/standin-<x>/<instance>
 *     v2   the same, or beside our own group, see below
 *
 * Nothing outside a tree is written to, but for v2's cgroup.subtree_control of
 * our own group: a v2 group hands a controller on to its children only if told
 * so there, and must have no processes of its own then. (Worse than a refusal: cpu
 * and pids are handed on all the same, and no process can enter the children.) Only
 * the root group may have both. So, in this order:
 *   1. below our own group, if it is the root;
 *   2. if the only processes there are ours (a service manager's delegated unit),
 *      they move to <own>/standin-daemon-<x> and it is tried again;
 *   3. beside our own group, or one above it, with what the parent there hands on already.
 *
 * A v2 hierarchy without any controller (hybrid hosts) is used too: cgroup.kill
 * ends all processes of a group in one write that nothing can fork away from.
 *
 * After a write to cgroup.kill, processes cloned into that group later are
 * killed as well (FACTS §6): each instance has a group of its own, never reused.
 */
#include "app/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CG_PATH       4096
#define CG_STAT       8192   /* memory.stat is about 1.5 kB */
#define CG_CPU_PERIOD 100000 /* us */
#define CG_CPU_MIN    1000   /* us: the kernel's smallest quota */
#define CG_MAX_DEPTH  8      /* of groups that an instance made below its own */

static const char *const cg_names[] = {
	[CG_MEMORY] = "memory", [CG_CPU] = "cpu",         [CG_CPUACCT] = "cpuacct",
	[CG_PIDS] = "pids",     [CG_FREEZER] = "freezer",
};
static_assert(ARRAY_SIZE(cg_names) == CG_COUNT, "a name for each");

const char *cg_ctl_name(enum cg_ctl ctl)
{
	return cg_names[ctl];
}

/* ---- files ---- */

/* The whole file, at most size - 1 bytes, NUL added. Length or -errno. */
static ssize_t cg_read(const char *dir, const char *file, char *buf, size_t size)
{
	char path[CG_PATH];
	size_t len = 0;
	ssize_t n = 0;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (len < size - 1 && (n = read(fd, buf + len, size - 1 - len)) > 0)
		len += n;
	n = n < 0 ? -errno : (ssize_t)len;
	buf[len] = 0;
	close(fd);
	return n;
}

static int cg_write(const char *dir, const char *file, const char *text)
{
	char path[CG_PATH];
	int fd, rc = 0;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int cg_write_u64(const char *dir, const char *file, uint64_t v)
{
	char text[24];

	snprintf(text, sizeof(text), "%" PRIu64, v);
	return cg_write(dir, file, text);
}

static uint64_t cg_read_u64(const char *dir, const char *file)
{
	char text[64];

	return cg_read(dir, file, text, sizeof(text)) > 0 ? strtoull(text, NULL, 10) : 0;
}

/* The number after <key> at the start of a line of a "key value" file. */
static uint64_t cg_key(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (!strncmp(p, key, n) && p[n] == ' ')
			return strtoull(p + n, NULL, 10);
	}
	return 0;
}

/* Is <word> one of the words of <list>, separated by any of <sep>? */
static bool cg_listed(const char *list, const char *word, const char *sep)
{
	size_t n = strlen(word);

	while (*list) {
		size_t len = strcspn(list, sep);

		if (len == n && !memcmp(list, word, n))
			return true;
		list += len + (list[len] != 0);
	}
	return false;
}

/* ---- what the host offers ---- */

/* Finds our group for a v1 controller, or for v2 (<ctl> NULL), in the text of /proc/self/cgroup:
 * "4:memory:/path", "2:cpu,cpuacct:/path", "0::/path". Into <out>; false when it is not there. */
static bool cg_own_path(const char *text, const char *ctl, char *out, size_t size)
{
	while (*text) {
		size_t len = strcspn(text, "\n");
		const char *list = memchr(text, ':', len), *path;
		char word[128];

		path = list ? memchr(list + 1, ':', len - (list + 1 - text)) : NULL;
		if (path) {
			snprintf(word, sizeof(word), "%.*s", (int)(path - list - 1), list + 1);
			if (ctl ? cg_listed(word, ctl, ",") : !*word) {
				snprintf(out, size, "%.*s", (int)(text + len - path - 1), path + 1);
				return true;
			}
		}
		text += len + (text[len] != 0);
	}
	return false;
}

/* One line of mountinfo (proc(5)): "id parent maj:min root point options [fields] - type source super". */
struct cg_mount {
	char root[CG_PATH], point[CG_PATH], type[32], super[256];
};

static bool cg_mount_parse(struct cg_mount *m, const char *line)
{
	const char *dash = strstr(line, " - ");

	return dash && sscanf(line, "%*s %*s %*s %4095s %4095s", m->root, m->point) == 2 &&
	       sscanf(dash, " - %31s %*s %255s", m->type, m->super) == 2;
}

/* The mount of v1 controller <ctl>, or of v2 (NULL). */
static bool cg_find_mount(const char *root, const char *ctl, struct cg_mount *m)
{
	char path[CG_PATH], line[3 * CG_PATH];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", root);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (!found && fgets(line, sizeof(line), f))
		found = cg_mount_parse(m, line) &&
			(ctl ? !strcmp(m->type, "cgroup") && cg_listed(m->super, ctl, ",")
			     : !strcmp(m->type, "cgroup2"));
	fclose(f);
	return found;
}

/* Our own directory in <m>'s hierarchy. A container may see a part of it only: what is mounted begins at
 * m->root, which our path may or may not repeat. */
static char *cg_own_dir(const char *root, const struct cg_mount *m, const char *own)
{
	size_t n = strcmp(m->root, "/") ? strlen(m->root) : 0;
	char *dir;

	if (n && !strncmp(own, m->root, n) && (own[n] == '/' || !own[n]))
		own += n;
	if (asprintf(&dir, "%s%s%s", root, m->point, strcmp(own, "/") ? own : "") < 0)
		return NULL;
	if (access(dir, F_OK) == 0)
		return dir;
	free(dir);
	return asprintf(&dir, "%s%s", root, m->point) < 0 ? NULL : dir;
}

static void cg_missing(struct cgroup_host *h, enum cg_ctl ctl, const char *what, int err)
{
	h->where[ctl] = -1;
	snprintf(h->why_not[ctl], sizeof(h->why_not[ctl]), "%.60s%s%s", what, err ? ": " : "",
		 err ? strerror(err) : "");
}

/* Makes <base>/<tree>. 0 or -errno. */
static int cg_make_tree(struct cgroup_hier *hi, const char *tree)
{
	free(hi->tree);
	if (asprintf(&hi->tree, "%s/%s", hi->base, tree) < 0) {
		hi->tree = NULL;
		return -ENOMEM;
	}
	return mkdir(hi->tree, 0755) && errno != EEXIST ? -errno : 0;
}

/* <ctl> as a v1 hierarchy; two controllers may share one. False when it is not one here. */
static bool cg_host_v1(struct cgroup_host *h, const char *root, const char *tree, const char *self,
		       enum cg_ctl ctl)
{
	struct cgroup_hier *hi = &h->hier[h->nb_hiers];
	char own[CG_PATH];
	struct cg_mount m;
	int rc;

	if (!cg_find_mount(root, cg_names[ctl], &m) || !cg_own_path(self, cg_names[ctl], own, sizeof(own)))
		return false;
	*hi = (struct cgroup_hier){ .base = cg_own_dir(root, &m, own) };
	if (!hi->base)
		return false;
	for (int i = 0; i < h->nb_hiers; i++)
		if (!h->hier[i].v2 && !strcmp(h->hier[i].base, hi->base)) {
			free(hi->base);
			h->where[ctl] = i;
			return true;
		}
	rc = cg_make_tree(hi, tree);
	if (rc < 0) {
		cg_missing(h, ctl, hi->base, -rc);
		free(hi->base);
		free(hi->tree);
		return true; /* known, and known not to work */
	}
	h->where[ctl] = h->nb_hiers++;
	return true;
}

/* Are all processes of <dir> among <movable>? */
static bool cg_only_ours(const char *dir, const pid_t *movable, int nb)
{
	char text[512], *p = text;

	if (cg_read(dir, "cgroup.procs", text, sizeof(text)) <= 0)
		return false;
	while (*p) {
		pid_t pid = strtol(p, &p, 10);
		bool known = false;

		for (int i = 0; i < nb; i++)
			known |= movable[i] == pid;
		if (!known || *p++ != '\n')
			return false;
	}
	return true;
}

/* The root of the v2 hierarchy, not of a part of it that a container sees. */
static bool cg_is_root(const char *dir)
{
	char path[CG_PATH];

	snprintf(path, sizeof(path), "%s/cgroup.type", dir);
	return access(path, F_OK) != 0;
}

/* Tells v2 group <dir> to hand <ctls> on; the bits that it does then, or did already. */
static unsigned cg_hand_on(const char *dir, unsigned ctls)
{
	char text[512];
	unsigned got = 0;

	for (enum cg_ctl c = 0; c < CG_COUNT; c++) {
		char word[32];

		if (!(ctls & CG_BIT(c)))
			continue;
		snprintf(word, sizeof(word), "+%s", cg_names[c]);
		if (cg_read(dir, "cgroup.subtree_control", text, sizeof(text)) >= 0 &&
		    cg_listed(text, cg_names[c], " \n"))
			got |= CG_BIT(c);
		else if (cg_write(dir, "cgroup.subtree_control", word) == 0)
			got |= CG_BIT(c);
	}
	return got;
}

static void cg_move(const char *dir, const pid_t *pids, int nb)
{
	for (int i = 0; i < nb; i++)
		cg_write_u64(dir, "cgroup.procs", pids[i]);
}

/* Step 2 of the theory above: make room by moving ourselves away. */
static unsigned cg_move_and_hand_on(struct cgroup_hier *hi, const char *tree, unsigned ctls,
				    const pid_t *movable, int nb)
{
	unsigned got;

	if (!cg_only_ours(hi->base, movable, nb) ||
	    asprintf(&hi->leaf, "%s/standin-daemon-%s", hi->base, tree + strlen("standin-")) < 0) {
		hi->leaf = NULL;
		return 0;
	}
	if (mkdir(hi->leaf, 0755) && errno != EEXIST)
		goto back;
	cg_move(hi->leaf, movable, nb);
	got = cg_hand_on(hi->base, ctls);
	if (got)
		return got;
	cg_move(hi->base, movable, nb);
	rmdir(hi->leaf);
back:
	free(hi->leaf);
	hi->leaf = NULL;
	return 0;
}

/* Step 3: the nearest group above ours (whose path is at least <top> long) that hands on most of <ctls>. */
static unsigned cg_beside(struct cgroup_hier *hi, size_t top, unsigned ctls)
{
	char dir[CG_PATH], text[512];
	unsigned best = 0;

	snprintf(dir, sizeof(dir), "%s", hi->base);
	while (strlen(dir) > top) {
		unsigned got = 0;

		*strrchr(dir, '/') = 0;
		if (cg_read(dir, "cgroup.subtree_control", text, sizeof(text)) > 0)
			for (enum cg_ctl c = 0; c < CG_COUNT; c++)
				if ((ctls & CG_BIT(c)) && cg_listed(text, cg_names[c], " \n"))
					got |= CG_BIT(c);
		if (__builtin_popcount(got) > __builtin_popcount(best)) {
			best = got;
			strcpy(hi->base, dir); /* ever shorter */
		}
	}
	return best;
}

/* Chooses the place in the v2 hierarchy; <wanted>: the controllers no v1 hierarchy has. */
static void cg_host_v2(struct cgroup_host *h, const char *root, const char *tree, const char *self,
		       unsigned wanted, const pid_t *movable, int nb)
{
	struct cgroup_hier *hi = &h->hier[h->nb_hiers];
	char own[CG_PATH], text[512] = "";
	unsigned there = 0, got;
	struct cg_mount m;
	int rc;

	if (!cg_find_mount(root, NULL, &m) || !cg_own_path(self, NULL, own, sizeof(own)))
		return;
	*hi = (struct cgroup_hier){ .v2 = true, .base = cg_own_dir(root, &m, own) };
	if (!hi->base)
		return;
	cg_read(hi->base, "cgroup.controllers", text, sizeof(text));
	for (enum cg_ctl c = 0; c < CG_COUNT; c++)
		if ((wanted & CG_BIT(c)) && cg_listed(text, cg_names[c], " \n"))
			there |= CG_BIT(c);
	got = there && cg_is_root(hi->base) ? cg_hand_on(hi->base, there) : 0;
	if (there && !got)
		got = cg_move_and_hand_on(hi, tree, there, movable, nb);
	if (there && !got)
		got = cg_beside(hi, strlen(root) + strlen(m.point), there);
	rc = cg_make_tree(hi, tree);
	if (rc < 0) {
		for (enum cg_ctl c = 0; c < CG_COUNT; c++)
			if (wanted & CG_BIT(c))
				cg_missing(h, c, hi->base, -rc);
		free(hi->base);
		free(hi->tree);
		return;
	}
	if (got)
		got = cg_hand_on(hi->tree, got);
	for (enum cg_ctl c = 0; c < CG_COUNT; c++)
		if (got & CG_BIT(c))
			h->where[c] = h->nb_hiers;
		else if (there & CG_BIT(c))
			cg_missing(h, c, "the cgroup2 parent does not hand it on", 0);
	/* every v2 group kills, freezes and counts processor time */
	h->where[CG_FREEZER] = h->nb_hiers;
	if (h->where[CG_CPUACCT] < 0)
		h->where[CG_CPUACCT] = h->nb_hiers;
	h->nb_hiers++;
}

void cgroup_host_init(struct cgroup_host *h, const char *root, const char *tree, const pid_t *movable,
		      int nb_movable)
{
	char self[CG_PATH], dir[CG_PATH];
	unsigned wanted = 0;

	memset(h, 0, sizeof(*h));
	for (enum cg_ctl c = 0; c < CG_COUNT; c++)
		cg_missing(h, c, "no such controller on this host", 0);
	snprintf(dir, sizeof(dir), "%s/proc/self", root);
	if (cg_read(dir, "cgroup", self, sizeof(self)) < 0)
		return;
	for (enum cg_ctl c = CG_MEMORY; c <= CG_PIDS; c++)
		if (c != CG_CPUACCT && !cg_host_v1(h, root, tree, self, c))
			wanted |= CG_BIT(c);
	cg_host_v2(h, root, tree, self, wanted, movable, nb_movable);
	for (enum cg_ctl c = CG_CPUACCT; c < CG_COUNT; c++)
		if ((c == CG_CPUACCT || c == CG_FREEZER) && h->where[c] < 0)
			cg_host_v1(h, root, tree, self, c);
}

void cgroup_host_free(struct cgroup_host *h, const pid_t *movable, int nb_movable)
{
	for (int i = 0; i < h->nb_hiers; i++) {
		struct cgroup_hier *hi = &h->hier[i];

		rmdir(hi->tree);
		if (hi->leaf) { /* back to where we were: nothing may be handed on then */
			cg_write(hi->base, "cgroup.subtree_control", "-memory");
			cg_write(hi->base, "cgroup.subtree_control", "-cpu");
			cg_write(hi->base, "cgroup.subtree_control", "-pids");
			cg_move(hi->base, movable, nb_movable);
			rmdir(hi->leaf);
		}
		free(hi->base);
		free(hi->tree);
		free(hi->leaf);
	}
	memset(h, 0, sizeof(*h));
}

/* ---- one instance's group ---- */

static void cgroup_free(struct cgroup *cg)
{
	for (int i = 0; i < CG_MAX_HIERS; i++) {
		free(cg->dir[i]);
		free(cg->procs[i]);
	}
	memset(cg, 0, sizeof(*cg));
}

/* A daemon of the same pid (in a container it always is) may have left an empty one. One that has processes
 * cannot be removed. */
static int cg_make_own(const char *dir)
{
	if (mkdir(dir, 0755) == 0)
		return 0;
	if (errno != EEXIST || rmdir(dir) < 0)
		return errno == EBUSY || errno == ENOTEMPTY ? -EEXIST : -errno;
	return mkdir(dir, 0755) == 0 ? 0 : -errno;
}

int cgroup_create(struct cgroup *cg, const struct cgroup_host *h, const char *name)
{
	int rc;

	memset(cg, 0, sizeof(*cg));
	cg->host = h;
	for (int i = 0; i < h->nb_hiers; i++) {
		rc = -ENOMEM;
		if (asprintf(&cg->dir[i], "%s/%s", h->hier[i].tree, name) < 0) {
			cg->dir[i] = NULL;
			goto undo;
		}
		if (asprintf(&cg->procs[i], "%s/cgroup.procs", cg->dir[i]) < 0) {
			cg->procs[i] = NULL;
			goto undo;
		}
		rc = cg_make_own(cg->dir[i]);
		if (rc < 0) {
			free(cg->dir[i]);
			cg->dir[i] = NULL;
			goto undo;
		}
	}
	return 0;
undo:
	for (int i = 0; i < h->nb_hiers; i++)
		if (cg->dir[i])
			rmdir(cg->dir[i]);
	cgroup_free(cg);
	return rc;
}

/* The directory where <ctl> is for this group, or NULL; *v2 says of which kind. */
static const char *cg_dir(const struct cgroup *cg, enum cg_ctl ctl, bool *v2)
{
	int at = cg->host ? cg->host->where[ctl] : -1;

	if (at < 0)
		return NULL;
	*v2 = cg->host->hier[at].v2;
	return cg->dir[at];
}

/* Memory and swap together are limited to the same: a limit that only pushes out to swap is none. In v1 the
 * sum may never be below the memory limit, so the order depends on the direction. */
static int cg_set_memory_v1(const char *dir, uint64_t bytes)
{
	char text[24];
	int rc;

	snprintf(text, sizeof(text), "%" PRId64, bytes ? (int64_t)bytes : -1);
	cg_write(dir, "memory.memsw.limit_in_bytes", text); /* fails when lowering: again below */
	rc = cg_write(dir, "memory.limit_in_bytes", text);
	if (rc == 0)
		cg_write(dir, "memory.memsw.limit_in_bytes", text);
	return rc;
}

/* In v2 a limit below what is used is not refused, it kills: so refuse it here. */
static int cg_set_memory_v2(const char *dir, uint64_t bytes, uint64_t before)
{
	if (bytes && (!before || bytes < before) && cg_read_u64(dir, "memory.current") > bytes)
		return -EBUSY;
	cg_write(dir, "memory.swap.max", bytes ? "0" : "max");
	return bytes ? cg_write_u64(dir, "memory.max", bytes) : cg_write(dir, "memory.max", "max");
}

static int cg_set_cpu(const char *dir, bool v2, uint32_t milli)
{
	uint64_t quota = MAX((uint64_t)milli * CG_CPU_PERIOD / 1000, (uint64_t)CG_CPU_MIN);
	char text[64];

	if (v2) {
		if (milli)
			snprintf(text, sizeof(text), "%" PRIu64 " %d", quota, CG_CPU_PERIOD);
		return cg_write(dir, "cpu.max", milli ? text : "max");
	}
	cg_write_u64(dir, "cpu.cfs_period_us", CG_CPU_PERIOD);
	snprintf(text, sizeof(text), "%" PRId64, milli ? (int64_t)quota : -1);
	return cg_write(dir, "cpu.cfs_quota_us", text);
}

int cgroup_set(struct cgroup *cg, const struct app_spec *spec, unsigned *failed)
{
	int rc[3] = { 0 }, first = 0;
	const char *dir;
	bool v2;

	*failed = 0;
	if ((dir = cg_dir(cg, CG_MEMORY, &v2)))
		rc[0] = v2 ? cg_set_memory_v2(dir, spec->memory, cg->limits.memory)
			   : cg_set_memory_v1(dir, spec->memory);
	if ((dir = cg_dir(cg, CG_CPU, &v2)))
		rc[1] = cg_set_cpu(dir, v2, spec->cpu_milli);
	if ((dir = cg_dir(cg, CG_PIDS, &v2)))
		rc[2] =
		    spec->pids ? cg_write_u64(dir, "pids.max", spec->pids) : cg_write(dir, "pids.max", "max");
	if (rc[0] < 0)
		*failed |= CG_BIT(CG_MEMORY), first = rc[0];
	else
		cg->limits.memory = cg_dir(cg, CG_MEMORY, &v2) ? spec->memory : 0;
	if (rc[1] < 0)
		*failed |= CG_BIT(CG_CPU), first = first ? first : rc[1];
	else
		cg->limits.cpu_milli = cg_dir(cg, CG_CPU, &v2) ? spec->cpu_milli : 0;
	if (rc[2] < 0)
		*failed |= CG_BIT(CG_PIDS), first = first ? first : rc[2];
	else
		cg->limits.pids = cg_dir(cg, CG_PIDS, &v2) ? spec->pids : 0;
	return first;
}

/* Calls <fn> for each group below <dir>: an instance that runs as root may have made some of its own. */
static void cg_each_below(const char *dir, void (*fn)(const char *dir, int depth, void *arg), int depth, void *arg)
{
	char path[CG_PATH];
	struct dirent *e;
	struct stat st;
	DIR *d;

	if (depth >= CG_MAX_DEPTH || stat(dir, &st) < 0 || st.st_nlink <= 2 || !(d = opendir(dir)))
		return;
	while ((e = readdir(d)))
		if (e->d_type == DT_DIR && e->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", dir, e->d_name) < (int)sizeof(path))
			fn(path, depth + 1, arg);
	closedir(d);
}

struct cg_pids {
	int nb, max;
	void (*fn)(pid_t pid, void *arg);
	void *arg;
};

static void cg_pids_of(const char *dir, int depth, void *arg)
{
	struct cg_pids *p = arg;
	char path[CG_PATH], line[32];
	FILE *f;

	snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
	f = fopen(path, "re");
	while (f && p->nb < p->max && fgets(line, sizeof(line), f)) {
		pid_t pid = strtol(line, NULL, 10);

		if (pid <= 1) /* 0: not in our pid namespace */
			continue;
		p->nb++;
		if (p->fn)
			p->fn(pid, p->arg);
	}
	if (f)
		fclose(f);
	if (p->nb < p->max)
		cg_each_below(dir, cg_pids_of, depth, p);
}

/* Calls <fn> for each process, at most <max> of them; how many there were. Groups of all hierarchies have the
 * same processes, unless one moved itself: look into each. */
static int cg_each_pid(const struct cgroup *cg, int max, void (*fn)(pid_t pid, void *arg), void *arg)
{
	struct cg_pids p = { .max = max, .fn = fn, .arg = arg };

	for (int i = 0; i < CG_MAX_HIERS && cg->dir[i] && !p.nb; i++)
		cg_pids_of(cg->dir[i], 0, &p);
	return p.nb;
}

static int cg_freeze(const struct cgroup *cg, bool on)
{
	bool v2;
	const char *dir = cg_dir(cg, CG_FREEZER, &v2);

	if (!dir)
		return -EOPNOTSUPP;
	return v2 ? cg_write(dir, "cgroup.freeze", on ? "1" : "0")
		  : cg_write(dir, "freezer.state", on ? "FROZEN" : "THAWED");
}

static void cg_kill_one(pid_t pid, void *arg)
{
	kill(pid, SIGKILL);
}

int cgroup_kill(const struct cgroup *cg)
{
	bool v2 = false;
	const char *dir = cg_dir(cg, CG_FREEZER, &v2);
	int nb;

	if (dir && v2 && cg_write(dir, "cgroup.kill", "1") == 0)
		return cg_each_pid(cg, 1, NULL, NULL);
	/* Frozen, nothing can fork while we read; the signal is taken when it thaws. */
	cg_freeze(cg, true);
	nb = cg_each_pid(cg, 100000, cg_kill_one, NULL);
	cg_freeze(cg, false);
	return nb;
}

bool cgroup_empty(const struct cgroup *cg)
{
	return cg_each_pid(cg, 1, NULL, NULL) == 0;
}

static void cg_remove_below(const char *dir, int depth, void *arg)
{
	if (rmdir(dir) == 0)
		return;
	cg_each_below(dir, cg_remove_below, depth, arg);
	rmdir(dir);
}

int cgroup_remove(struct cgroup *cg)
{
	for (int i = 0; i < CG_MAX_HIERS; i++) {
		if (!cg->dir[i] || rmdir(cg->dir[i]) == 0 || errno == ENOENT)
			continue;
		cg_each_below(cg->dir[i], cg_remove_below, 0, NULL);
		if (rmdir(cg->dir[i]) < 0)
			return -errno;
	}
	cgroup_free(cg);
	return 0;
}

/* ---- reading ---- */

static void cg_sample_memory(const char *dir, bool v2, struct cgroup_usage *u)
{
	char text[CG_STAT];
	uint64_t shmem;

	u->memory = cg_read_u64(dir, v2 ? "memory.current" : "memory.usage_in_bytes");
	if (cg_read(dir, "memory.stat", text, sizeof(text)) > 0) {
		u->cache = cg_key(text, v2 ? "file" : "total_cache");
		u->mapped = cg_key(text, v2 ? "file_mapped" : "total_mapped_file");
		u->majfaults = cg_key(text, v2 ? "pgmajfault" : "total_pgmajfault");
		/* pages that were pushed out and are needed again: the sign that every kernel gives.
		 * Linux 6.18 no longer counts in v1's failcnt (reg-tests/platform/app-cgroup-v1.c). */
		u->mem_hits = cg_key(text, v2 ? "workingset_refault_file" : "total_workingset_refault_file") +
			      cg_key(text, v2 ? "workingset_refault_anon" : "total_workingset_refault_anon");
		shmem = cg_key(text, v2 ? "shmem" : "total_shmem");
		u->cache -= MIN(shmem, u->cache); /* in both versions a part of it, but not to be reclaimed */
		u->noncache = u->memory - MIN(u->cache, u->memory);
	}
}

static void cg_usage_memory(const char *dir, bool v2, struct cgroup_usage *u)
{
	char text[CG_STAT];

	u->peak = cg_read_u64(dir, v2 ? "memory.peak" : "memory.max_usage_in_bytes");
	if (v2) {
		if (cg_read(dir, "memory.events", text, sizeof(text)) > 0) {
			u->mem_hits += cg_key(text, "max");
			u->oom_kills = cg_key(text, "oom_kill");
		}
		return;
	}
	u->mem_hits += cg_read_u64(dir, "memory.failcnt") + cg_read_u64(dir, "memory.memsw.failcnt");
	if (cg_read(dir, "memory.oom_control", text, sizeof(text)) > 0)
		u->oom_kills = cg_key(text, "oom_kill");
}

void cgroup_sample(const struct cgroup *cg, struct cgroup_usage *u)
{
	const char *dir;
	bool v2;

	memset(u, 0, sizeof(*u));
	if ((dir = cg_dir(cg, CG_MEMORY, &v2)))
		cg_sample_memory(dir, v2, u);
	if ((dir = cg_dir(cg, CG_PIDS, &v2)))
		u->pids = cg_read_u64(dir, "pids.current");
}

void cgroup_usage(const struct cgroup *cg, struct cgroup_usage *u)
{
	char text[CG_STAT];
	const char *dir;
	bool v2;

	cgroup_sample(cg, u);
	if ((dir = cg_dir(cg, CG_MEMORY, &v2)))
		cg_usage_memory(dir, v2, u);
	if ((dir = cg_dir(cg, CG_CPUACCT, &v2))) {
		if (!v2)
			u->cpu_us = cg_read_u64(dir, "cpuacct.usage") / 1000;
		else if (cg_read(dir, "cpu.stat", text, sizeof(text)) > 0)
			u->cpu_us = cg_key(text, "usage_usec");
	}
	if ((dir = cg_dir(cg, CG_CPU, &v2)) && cg_read(dir, "cpu.stat", text, sizeof(text)) > 0)
		u->throttled_us = v2 ? cg_key(text, "throttled_usec") : cg_key(text, "throttled_time") / 1000;
	if ((dir = cg_dir(cg, CG_PIDS, &v2)) && cg_read(dir, "pids.events", text, sizeof(text)) > 0)
		u->pids_hits = cg_key(text, "max");
}

static void cg_file_rss_one(pid_t pid, void *arg)
{
	char dir[32], text[4096];
	const char *p;
	uint64_t *max = arg;

	snprintf(dir, sizeof(dir), "/proc/%d", (int)pid);
	if (cg_read(dir, "status", text, sizeof(text)) <= 0)
		return;
	p = strstr(text, "\nRssFile:");
	if (p)
		*max = MAX(*max, strtoull(p + strlen("\nRssFile:"), NULL, 10) * 1024);
}

uint64_t cgroup_file_rss(const struct cgroup *cg)
{
	uint64_t max = 0;

	cg_each_pid(cg, 64, cg_file_rss_one, &max);
	return max;
}
