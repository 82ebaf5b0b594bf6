/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_cfg.c - proxies in configurations: what is taken, what is refused and how it is said
 */
#include "l7_test.h"

#define T    " timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
#define FE   "frontend fe\n bind 127.0.0.1:1080\n" T " default_backend be\n"
#define BE   "backend be\n" T
#define HTTP " mode http\n"

static const struct {
	const char *text, *want; /* NULL: no message at all */
} cases[] = {
	/* sections */
	{ FE BE, NULL },
	{ "frontend\n", "'frontend' expects a name." },
	{ "frontend a/b\n", "character not permitted in the name 'a/b'" },
	{ "frontend a b\n", "'frontend' cannot handle unexpected argument 'b'." },
	{ "defaults d\n" T "frontend fe from e\n", "defaults section 'e' not found for frontend 'fe'" },
	{ "defaults d1\n" T "defaults d2\n mode http\nfrontend fe from d1\n bind 127.0.0.1:1080\n default_backend be\nbackend be from d1\n", NULL },
	{ FE BE "backend be\n", "backend 'be' has the same name as backend 'be'" },
	{ "frontend fe\n" T, "frontend 'fe' has no 'bind', and there is no gateway" },
	{ "gateway g\n match dport 80\nfrontend fe\n" T, NULL },
	{ "frontend fe\n default_backend be\nbackend be\n", "missing timeouts for frontend 'fe'" },
	/* switching */
	{ "frontend fe\n" T " default_backend bee\n" BE, "unable to find required default_backend: 'bee'; did you mean 'be'" },
	{ FE " use_backend nowhere if TRUE\n" BE, "unable to find required use_backend: 'nowhere'" },
	{ FE HTTP BE, "tries to use backend 'be' (mode tcp) as its default_backend" },
	{ FE " use_backend be when TRUE\n" BE, "unexpected keyword 'when' after 'use_backend be'" },
	{ FE " use_backend be if nosuch\n" BE, "nosuch" },
	{ FE HTTP " use_backend %[req.hdr(host)] if TRUE\n" BE HTTP, NULL },
	/* simple words */
	{ FE " mode htpp\n" BE, "unknown proxy mode 'htpp'" },
	{ FE " timeout clinet 1s\n" BE, "timeout clinet" },
	{ FE " timeout client 1x\n" BE, "unexpected character 'x'" },
	{ FE BE " balance round\n", "'balance' supports 'roundrobin'" },
	{ FE BE " balance random(3)\n", NULL },
	{ FE BE " balance random(x)\n", "'balance' supports" },
	{ FE " balance roundrobin\n" BE, "'balance' ignored because frontend 'fe' has no backend capability." },
	{ FE BE " default_backend x\n", "'default_backend' ignored because backend 'be' has no frontend capability." },
	{ FE BE " retry-on 503 empty-response\n", "'retry-on' ignored for backend 'be' as it requires HTTP mode." },
	{ FE BE " retry-on sometimes\n", "'retry-on' : unknown keyword 'sometimes'." },
	{ FE BE " retry-on none 503\n", "'none' stands alone" },
	{ FE BE " bind 127.0.0.1:0\n", "'bind' not allowed in 'backend' section." },
	{ FE " server x 127.0.0.1:1\n" BE, "'server' not allowed in 'frontend' section." },
	{ FE BE " clitimeout 5s\n", "use 'timeout client'" },
	{ FE " stats enable\n" BE, "'stats' is not supported by this version." },
	{ FE BE " fullconn 100\n", "'fullconn' has no effect and is ignored." },
	{ FE BE " http-reuse always\n", "acts as 'never'" },
	/* options */
	{ FE " option httplog\n" BE, "'option httplog' not usable with frontend 'fe' (needs 'mode http')" },
	{ FE HTTP " option httplgo\n" BE HTTP, "unknown option 'httplgo'; did you mean 'httplog'" },
	{ FE " no option splice-auto\n option splice-request\n" BE " option splice-response\n", NULL },
	{ FE " no option tcp-smart-accept\n" BE, "'option tcp-smart-accept' has no effect" },
	{ FE BE " option mysql-check\n", "'option mysql-check' is not supported by this version." },
	{ FE HTTP " option forwardfor except 10.0.0.0/8 header X-F if-none\n" BE HTTP, NULL },
	{ FE HTTP " option forwardfor exempt\n" BE HTTP, "'option forwardfor' only supports" },
	{ FE " option forwardfor\n" BE, "'option forwardfor' ignored for frontend 'fe' as it requires HTTP mode." },
	{ FE " option auto-demote\n" BE " option transparent\n", NULL },
	{ FE " option auto-demote\n" BE " server s 127.0.0.1:1\n", "'option auto-demote' has no effect for frontend 'fe': the server's" },
	{ FE " bind promoted@ ssl crt /x\n option auto-demote\n" BE " option transparent\n", "decrypts what comes from" },
	{ FE BE " option auto-demote\n", "'option auto-demote' ignored because backend 'be' has no frontend capability." },
	{ FE " tcp-request content demote\n" BE " server s 127.0.0.1:1\n", "'demote' in frontend 'fe' can never happen: the" },
	{ FE HTTP BE HTTP " http-response demote\n server s promoted@ ssl verify none\n", "'demote' in backend 'be' can never" },
	{ FE HTTP BE HTTP " http-response demote\n server s promoted@\n", NULL },
	{ FE BE " option redispatch x\n", "expects an optional number (got 'x')" },
	{ FE BE " option transparent\n server s 127.0.0.1:1\n", "'option transparent' ignored for backend 'be'" },
	{ FE BE " option httpchk GET health\n", "is not a URI" },
	{ FE " option dontlognull x\n" BE, "'option dontlognull' cannot handle unexpected argument 'x'." },
	/* binds */
	{ FE " bind\n" BE, "'bind' expects" },
	{ FE " bind 127.0.0.1\n" BE, "missing port number: '127.0.0.1'" },
	{ FE " bind 127.0.0.1:80 nmae x\n" BE, "'bind 127.0.0.1:80' : unknown keyword 'nmae'; did you mean 'name'" },
	{ FE " bind 127.0.0.1:80 name\n" BE, "'name' : missing argument." },
	{ FE " bind 127.0.0.1:80 accept-proxy\n" BE, "'accept-proxy' is not supported by this version." },
	{ FE " bind 127.0.0.1:80 crt /x\n" BE, "have no effect without 'ssl'" },
	{ FE " bind 127.0.0.1:80 ssl\n" BE, "'ssl' needs at least one certificate" },
	{ FE " bind 127.0.0.1:80 ssl crt /nonexistent\n" BE, "unable to load certificate from '/nonexistent': No such file" },
	{ FE " bind 127.0.0.1:80 ssl crt /dev/null\n" BE, "unable to load certificate from '/dev/null'" },
	{ FE " bind 127.0.0.1:80 ssl crt /x alpn h2\n" BE, "'h2' is not supported by this version" },
	{ FE " bind 127.0.0.1:80-90,[::1]:80 name x\n" BE, NULL },
	{ FE " bind 127.0.0.1:80\n bind 127.0.0.1:79-81\n" BE, "all connections come here, none go there." },
	{ FE " bind 127.0.0.1:80\n bind 127.0.0.2:80\n" BE, NULL },
	{ FE " bind 127.0.0.1:1-60000\n" BE, "more than 4096 ports" },
	{ FE " bind promoted@\n bind promoted@\n" BE, "'bind promoted@' : given before" },
	{ FE " bind 127.0.0.1:80 user nobody-here\n" BE, "unknown user name 'nobody-here'" },
	/* servers */
	{ FE BE " server s\n", "'server' expects <name> and <addr>[:<port>] as arguments." },
	{ FE BE " server s 127.0.0.1:1 chekc\n", "unknown keyword 'chekc'; did you mean 'check'" },
	{ FE BE " server s 127.0.0.1:1\n server s 127.0.0.1:2\n", "there is one of this name already" },
	{ FE BE " server s app@nope\n", "no application named 'nope'" },
	{ FE BE " server s no.such.host.invalid:1\n", "could not resolve address 'no.such.host.invalid'" },
	{ FE BE " server s 127.0.0.1:1 weight 999\n", "'weight' expects a number from 0 to 256, not '999'." },
	{ FE BE " server s 127.0.0.1:1 inter 0\n", "'inter' must not be 0" },
	{ FE BE " server s 127.0.0.1:1 cookie x\n", "'cookie' is not supported by this version." },
	{ FE BE " server s 127.0.0.1:1 ssl\n", "verify is enabled by default but no CA file is given" },
	{ FE BE " server s 127.0.0.1:1 ssl verify required ca-file /nonexistent\n", "unable to load CA file '/nonexistent'" },
	{ FE BE " server s 127.0.0.1:1 ssl verify none sni nosuch\n", "nosuch" },
	{ FE BE " server s 127.0.0.1:1 ssl verify none sni str(x) check inter 1s fall 2 rise 1 weight 3 backup\n", NULL },
	{ FE BE " server s 127.0.0.1 check\n", "has neither service port nor check port" },
	{ FE BE " server s promoted@\n server t 127.0.0.1:1\n", "must be the only server" },
	{ FE BE " default-server chek\n", "'default-server' : unknown keyword 'chek'" },
	{ FE BE " http-check expect string x\n", "only 'status <code>" },
	/* rules */
	{ FE HTTP " http-request set-haeder a b\n" BE HTTP, "did you mean 'set-header'" },
	{ FE HTTP " http-request set-header a\n" BE HTTP, "expects exactly 2 arguments" },
	{ FE HTTP " http-request set-header a:b c\n" BE HTTP, "'a:b' is not a header name" },
	{ FE HTTP " http-request set-header Content-Length 3\n" BE HTTP, "tells how the message is framed" },
	{ FE HTTP " http-request del-header a -m reg\n http-request del-header '(' -m reg\n" BE HTTP, "del-header -m reg" },
	{ FE HTTP " http-request del-header a -m x\n" BE HTTP, "unsupported matching method 'x'" },
	{ FE HTTP " http-request deny deny_status 999\n" BE HTTP, "expects a status from 200 to 599" },
	{ FE HTTP " http-request deny deny_status 418\n" BE HTTP, "status 418 has no page of its own: 403 is answered." },
	{ FE HTTP " http-request return string x\n" BE HTTP, "a body needs a 'content-type'" },
	{ FE HTTP " http-request return status 200 file /nonexistent\n" BE HTTP, "cannot open '/nonexistent'" },
	{ FE HTTP " http-request redirect code 302\n" BE HTTP, "needs one of 'location', 'prefix', 'scheme'" },
	{ FE HTTP " http-request redirect location / code 200\n" BE HTTP, "'code' must be" },
	{ FE HTTP " http-request deny\n http-request deny\n" BE HTTP, "is final and has no condition attached" },
	{ FE " http-request deny\n" BE, "'http-request' rules ignored for frontend 'fe' as they require HTTP mode." },
	{ FE BE " tcp-request connection reject\n", "'tcp-request connection' rules are not allowed in 'backend' sections." },
	{ FE " tcp-request content accept if { req.len gt 3 }\n tcp-request inspect-delay 5s\n" BE, NULL },
	{ FE " errorfile 403 /nonexistent\n" BE, "cannot open '/nonexistent'" },
	{ FE " errorfile 299 /dev/null\n" BE, "'299' is not one that is answered here" },
	{ FE " log-format \"%ci %zz\"\n" BE, "zz" },
	{ FE " acl a nosuchfetch x\n" BE, "nosuchfetch" },
};

