/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * expand.c - $PORT $ADDR $INSTANCE $MEMORY_MB $CPUS in commands and environments
 *
 * Sizes are the primary's, also for a standby: heaps that are fixed at start
 * must fit what the instance may become (FACTS §6). Where nothing is limited, they
 * are the machine's. Any other dollar sign is left alone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app_priv.h"
#include "core/buf.h"

static void expand_port(const struct instance *in, char *out, size_t size)
{
	snprintf(out, size, "%u", in->addr.port);
}

static void expand_addr(const struct instance *in, char *out, size_t size)
{
	char text[ADDR_STRLEN];

	snprintf(out, size, "%s", addr_print_ip(&in->addr, text));
}

static void expand_instance(const struct instance *in, char *out, size_t size)
{
	snprintf(out, size, "%s", in->name);
}

static void expand_memory(const struct instance *in, char *out, size_t size)
{
	uint64_t bytes = in->cfg->spec.memory;

	if (!bytes)
		bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	snprintf(out, size, "%llu", (unsigned long long)(bytes >> 20));
}

/* Whole cores, at least one: what threads are counted by. */
static void expand_cpus(const struct instance *in, char *out, size_t size)
{
	uint32_t milli = in->cfg->spec.cpu_milli;

	snprintf(out, size, "%ld", milli ? (long)(milli + 999) / 1000 : sysconf(_SC_NPROCESSORS_ONLN));
}

static const struct expand_word {
	const char *name;
	void (*fill)(const struct instance *in, char *out, size_t size);
} expand_words[] = {
	{ "PORT", expand_port },        { "ADDR", expand_addr }, { "INSTANCE", expand_instance },
	{ "MEMORY_MB", expand_memory }, { "CPUS", expand_cpus },
};

/* <s> points behind a dollar sign: the word there and how long it is, braces included. */
static const struct expand_word *expand_find(const char *s, size_t *len)
{
	bool brace = *s == '{';
	const char *name = s + brace;
	size_t n = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz0123456789");

	if (brace && name[n] != '}')
		return NULL;
	*len = n + 2 * brace;
	for (size_t i = 0; i < ARRAY_SIZE(expand_words); i++)
		if (strlen(expand_words[i].name) == n && !memcmp(name, expand_words[i].name, n))
			return &expand_words[i];
	return NULL;
}

char *app_expand(const struct instance *in, const char *s)
{
	struct buf b = { 0 };

	while (*s) {
		const struct expand_word *word = NULL;
		size_t n = 1;
		char value[128];

		if (*s == '$')
			word = expand_find(s + 1, &n);
		if (word) {
			word->fill(in, value, sizeof(value));
			buf_put_grow(&b, value, strlen(value));
			s += 1 + n;
		} else {
			buf_put_grow(&b, s++, 1);
		}
	}
	buf_put_grow(&b, "", 1);
	return b.area;
}

char **app_expand_all(const struct instance *in, char *const *v, int n, int extra)
{
	char **out = calloc(n + extra + 1, sizeof(char *));

	for (int i = 0; out && i < n; i++)
		out[i] = app_expand(in, v[i]);
	return out;
}

void app_free_all(char **v)
{
	for (char **p = v; p && *p; p++)
		free(*p);
	free(v);
}
