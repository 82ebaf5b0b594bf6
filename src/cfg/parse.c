/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * parse.c - files into lines, lines to sections and keywords
 *
 * A file is read whole, cut into lines, each line into words (lex.c). A line is
 * then one of: a directive (.if, .notice, ...; cond.c), a section's first line,
 * or a keyword of the open section (match.c), whose table entry (typed.c) or
 * parse() takes it. What is wrong is reported and reading goes on, up to
 * CFG_MAX_ERRORS. A section ends where the next one begins or its file ends.
 *
 * Runs on the helper thread for a reload: nothing but the epoch and the diag is
 * touched.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cfg/cfg_priv.h"

#define CFG_FILE_MAX (64u << 20) /* bytes; larger is a mistake */

struct cfg_reader {
	struct cfg_line ln; /* what keyword parsers see; words are replaced line by line */
	struct lex lex;
	struct cfg_ifs ifs;
	const char *section_name; /* .SECTION */
	char number[16];          /* .LINE */
	bool section_ok;          /* its open() succeeded */
	bool stop;                /* too many errors */
	bool whole;               /* every section could be opened */
};

/* ---- reports ---- */

#define CFG_REPORT(name, level, ret)                                  \
	int name(struct cfg_line *ln, const char *fmt, ...)           \
	{                                                             \
		va_list ap;                                           \
                                                                      \
		va_start(ap, fmt);                                    \
		diag_vadd(ln->d, level, ln->file, ln->line, fmt, ap); \
		va_end(ap);                                           \
		return ret;                                           \
	}

CFG_REPORT(cfg_err, MSG_ALERT, -1)
CFG_REPORT(cfg_warn, MSG_WARNING, 0)
CFG_REPORT(cfg_hint, MSG_DIAG, 0)

int cfg_err_take(struct cfg_line *ln, const char *prefix, char **err)
{
	cfg_err(ln, "%s : %s", prefix, *err ? *err : "out of memory");
	free(*err);
	*err = NULL;
	return -1;
}

char *cfg_strdup(struct cfg_line *ln, const char *s)
{
	char *copy = arena_strdup(&ln->ep->arena, str_c(s));

	if (!copy)
		cfg_err(ln, "out of memory");
	return copy;
}

void *cfg_zalloc(struct cfg_line *ln, size_t n)
{
	void *p = arena_alloc(&ln->ep->arena, n);

	if (!p)
		cfg_err(ln, "out of memory");
	return p;
}

/* ---- words ---- */

static const char *cfg_lookup(void *arg, const char *name)
{
	struct cfg_reader *r = arg;

	if (name[0] != '.')
		return cfg_env_get(r->ln.ep->env, name);
	if (strcmp(name, ".FILE") == 0)
		return r->ln.file;
	if (strcmp(name, ".SECTION") == 0)
		return r->section_name;
	if (strcmp(name, ".LINE") == 0) {
		snprintf(r->number, sizeof(r->number), "%d", r->ln.line);
		return r->number;
	}
	return NULL;
}

/* The position of the word that was one too many, or of the character at fault, drawn below the line. */
static void cfg_lex_error(struct cfg_reader *r, enum lex_error e, const char *text)
{
	struct buf out = { 0 };

	buf_printf_grow(&out, "config : parsing [%s:%d]: ", r->ln.file, r->ln.line);
	lex_explain(e, &r->lex, text, &out);
	diag_add(r->ln.d, MSG_ALERT, buf_head(&out));
	buf_free(&out);
}

/* Moves the words to the epoch's arena. false: no memory, reported. */
static bool cfg_take_words(struct cfg_reader *r)
{
	struct cfg_line *ln = &r->ln;
	char *text, *none;

	ln->argc = r->lex.nb;
	ln->args = cfg_zalloc(ln, (ln->argc + 2) * sizeof(*ln->args));
	if (!ln->args)
		return false;
	text = arena_strdup(&ln->ep->arena, buf_str(&r->lex.text));
	none = text ? text + r->lex.text.data : NULL; /* the NUL behind the last */
	if (!text)
		return cfg_err(ln, "out of memory") == 0;
	for (int i = 0; i < ln->argc; i++)
		ln->args[i] = text + r->lex.at[i];
	ln->args[ln->argc] = ln->args[ln->argc + 1] = none;
	return true;
}

static void cfg_take_prefix(struct cfg_line *ln)
{
	ln->no_prefix = ln->argc > 1 && strcmp(ln->args[0], "no") == 0;
	ln->default_prefix = ln->argc > 1 && strcmp(ln->args[0], "default") == 0;
	if (!ln->no_prefix && !ln->default_prefix)
		return;
	ln->args++;
	ln->argc--;
}

/* ---- sections ---- */

static void cfg_close_section(struct cfg_reader *r)
{
	if (r->ln.section && r->section_ok && r->ln.section->close)
		r->ln.section->close(&r->ln);
	r->ln.section = NULL;
	r->ln.obj = NULL;
	r->section_name = "";
}