static bool said(const char *want)
{
	struct diag_msg *m;

	list_for_each(m, &lt_diag.msgs, node)
		if (strstr(m->text, want))
			return true;
	return false;
}

Test(l7_cfg, every_word_is_taken_or_refused_as_told)
{
	unsigned bad = 0;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct epoch *ep = lt_build(cases[i].text);
		bool ok = cases[i].want ? said(cases[i].want) : ep && list_empty(&lt_diag.msgs);

		if (!ok) {
			bad++;
			fprintf(stderr, "---- %s---- wanted: %s\n", cases[i].text, cases[i].want ? cases[i].want : "(nothing)");
			diag_print(&lt_diag);
		}
		epoch_put(ep);
		diag_free(&lt_diag);
	}
	cr_assert_eq(bad, 0);
}

Test(l7_cfg, every_keyword_has_a_usage_or_says_that_it_is_not_supported)
{
	for (const struct cfg_kw *kw = cfg_kw_first(); kw; kw = kw->next)
		if ((kw->sections & CFG_PROXIES) && kw->usage)
			cr_assert_not_null(kw->help, "%s", kw->word);
}

Test(l7_cfg, defaults_are_inherited_and_can_be_undone)
{
	struct epoch *ep = lt_build("defaults\n" T " mode http\n option httplog\n option forwardfor\n retries 7\n"
				    " log 127.0.0.1:514 local0\n"
				    "frontend fe\n no option forwardfor\n no log\n default_backend be\n"
				    "backend be\n retries 1\n");
	struct px_cfg *fe = px_cfg_find(ep, PX_CAP_FE, "fe"), *be = px_cfg_find(ep, PX_CAP_BE, "be");

	cr_assert_not_null(ep);
	cr_assert_eq(fe->mode, PX_HTTP);
	cr_assert(!(fe->opt & PX_OPT_FORWARDFOR) && (be->opt & PX_OPT_FORWARDFOR));
	cr_assert_eq(fe->retries, 7);
	cr_assert_eq(be->retries, 1);
	cr_assert(list_empty(&fe->log.targets));
	cr_assert(!list_empty(&be->log.targets));
	cr_assert_not_null(fe->lf);
	cr_assert_eq(fe->def_be, be);
	epoch_put(ep);
	diag_free(&lt_diag);
}
