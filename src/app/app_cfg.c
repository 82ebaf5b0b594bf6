/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * app_cfg.c - the `app` section: opened, completed, checked, applied
 *
 * Two digests tell what changed between configurations. The release is what
 * sizes are remembered under: as configured, or a digest of command, environment and
 * the program's file. The identity covers in addition all that a running instance
 * cannot change any more (user, directory, ports, ...): instances of another
 * identity are replaced, everything else takes effect on those that run.
 */
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_priv.h"
#include "cfg/cfg.h"
#include "driver.h"

#define APP_NAME_MAX 48

const struct app_part *app_part(const struct epoch *ep)
{
	return epoch_part(ep, &app_module);
}

void *app_cfg_create(struct epoch *ep)
{
	struct app_part *part = arena_alloc(&ep->arena, sizeof(*part));

	if (part)
		list_init(&part->apps);
	return part;
}

static bool app_name_ok(const char *s)
{
	size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.");

	return n && n <= APP_NAME_MAX && !s[n] && s[0] != '.';
}

static int app_open(struct cfg_line *ln)
{
	struct app_part *part = epoch_part(ln->ep, &app_module);
	struct app_cfg *a = cfg_zalloc(ln, sizeof(*a));

	if (!a)
		return -1;
	if (ln->argc != 2 || !app_name_ok(ln->args[1]))
		return cfg_err(ln, "'app' expects one name, of at most %d letters, digits, '_', '-' and '.'",
			       APP_NAME_MAX);
	a->obj.kind = "app";
	a->obj.name = cfg_strdup(ln, ln->args[1]);
	a->obj.file = ln->file;
	a->obj.line = ln->line;
	a->driver = app_driver_find("process");
	a->umask = 022;
	a->uid = a->gid = (uid_t)-1;
	a->start_ms = 60000;
	a->stop_ms = 10000;
	a->check_ms = 1000;
	a->inter_ms = 2000;
	a->fall = 3;
	a->rise = 2;
	a->standby = 1;
	a->margin_pct = SIZING_MARGIN_DEFAULT;
	a->backoff_min_ms = 100;
	a->backoff_max_ms = 30000;
	a->limit = 20;
	a->period_ms = 60000;
	a->stop_signal = SIGTERM;
	log_set_init(&a->log);
	list_init(&a->node);
	list_init(&a->obj.node);
	epoch_add_object(ln->ep, &a->obj, ln->d);
	list_add_tail(&part->apps, &a->node);
	ln->obj = a;
	return 0;
}

static struct cfg_section app_section = { .name = "app", .bit = CFG_APP, .open = app_open };

/* ---- digests ---- */

static void digest_text(EVP_MD_CTX *md, const char *s)
{
	EVP_DigestUpdate(md, s ? s : "", strlen(s ? s : "") + 1);
}

static void digest_file(EVP_MD_CTX *md, const char *path)
{
	FILE *f = fopen(path, "re");
	char buf[65536];
	size_t n;

	while (f && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		EVP_DigestUpdate(md, buf, n);
	if (f)
		fclose(f);
}

/* In hexadecimal, its first <chars> digits, in the epoch. */
static char *digest_end(EVP_MD_CTX *md, struct epoch *ep, unsigned chars)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	char hex[2 * EVP_MAX_MD_SIZE + 1];
	unsigned n = 0;

	EVP_DigestFinal_ex(md, raw, &n);
	EVP_MD_CTX_free(md);
	for (unsigned i = 0; i < n; i++)
		sprintf(hex + 2 * i, "%02x", raw[i]);
	hex[MIN(chars, 2 * n)] = 0;
	return arena_strdup(&ep->arena, str_c(hex));
}

static EVP_MD_CTX *digest_begin(void)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();

	if (md)
		EVP_DigestInit_ex(md, EVP_sha256(), NULL);
	return md;
}

static void app_release_digest(struct app_cfg *a, struct epoch *ep)
{
	EVP_MD_CTX *md = digest_begin();

	if (!md)
		return;
	for (int i = 0; i < a->argc; i++)
		digest_text(md, a->argv[i]);
	for (int i = 0; i < a->nb_env; i++)
		digest_text(md, a->env[i]);
	digest_file(md, a->argv[0]);
	a->release = digest_end(md, ep, 12);
}

static void app_identity_digest(struct app_cfg *a, struct epoch *ep)
{
	EVP_MD_CTX *md = digest_begin();
	char text[ADDR_STRLEN + 128], addr[ADDR_STRLEN];

	if (!md)
		return;
	digest_text(md, a->driver->name);
	digest_text(md, a->release);
	for (int i = 0; i < a->argc; i++)
		digest_text(md, a->argv[i]);
	for (int i = 0; i < a->nb_env; i++)
		digest_text(md, a->env[i]);
	digest_text(md, a->dir);
	snprintf(text, sizeof(text), "%u %u %o %s-%u", a->uid, a->gid, a->umask, addr_print(&a->listen, addr),
		 a->port_last);
	digest_text(md, text);
	EVP_DigestUpdate(md, a->rlimit, a->nb_rlimits * sizeof(a->rlimit[0]));
	a->identity = digest_end(md, ep, 64);
}

/* ---- checks over the whole section ---- */

#define APP_ERR(d, a, ...)  diag_error(d, (a)->obj.file, (a)->obj.line, __VA_ARGS__)
#define APP_WARN(d, a, ...) diag_warn(d, (a)->obj.file, (a)->obj.line, __VA_ARGS__)