static void cfg_open_section(struct cfg_reader *r, const struct cfg_section *s)
{
	struct cfg_line *ln = &r->ln;

	cfg_close_section(r);
	ln->section = s;
	r->section_name = ln->argc > 1 ? ln->args[1] : s->name;
	r->section_ok = s->open(ln) >= 0;
	if (!r->section_ok) {
		ln->obj = NULL;
		r->whole = false;
	}
}

/* The section that this line opens, or NULL. */
static const struct cfg_section *cfg_line_section(const struct cfg_line *ln)
{
	const struct cfg_section *s = cfg_section_find(ln->args[0]);

	if (s && ln->section && ln->argc > 1 && strchr(ln->args[1], ':') && cfg_kw_match(ln))
		return NULL; /* `listen 127.0.0.1:8000` within an app */
	return s;
}

/* Sections of HAProxy that do not exist here: told once, their lines are passed over. */
static bool cfg_foreign_section(struct cfg_reader *r)
{
	static const char *const names[] = { "peers",       "resolvers", "mailers",     "cache",
					     "program",     "ring",      "http-errors", "fcgi-app",
					     "log-forward", "crt-store", "userlist" };
	static const struct cfg_section foreign = { .name = "unsupported" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (strcmp(r->ln.args[0], names[i]))
			continue;
		if (r->ln.section && cfg_kw_match(&r->ln))
			return false;
		cfg_close_section(r);
		r->ln.section = &foreign;
		r->section_ok = false;
		cfg_err(&r->ln, "sections '%s' are not supported.", names[i]);
		return true;
	}
	return r->ln.section == &foreign;
}

/* ---- lines ---- */

static void cfg_keyword(struct cfg_reader *r)
{
	struct cfg_line *ln = &r->ln;
	const struct cfg_kw *kw;

	cfg_take_prefix(ln);
	kw = cfg_kw_match(ln);
	if (!kw) {
		if (!cfg_ignored(ln))
			cfg_kw_unknown(ln);
		return;
	}
	if ((ln->no_prefix || ln->default_prefix) && !kw->can_no) {
		cfg_err(ln, "'%s' is not supported for '%s'.", ln->no_prefix ? "no" : "default", kw->word);
		return;
	}
	ln->ep->at = (struct cfg_place){ ln->file, ln->line, ln->section->bit & CFG_NAMED ? ln->obj : NULL };
	if (kw->type != CFG_T_NONE)
		cfg_parse_typed(ln, kw);
	else if (r->section_ok)
		kw->parse(ln, kw);
	ln->ep->at = (struct cfg_place){ 0 };
}

static void cfg_take_line(struct cfg_reader *r, const char *text)
{
	struct cfg_line *ln = &r->ln;
	enum lex_error e = lex_line(&r->lex, text);
	const struct cfg_section *s;

	if (e) {
		if (!cfg_skipping(&r->ifs))
			cfg_lex_error(r, e, text);
		return;
	}
	if (!r->lex.nb || !cfg_take_words(r) || !*ln->args[0])
		return;
	ln->no_prefix = ln->default_prefix = false;
	if (ln->args[0][0] == '.' && cfg_directive(ln, &r->ifs))
		return;
	if (cfg_skipping(&r->ifs))
		return;
	s = cfg_line_section(ln);
	if (s)
		cfg_open_section(r, s);
	else if (cfg_foreign_section(r))
		return;
	else if (!ln->section)
		cfg_err(ln, "unknown keyword '%s' out of section.", ln->args[0]);
	else
		cfg_keyword(r);
}

static void cfg_check_errors(struct cfg_reader *r)
{
	char text[256];

	if (r->stop || r->ln.d->errors <= CFG_MAX_ERRORS)
		return;
	snprintf(text, sizeof(text),
		 "config : parsing [%.128s:%d]: too many fatal errors (%u), stopping now.", r->ln.file,
		 r->ln.line, r->ln.d->errors);
	diag_add(r->ln.d, MSG_ALERT, text);
	r->stop = true;
}

/* Cuts the line ending off; true when there was none. */
static bool cfg_cut_eol(char *line, size_t *n)
{
	bool missing = !*n || line[*n - 1] != '\n';

	if (!missing)
		(*n)--;
	if (*n && line[*n - 1] == '\r')
		(*n)--;
	line[*n] = '\0';
	return missing;
}

static void cfg_raw_error(struct cfg_reader *r, const char *what, size_t pos)
{
	char text[512];

	snprintf(text, sizeof(text), "config : parsing [%.256s:%d]: %s at position %zu.", r->ln.file,
		 r->ln.line, what, pos + 1);
	diag_add(r->ln.d, MSG_ALERT, text);
}

