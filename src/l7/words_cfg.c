/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * words_cfg.c - words that HAProxy has and we have not
 *
 * Each is refused or warned about by name, so that a configuration written for
 * HAProxy never loses a part silently. A word leaves this table when it is
 * built. Three kinds: without it traffic would be treated differently - an
 * error; it only tunes - a warning.
 */
#include "l7/cfg_priv.h"

static int px_parse_unsupported(struct cfg_line *ln, const struct cfg_kw *kw)
{
	return cfg_err(ln, "'%s' is not supported by this version.", kw->word);
}

static int px_parse_ignored(struct cfg_line *ln, const struct cfg_kw *kw)
{
	return cfg_warn(ln, "'%s' has no effect and is ignored.", kw->word);
}

#define NOT_YET(w) { .word = w, .sections = CFG_PROXIES, .parse = px_parse_unsupported, .can_no = true }
#define IGNORED(w) { .word = w, .sections = CFG_PROXIES, .parse = px_parse_ignored, .can_no = true }

static struct cfg_kw unsupported_kws[] = {
	NOT_YET("bind-process"), NOT_YET("capture"), NOT_YET("compression"), NOT_YET("cookie"),
	NOT_YET("declare"), NOT_YET("dispatch"), NOT_YET("email-alert"), NOT_YET("errorfiles"),
	NOT_YET("errorloc"), NOT_YET("errorloc302"), NOT_YET("errorloc303"), NOT_YET("error-log-format"),
	NOT_YET("external-check"), NOT_YET("filter"), NOT_YET("force-persist"), NOT_YET("hash-type"),
	NOT_YET("http-after-response"), NOT_YET("http-error"), NOT_YET("ignore-persist"),
	NOT_YET("load-server-state-from-file"), NOT_YET("log-format-sd"), NOT_YET("monitor"), NOT_YET("persist"),
	NOT_YET("rate-limit"), NOT_YET("redirect"), NOT_YET("server-state-file-name"), NOT_YET("server-template"),
	NOT_YET("source"), NOT_YET("stats"), NOT_YET("tcp-check"),
	NOT_YET("unique-id-format"), NOT_YET("unique-id-header"), NOT_YET("use-server"), NOT_YET("use-fcgi-app"),
	NOT_YET("timeout tarpit"), NOT_YET("usesrc"), NOT_YET("block"), NOT_YET("reqadd"), NOT_YET("rspadd"),
	IGNORED("fullconn"), IGNORED("max-keep-alive-queue"), IGNORED("grace"), IGNORED("id"),
	IGNORED("max-session-srv-conns"),
	{ 0 },
};

INITCALL px_words_register(void)
{
	cfg_register_keywords(unsupported_kws);
}