static void app_check_command(struct app_cfg *a, struct epoch *ep, struct diag *d)
{
	char *err = NULL;

	if (!a->argc) {
		APP_ERR(d, a, "app '%s' has no 'command'", a->obj.name);
		return;
	}
	if (a->driver && a->driver->check(a, &err) < 0)
		diag_error(d, a->obj.file, a->command_line, "app '%s': %s", a->obj.name,
			   err ? err : "bad command");
	free(err);
}

static void app_check_user(struct app_cfg *a, struct epoch *ep, struct diag *d)
{
	if (a->uid == (uid_t)-1) {
		a->uid = ep->global.uid >= 0 ? (uid_t)ep->global.uid : geteuid();
		a->user = (char *)ep->global.user;
		if (a->uid == 0)
			APP_WARN(d, a, "app '%s' runs as root: neither it nor 'global' has a 'user'",
				 a->obj.name);
	}
	if (a->gid == (gid_t)-1)
		a->gid = ep->global.gid >= 0 ? (gid_t)ep->global.gid : a->uid == 0 ? 0 : getegid();
}

/* One port for the primary, one for each standby, and one to put the next one on while another still ends. */
static void app_check_ports(struct app_cfg *a, struct diag *d)
{
	unsigned have = a->port_last - a->listen.port + 1, need = a->standby ? a->standby + 2 : 1;

	if (!a->has_listen)
		APP_ERR(d, a, "app '%s' has no 'listen'", a->obj.name);
	else if (have < need)
		APP_ERR(d, a,
			"app '%s': %u port%s for %u standby%s are too few: it needs %u, one for the primary, "
			"one for "
			"each standby, one for a replacement",
			a->obj.name, have, have > 1 ? "s" : "", a->standby, a->standby > 1 ? "s" : "", need);
}

static void app_check_overlap(const struct app_part *part, const struct app_cfg *a, struct diag *d)
{
	const struct app_cfg *b;

	list_for_each(b, &part->apps, node) {
		if (b == a)
			return;
		if (b->has_listen && a->has_listen && b->listen.family == a->listen.family &&
		    a->listen.port <= b->port_last && b->listen.port <= a->port_last)
			APP_ERR(d, a, "app '%s': its ports %u-%u overlap those of app '%s' (%s:%d)",
				a->obj.name, a->listen.port, a->port_last, b->obj.name, b->obj.file,
				b->obj.line);
	}
}

static void app_check_resources(struct app_cfg *a, struct diag *d)
{
	uint64_t ram = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (a->spec.memory > ram)
		APP_WARN(d, a, "app '%s': this machine has %llu MiB of memory, less than its 'resources'",
			 a->obj.name, (unsigned long long)(ram >> 20));
	if (cpus > 0 && a->spec.cpu_milli > (uint64_t)cpus * 1000)
		APP_WARN(d, a, "app '%s': this machine has %ld cores, less than its 'resources'", a->obj.name,
			 cpus);
	if (a->standby && !a->spec.memory && !a->spec.cpu_milli && !a->spec.pids)
		APP_WARN(d, a,
			 "app '%s' has no 'resources': its standby cannot be made smaller than its primary",
			 a->obj.name);
	if (a->ready == READY_DELAY && a->ready_delay_ms >= a->start_ms)
		APP_ERR(d, a, "app '%s': 'ready delay' is not below 'timeout start'", a->obj.name);
}

static const struct app_cfg *app_cfg_find(const struct app_part *part, const char *name)
{
	const struct app_cfg *a;

	list_for_each(a, &part->apps, node)
		if (!strcmp(a->obj.name, name))
			return a;
	return NULL;
}

static void app_check_depends(const struct app_part *part, const struct app_cfg *a, struct epoch *ep,
			      struct diag *d)
{
	const struct app_cfg *b = a;
	const char *near;

	if (!a->depends)
		return;
	if (!app_cfg_find(part, a->depends)) {
		near = epoch_nearest(ep, "app", a->depends);
		APP_ERR(d, a, "app '%s' depends on '%s', which is no app" DIAG_MAYBE, a->obj.name, a->depends,
			DIAG_MAYBE_ARG(near));
		return;
	}
	for (int i = 0; b && b->depends && i < 1000; i++) {
		b = app_cfg_find(part, b->depends);
		if (b == a) {
			APP_ERR(d, a, "app '%s' depends on itself, by way of '%s'", a->obj.name, a->depends);
			return;
		}
	}
}

void app_cfg_resolve(struct epoch *ep, struct diag *d)
{
	const struct app_part *part = epoch_part(ep, &app_module);
	struct app_cfg *a;

	list_for_each(a, &part->apps, node) {
		unsigned errors = d->errors;

		app_check_command(a, ep, d);
		app_check_user(a, ep, d);
		app_check_ports(a, d);
		app_check_overlap(part, a, d);
		app_check_resources(a, d);
		app_check_depends(part, a, ep, d);
		if (d->errors > errors || !a->argc)
			continue;
		if (!a->release)
			app_release_digest(a, ep);
		if (a->release)
			app_identity_digest(a, ep);
		if (!a->release || !a->identity)
			APP_ERR(d, a, "out of memory");
		else if (strlen(a->release) >= STORE_RELEASE_LEN)
			APP_ERR(d, a, "app '%s': 'release' is longer than %d characters", a->obj.name,
				STORE_RELEASE_LEN - 1);
	}
}

INITCALL app_cfg_register(void)
{
	cfg_register_section(&app_section);
}