static void cfg_reader_run(struct cfg_reader *r, char *text, size_t n)
{
	char *end = text + n;

	while (text < end && !r->stop) {
		char *eol = memchr(text, '\n', end - text), *next = eol ? eol + 1 : end;
		size_t len = next - text;
		bool missing = cfg_cut_eol(text, &len);

		r->ln.line++;
		if (strlen(text) != len)
			cfg_raw_error(r, "unexpected NUL character", strlen(text));
		else
			cfg_take_line(r, text);
		if (missing)
			cfg_raw_error(r, "Missing LF on last line, file might have been truncated", len);
		cfg_check_errors(r);
		text = next;
	}
}

void cfg_read_text(struct epoch *ep, const char *name, char *text, size_t n, struct diag *d, bool *whole)
{
	struct cfg_reader r = { .whole = true, .section_name = "" };

	r.ln.ep = ep;
	r.ln.d = d;
	r.ln.file = arena_strdup(&ep->arena, str_c(name));
	r.lex.lookup = cfg_lookup;
	r.lex.arg = &r;
	if (!r.ln.file) {
		diag_error(d, NULL, 0, "out of memory");
		return;
	}
	cfg_reader_run(&r, text, n);
	cfg_close_section(&r);
	for (int i = r.ifs.depth; i-- > 0 && !r.stop;)
		diag_error(d, r.ln.file, r.ifs.level[i].line, "'.if' without '.endif'");
	if (!r.whole)
		*whole = false;
	lex_free(&r.lex);
}

/* ---- files ---- */

/* Contents, one byte larger than *n for a terminator; NULL with errno. */
static char *cfg_slurp(const char *path, size_t *n)
{
	struct buf b = { 0 };
	char chunk[16384];
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return NULL;
	while ((got = read(fd, chunk, sizeof(chunk))) > 0 && b.data <= CFG_FILE_MAX)
		buf_put_grow(&b, chunk, got);
	if (got < 0 || b.data > CFG_FILE_MAX) {
		int error = got < 0 ? errno : EFBIG;

		close(fd);
		buf_free(&b);
		errno = error;
		return NULL;
	}
	close(fd);
	*n = b.data;
	buf_put_grow(&b, "", 1);
	return b.area;
}

/* Sums up, after a file's own messages. Not a fault of its own: it is not counted. */
static void cfg_file_failed(const char *path, struct diag *d)
{
	unsigned errors = d->errors;
	struct buf text = { 0 };

	buf_printf_grow(&text, "config : Error(s) found in configuration file : %s", path);
	buf_put_grow(&text, "", 1);
	diag_add(d, MSG_ALERT, buf_head(&text));
	d->errors = errors;
	buf_free(&text);
}

static void cfg_read_file(struct epoch *ep, const char *path, struct diag *d, bool *whole)
{
	unsigned errors = d->errors;
	size_t n;
	char *text = cfg_slurp(path, &n);

	if (!text) {
		diag_error(d, NULL, 0, "Cannot open configuration file/directory %s : %s", path,
			   strerror(errno));
		*whole = false;
		return;
	}
	cfg_read_text(ep, path, text, n, d, whole);
	if (d->errors != errors)
		cfg_file_failed(path, d);
	free(text);
}

static int cfg_dir_filter(const struct dirent *e)
{
	size_t n = strlen(e->d_name);

	return e->d_name[0] != '.' && n > 4 && strcmp(e->d_name + n - 4, ".cfg") == 0;
}

/* strcmp(): the C locale's order, whatever the process's */
static int cfg_dir_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void cfg_read_dir(struct epoch *ep, const char *dir, struct diag *d, bool *whole)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, cfg_dir_filter, cfg_dir_order);

	if (n < 0)
		diag_error(d, NULL, 0, "Cannot open configuration file/directory %s : %s", dir,
			   strerror(errno));
	if (n == 0)
		diag_error(d, NULL, 0, "No file named *.cfg in configuration directory %s", dir);
	if (n <= 0)
		*whole = false;
	for (int i = 0; i < n; i++) {
		size_t len = strlen(dir);
		const char *sep = len && dir[len - 1] == '/' ? "" : "/";
		char *path = arena_printf(&ep->arena, "%s%s%s", dir, sep, names[i]->d_name);
		struct stat st;

		if (path && stat(path, &st) == 0 && S_ISREG(st.st_mode))
			cfg_read_file(ep, path, d, whole);
		free(names[i]);
	}
	free(names);
}

void cfg_read_files(struct epoch *ep, char *const *files, int nb_files, struct diag *d, bool *whole)
{
	struct stat st;

	for (int i = 0; i < nb_files && d->errors <= CFG_MAX_ERRORS; i++) {
		if (stat(files[i], &st) == 0 && S_ISDIR(st.st_mode))
			cfg_read_dir(ep, files[i], d, whole);
		else
			cfg_read_file(ep, files[i], d, whole);
	}
}
