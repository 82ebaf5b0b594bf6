/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg.c - fuzz target: the configuration language, with the keywords of every layer
 *
 * Input: the text of a configuration file. What must hold: words that a line was cut into, written with every
 * byte escaped, are cut into the same words again; reading never fails without saying so; what was read,
 * however wrong, can be cross-checked and freed.
 */
#include <netdb.h>

#include "cfg/cfg_priv.h"
#include "lib/fuzz.h"

/* No name is ever asked of the network. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **res)
{
	return EAI_NONAME;
}

static const char *lookup(void *arg, const char *name)
{
	return name[0] == '.'   ? NULL
	       : name[0] == 'E' ? ""
	       : name[0] == 'L' ? " a b  c "
	       : name[0] == 'N' ? NULL
				: "value";
}

/* Words end at their first NUL, as everybody reads them. */
static void escape(const struct lex *lx, struct buf *out)
{
	for (int i = 0; i < lx->nb; i++) {
		buf_printf_grow(out, " \"\"");
		for (const char *p = lex_word(lx, i); *p; p++)
			buf_printf_grow(out, "\\x%02x", (unsigned char)*p);
	}
	buf_put_grow(out, "", 1);
}

static void check_line(const char *line)
{
	struct lex a = { .lookup = lookup }, b = { 0 };
	struct buf text = { 0 };
	enum lex_error e = lex_line(&a, line);

	CHECK(a.nb <= CFG_MAX_WORDS);
	if (e) {
		CHECK(a.err_pos <= strlen(line));
		lex_explain(e, &a, line, &text);
	} else {
		escape(&a, &text);
		CHECK(lex_line(&b, buf_head(&text)) == LEX_OK);
		CHECK(a.nb == b.nb);
		for (int i = 0; i < a.nb; i++)
			CHECK(strcmp(lex_word(&a, i), lex_word(&b, i)) == 0);
	}
	buf_free(&text);
	lex_free(&a);
	lex_free(&b);
}

static void check_lines(char *text)
{
	char *save = NULL;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		check_line(line);
}

static void check_file(char *text, size_t n)
{
	struct epoch *ep = epoch_new();
	bool whole = true, ok;
	struct diag d;

	CHECK(ep);
	diag_init(&d);
	cfg_read_text(ep, "fuzz", text, n, &d, &whole);
	CHECK(whole || d.errors);
	ok = epoch_resolve(ep, &d, whole);
	CHECK(ok == !d.errors);
	epoch_put(ep);
	diag_free(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *text = malloc(n + 1);

	memcpy(text, p, n);
	text[n] = '\0';
	check_file(text, n);
	memcpy(text, p, n);
	check_lines(text);
	free(text);
	return 0;
}
