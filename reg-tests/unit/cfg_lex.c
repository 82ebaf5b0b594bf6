/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * cfg_lex.c - one line into words. What HAProxy 2.6 answers to the same lines was
 * looked up by running it.
 */
#include <criterion/criterion.h>

#include "cfg/lex_priv.h"

static const char *lookup(void *arg, const char *name)
{
	static const char *const vars[][2] = {
		{ "HOME", "/root" },    { "EMPTY", "" },  { "LIST", "a b  c" },
		{ "PADDED", "  a b " }, { ".LINE", "7" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(vars); i++)
		if (strcmp(vars[i][0], name) == 0)
			return vars[i][1];
	return NULL;
}

/* The words of <line>, joined by '|'. */
static const char *words(const char *line)
{
	static char out[1024];
	struct lex lx = { .lookup = lookup };

	out[0] = '\0';
	cr_assert_eq(lex_line(&lx, line), LEX_OK, "%s", line);
	for (int i = 0; i < lx.nb; i++) {
		if (i)
			strcat(out, "|");
		strcat(out, lex_word(&lx, i));
	}
	lex_free(&lx);
	return out;
}

static const char *explain(const char *line)
{
	static char out[1024];
	struct lex lx = { .lookup = lookup };
	struct buf text = { 0 };
	enum lex_error e = lex_line(&lx, line);

	cr_assert_neq(e, LEX_OK, "%s", line);
	lex_explain(e, &lx, line, &text);
	cr_assert_lt(text.data, sizeof(out));
	strcpy(out, buf_head(&text));
	buf_free(&text);
	lex_free(&lx);
	return out;
}

Test(lex, spaces_separate_and_a_hash_ends)
{
	cr_assert_str_eq(words("  bind\t :80   name x # comment \" '"), "bind|:80|name|x");
	cr_assert_str_eq(words("a#b c"), "a");
	cr_assert_str_eq(words(""), "");
	cr_assert_str_eq(words("   # only a comment"), "");
}

Test(lex, a_backslash_takes_the_meaning_off_what_has_one)
{
	cr_assert_str_eq(words("a\\ b a\\#b \\\\ \\\" \\'"), "a b|a#b|\\|\"|'");
	cr_assert_str_eq(words("a\\.b \\b \\0 a\\$b x\\"), "a\\.b|\\b|\\0|a\\$b|x\\");
	cr_assert_str_eq(words("a\\nb\\rc\\td\\x41"), "a\nb\rc\tdA");
}

Test(lex, weak_quotes_protect_spaces_and_keep_escapes)
{
	cr_assert_str_eq(words("\"a b\" \"a#b\" \"a'b\""), "a b|a#b|a'b");
	cr_assert_str_eq(words("\"a\\\"b\" \"a\\$b\" \"a\\.b\" \"a\\nb\" \"a\\x41b\""),
			 "a\"b|a$b|a\\.b|a\nb|aAb");
	cr_assert_str_eq(words("a\"b\"c"), "abc");
}

Test(lex, strong_quotes_protect_everything)
{
	cr_assert_str_eq(words("'a\\\\b' 'a\"b' 'a\\x41' '$HOME' 'a\\'b"), "a\\\\b|a\"b|a\\x41|$HOME|a\\b");
}

Test(lex, quotes_make_a_word_of_nothing)
{
	cr_assert_str_eq(words("a \"\" '' b"), "a|||b");
	cr_assert_str_eq(words("\"$NOPE\" b"), "|b");
}

Test(lex, variables_are_expanded_in_weak_quotes_only)
{
	cr_assert_str_eq(words("$HOME \"$HOME\" \"${HOME}x\" \"$HO-ME\" \"$NOPE_x\"y"),
			 "$HOME|/root|/rootx|-ME|y");
	cr_assert_str_eq(words("\"$HOME[*]\" \"${.LINE}$.LINE\""), "/root[*]|77");
}

Test(lex, a_default_replaces_what_does_not_exist)
{
	cr_assert_str_eq(words("\"${NOPE-d e}\" \"${HOME-x}\" \"${EMPTY-x}\" \"${NOPE-}\""), "d e|/root||");
	cr_assert_str_eq(words("\"${NOPE-d}e}\" \"${NOPE-${HOME}}\" \"${NOPE-a\\}b\""), "de}|${HOME}|a\\b");
	cr_assert_str_eq(words("\"${NOPE:-d}\" \"${EMPTY:-d}\" \"${HOME:-d}\""), "d|d|/root");
}

Test(lex, a_list_becomes_words)
{
	cr_assert_str_eq(words("x \"${LIST[*]}\" y"), "x|a|b|c|y");
	cr_assert_str_eq(words("\"x${PADDED[*]}y\""), "x|a|b|y");
	cr_assert_str_eq(words("x \"${EMPTY[*]}\" y"), "x|y");
	cr_assert_str_eq(words("\"${NOPE}\" \"${EMPTY[*]}\" y"), "|y");
	cr_assert_str_eq(words("\"${LIST}\""), "a b  c");
	cr_assert_str_eq(words("\"${NOPE[*]-d e}\""), "d e");
}

Test(lex, says_what_is_wrong_and_where)
{
	cr_assert_str_eq(explain("    log \"unfinished"),
			 "unmatched quote at position 9:\n  log \"unfinished\n      ^");
	cr_assert_str_eq(explain("   node 'x"), "unmatched quote at position 9:\n  node 'x\n       ^");
	cr_assert_str_eq(explain("   \"$\""),
			 "forbidden first char in environment variable name at position 6:\n  \"$\"\n    ^");
	cr_assert_str_eq(
	    explain("   \"${}\""),
	    "forbidden first char in environment variable name at position 7:\n  \"${}\"\n     ^");
	cr_assert_str_eq(explain("   \"${HOME\""),
			 "unmatched brace in environment variable name at position 6:\n  \"${HOME\"\n    ^");
	cr_assert_str_eq(explain("   \"${NOPE-x"),
			 "unmatched brace in environment variable name at position 6:\n  \"${NOPE-x\n    ^");
	cr_assert_str_eq(explain("   \"\\x4g\""),
			 "truncated or invalid hexadecimal sequence at position 5:\n  \"\\x4g\"\n   ^");
	cr_assert_str_eq(
	    explain("\"${.NOPE}\""),
	    "forbidden first char in environment variable name at position 4:\n  \"${.NOPE}\"\n     ^");
}

Test(lex, shows_the_part_of_a_long_line_that_matters)
{
	char line[600];

	memset(line, 'x', sizeof(line));
	strcpy(line + 500, "'\tend");
	cr_assert_str_eq(explain(line), "unmatched quote at position 501:\n"
					"  xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'?end\n"
					"                                        ^");
}

Test(lex, too_many_words_are_refused)
{
	char line[2 * CFG_MAX_WORDS + 3];
	struct lex lx = { 0 };

	for (size_t i = 0; i < sizeof(line) - 1; i++)
		line[i] = i % 2 ? ' ' : 'a';
	line[2 * CFG_MAX_WORDS] = '\0';
	cr_assert_eq(lex_line(&lx, line), LEX_OK);
	cr_assert_eq(lx.nb, CFG_MAX_WORDS);
	line[2 * CFG_MAX_WORDS] = 'a';
	line[2 * CFG_MAX_WORDS + 1] = '\0';
	cr_assert_eq(lex_line(&lx, line), LEX_TOO_MANY);
	lex_free(&lx);
}
