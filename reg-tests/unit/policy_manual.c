/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_manual.c - the manual's tables are what is registered
 *
 * doc/configuration-acl.md holds one row for each fetch and converter. With POLICY_MANUAL=print in the
 * environment the rows are printed instead of checked, for pasting.
 */
#include <criterion/criterion.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "policy/sample.h"

#define MANUAL "doc/configuration-acl.md"

/* "SI" -> "[string[,integer]]" */
static void args_text(const char *spec, char *out)
{
	int open = 0;

	*out = 0;
	for (size_t i = 0; spec && spec[i]; i++) {
		if (isupper((unsigned char)spec[i])) {
			strcat(out, "[");
			open++;
		}
		strcat(out, i ? "," : "");
		strcat(out, tolower((unsigned char)spec[i]) == 'i' ? "integer" : "string");
	}
	while (open--)
		strcat(out, "]");
}

static void needs_text(unsigned needs, char *out)
{
	static const struct {
		unsigned bit;
		const char *text;
	} names[] = { { SMP_AT_L4, "connection" },      { SMP_AT_REQ, "request bytes" },
		      { SMP_AT_HREQ, "request head" },  { SMP_AT_RES, "response bytes" },
		      { SMP_AT_HRES, "response head" }, { SMP_AT_HREQP, "response (kept)" } };

	*out = 0;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (needs & names[i].bit) {
			strcat(out, *out ? " or " : "");
			strcat(out, names[i].text);
		}
	if (!*out)
		strcat(out, "anywhere");
}

static void fetch_row(const struct smp_fetch_kw *kw, char *row, size_t n)
{
	char args[128], needs[128];

	args_text(kw->args, args);
	needs_text(kw->needs, needs);
	snprintf(row, n, "| `%s%s%s%s` | %s | %s | %s |", kw->name, *args ? "(" : "", args, *args ? ")" : "",
		 smp_type_name[kw->out], needs, kw->help);
}

static void conv_row(const struct smp_conv_kw *kw, char *row, size_t n)
{
	char args[128];

	args_text(kw->args, args);
	snprintf(row, n, "| `%s%s%s%s` | %s | %s | %s |", kw->name, *args ? "(" : "", args, *args ? ")" : "",
		 smp_type_name[kw->in], smp_type_name[kw->out], kw->help);
}

static char *manual(void)
{
	FILE *f = fopen(MANUAL, "r");
	char *text;
	size_t n;

	if (!f)
		cr_skip_test("run from the top of the tree");
	text = calloc(1, 262144);
	n = fread(text, 1, 262143, f);
	cr_assert(n > 0 && n < 262143);
	fclose(f);
	return text;
}

static void check_row(const char *text, const char *row)
{
	if (getenv("POLICY_MANUAL"))
		printf("%s\n", row);
	else
		cr_expect(strstr(text, row), "%s lacks the row\n%s", MANUAL, row);
}

Test(policy_manual, every_fetch_has_its_row)
{
	char *text = manual(), row[1024];

	for (const struct smp_fetch_kw *kw = smp_fetch_first(); kw; kw = kw->next) {
		cr_expect(kw->help && *kw->help, "%s", kw->name);
		cr_expect_eq(smp_fetch_find(str_c(kw->name)), kw, "%s is registered twice", kw->name);
		fetch_row(kw, row, sizeof(row));
		check_row(text, row);
	}
	free(text);
}

Test(policy_manual, every_converter_has_its_row)
{
	char *text = manual(), row[1024];

	for (const struct smp_conv_kw *kw = smp_conv_first(); kw; kw = kw->next) {
		conv_row(kw, row, sizeof(row));
		check_row(text, row);
	}
	free(text);
}
