/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * env.c - the environment of an epoch
 *
 * `setenv` and its kin must change what later lines see without touching the
 * process: another thread may read its environment, and the next reload must
 * begin from the same one. So an epoch copies it and changes the copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "cfg/cfg_priv.h"

struct cfg_var {
	struct list node;
	char *pair; /* "NAME=value"; arena */
	size_t name_len;
};

struct cfg_env {
	struct arena *a;
	struct list vars;
	unsigned count;
};

static struct cfg_var *cfg_env_find(const struct cfg_env *env, const char *name)
{
	size_t n = strlen(name);
	struct cfg_var *v;

	list_for_each (v, &env->vars, node)
		if (v->name_len == n && memcmp(v->pair, name, n) == 0)
			return v;
	return NULL;
}

static int cfg_env_add(struct cfg_env *env, char *pair, size_t name_len)
{
	struct cfg_var *v = arena_alloc(env->a, sizeof(*v));

	if (!v || !pair)
		return -ENOMEM;
	v->pair = pair;
	v->name_len = name_len;
	list_add_tail(&env->vars, &v->node);
	env->count++;
	return 0;
}

struct cfg_env *cfg_env_new(struct arena *a)
{
	struct cfg_env *env = arena_alloc(a, sizeof(*env));

	if (!env)
		return NULL;
	env->a = a;
	list_init(&env->vars);
	for (char **e = environ; e && *e; e++) {
		const char *eq = strchr(*e, '=');

		if (eq && cfg_env_add(env, arena_strdup(a, str_c(*e)), eq - *e))
			return NULL;
	}
	return env;
}

const char *cfg_env_get(const struct cfg_env *env, const char *name)
{
	const struct cfg_var *v = cfg_env_find(env, name);

	return v ? v->pair + v->name_len + 1 : NULL;
}

int cfg_env_set(struct cfg_env *env, const char *name, const char *value)
{
	struct cfg_var *v = cfg_env_find(env, name);
	char *pair = arena_printf(env->a, "%s=%s", name, value);

	if (!v)
		return cfg_env_add(env, pair, strlen(name));
	if (pair)
		v->pair = pair;
	return pair ? 0 : -ENOMEM;
}

void cfg_env_unset(struct cfg_env *env, const char *name)
{
	struct cfg_var *v = cfg_env_find(env, name);

	if (!v)
		return;
	list_del(&v->node);
	env->count--;
}

void cfg_env_keep(struct cfg_env *env, char *const *names, int n)
{
	struct cfg_var *v, *next;

	list_for_each_safe (v, next, &env->vars, node) {
		bool keep = false;

		for (int i = 0; i < n && !keep; i++)
			keep = strlen(names[i]) == v->name_len && memcmp(v->pair, names[i], v->name_len) == 0;
		if (!keep) {
			list_del(&v->node);
			env->count--;
		}
	}
}

const char *epoch_getenv(const struct epoch *ep, const char *name)
{
	return cfg_env_get(ep->env, name);
}

char **epoch_environ(struct epoch *ep, struct arena *a)
{
	char **envp = arena_alloc(a, (ep->env->count + 1) * sizeof(*envp));
	struct cfg_var *v;
	unsigned i = 0;

	if (!envp)
		return NULL;
	list_for_each (v, &ep->env->vars, node)
		envp[i++] = v->pair;
	return envp;
}
