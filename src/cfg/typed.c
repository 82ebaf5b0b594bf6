/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * typed.c - keywords that are one typed word: parsed from their table entry alone
 */
#include <errno.h>

#include "cfg/cfg_priv.h"

int cfg_kw_words(const struct cfg_kw *kw)
{
	int n = 1;

	for (const char *p = kw->word; *p; p++)
		n += *p == ' ';
	return n;
}

int cfg_no_more_args(struct cfg_line *ln, const struct cfg_kw *kw, int max)
{
	int used = cfg_kw_words(kw) + max;

	if (ln->argc <= used)
		return 0;
	return cfg_err(ln, "'%s' cannot handle unexpected argument '%s'.", kw->word, ln->args[used]);
}

static int cfg_store_uint(struct cfg_line *ln, const struct cfg_kw *kw, void *field, const char *word)
{
	uint64_t max = kw->max ? kw->max : kw->type == CFG_T_UINT ? UINT32_MAX : UINT64_MAX, v;
	int rc = cfg_parse_uint(word, &v);

	if (rc == -EINVAL)
		return cfg_err(ln, "'%s' expects an integer argument, not '%s'.", kw->word, word);
	if (rc || v < kw->min || v > max)
		return cfg_err(ln, "'%s' must be between %llu and %llu (was %s).", kw->word,
			       (unsigned long long)kw->min, (unsigned long long)max, word);
	if (!field)
		return 0;
	if (kw->type == CFG_T_UINT)
		*(unsigned *)field = (unsigned)v;
	else
		*(uint64_t *)field = v;
	return 0;
}

int cfg_time_arg(struct cfg_line *ln, const char *what, const char *word, unsigned *ms)
{
	int rc = cfg_parse_time(word, ms);
	size_t digits = strspn(word, "0123456789");

	if (rc == -ERANGE)
		return cfg_err(
		    ln, "timer overflow in argument '%s' to '%s' (maximum value is %d ms or ~24.8 days)",
		    word, what, INT32_MAX);
	if (rc)
		return cfg_err(
		    ln,
		    "unexpected character '%c' in argument '%s' to '%s' (a number and us, ms, s, m, "
		    "h or d is expected)",
		    word[digits], word, what);
	return 0;
}

static int cfg_store_time(struct cfg_line *ln, const struct cfg_kw *kw, void *field, const char *word)
{
	unsigned ms;

	if (cfg_time_arg(ln, kw->word, word, &ms))
		return -1;
	if (ms < kw->min || (kw->max && ms > kw->max))
		return cfg_err(ln, "'%s' must be between %llu and %llu ms (was %s).", kw->word,
			       (unsigned long long)kw->min, (unsigned long long)kw->max, word);
	if (field)
		*(unsigned *)field = ms;
	return 0;
}

static int cfg_store_size(struct cfg_line *ln, const struct cfg_kw *kw, void *field, const char *word)
{
	uint64_t v;
	int rc = cfg_parse_size(word, &v);

	if (rc == -EINVAL)
		return cfg_err(ln, "'%s' expects a size (a number and an optional k, m, g or t), not '%s'.",
			       kw->word, word);
	if (rc || v < kw->min || (kw->max && v > kw->max))
		return cfg_err(ln, "'%s' must be between %llu and %llu bytes (was %s).", kw->word,
			       (unsigned long long)kw->min,
			       (unsigned long long)(kw->max ? kw->max : UINT64_MAX), word);
	if (field)
		*(uint64_t *)field = v;
	return 0;
}

static int cfg_store_str(struct cfg_line *ln, const struct cfg_kw *kw, void *field, const char *word)
{
	char *s = cfg_strdup(ln, word);

	if (!s)
		return -1;
	if (field)
		*(char **)field = s;
	return 0;
}

static int cfg_store_flag(struct cfg_line *ln, const struct cfg_kw *kw, void *field)
{
	if (field)
		*(bool *)field = !ln->no_prefix && !ln->default_prefix;
	return 0;
}

/* What a missing argument should have been. */
static const char *const cfg_type_what[] = {
	[CFG_T_UINT] = "an integer", [CFG_T_UINT64] = "an integer", [CFG_T_TIME] = "a time",
	[CFG_T_SIZE] = "a size",     [CFG_T_STR] = "one",
};

int cfg_parse_typed(struct cfg_line *ln, const struct cfg_kw *kw)
{
	static int (*const store[])(struct cfg_line *, const struct cfg_kw *, void *, const char *) = {
		[CFG_T_UINT] = cfg_store_uint, [CFG_T_UINT64] = cfg_store_uint, [CFG_T_TIME] = cfg_store_time,
		[CFG_T_SIZE] = cfg_store_size, [CFG_T_STR] = cfg_store_str,
	};
	void *field = ln->obj ? (char *)ln->obj + kw->offset : NULL;
	int at = cfg_kw_words(kw);

	if (kw->type == CFG_T_FLAG)
		return cfg_no_more_args(ln, kw, 0) ? -1 : cfg_store_flag(ln, kw, field);
	if (at >= ln->argc || !*ln->args[at])
		return cfg_err(ln, "'%s' expects %s argument.", kw->word, cfg_type_what[kw->type]);
	if (cfg_no_more_args(ln, kw, 1))
		return -1;
	return store[kw->type](ln, kw, field, ln->args[at]);
}
