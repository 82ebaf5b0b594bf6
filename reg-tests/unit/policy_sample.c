/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * policy_sample.c - sample expressions: what they give, when they wait, what is refused
 *
 * Expected values of HTTP fetches and converters were taken from HAProxy 2.6.12 given the same request.
 */
#include "policy_test.h"

struct row {
	const char *expr, *want;
};

static struct world w;

static void setup(void)
{
	world_init(&w);
}

static void teardown(void)
{
	world_fini(&w);
}

TestSuite(policy_sample, .init = setup, .fini = teardown);

static void check_rows(const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = world_eval(&w, rows[i].expr);

		cr_expect_str_eq(got, rows[i].want, "%s: got '%s', want '%s'", rows[i].expr, got,
				 rows[i].want);
	}
}

#define CHECK(...)                                                 \
	do {                                                       \
		static const struct row rows_[] = { __VA_ARGS__ }; \
		check_rows(rows_, ARRAY_SIZE(rows_));              \
	} while (0)

#define REQUEST                                                                                            \
	"GET /a/b?x=1&y=2;z=3 HTTP/1.1\r\nHost: Www.Example.com:80\r\nX: a, b ,,\"c,d\", e\r\nX: f\r\nE: " \
	"\r\n"                                                                                             \
	"XFF: 1.2.3.4, bad, 5.6.7.8:90\r\nV6: [2001:db8::1]:80\r\nN: 12abc\r\nN2: -7\r\n"                  \
	"Cookie: a=1; b=2; a=3\r\nCookie: c=\"q;q\"\r\n\r\n"

Test(policy_sample, addresses_ports_and_names_come_from_the_connection)
{
	CHECK({ "src", "10.1.2.3" }, { "src_port", "40000" }, { "dst", "2001:db8::80" },
	      { "dst_port", "443" }, { "iface", "eth0" }, { "fe_name", "ABSENT" }, { "ssl_fc", "0" },
	      { "ssl_fc_sni", "ABSENT" });
	w.ctx.src = NULL;
	w.ctx.fe_name = "web";
	w.ctx.ssl_fc = true;
	w.ctx.ssl_sni = "a.example";
	CHECK({ "src", "ABSENT" }, { "fe_name", "web" }, { "ssl_fc", "1" }, { "ssl_fc_sni", "a.example" });
}

Test(policy_sample, constants_are_checked_when_parsed)
{
	setenv("POLICY_TEST", "from the environment", 1);
	CHECK({ "bool(true)", "1" }, { "bool(0)", "0" }, { "int(-5)", "-5" }, { "str(a b)", "a b" },
	      { "str()", "" }, { "bin(414243)", "ABC" }, { "ipv4(1.2.3.4)", "1.2.3.4" },
	      { "ipv6(::1)", "::1" }, { "meth(GET)", "GET" }, { "env(POLICY_TEST)", "from the environment" },
	      { "env(POLICY_NONE)", "ABSENT" }, { "rand(1)", "0" }, { "uuid,length", "36" },
	      { "bool(x)", "invalid arguments of fetch method 'bool': 'x' is not a boolean value" },
	      { "ipv4(::1)", "invalid arguments of fetch method 'ipv4': '::1' is not an IPv4 address" },
	      { "bin(414)",
		"invalid arguments of fetch method 'bin': '414' is not an even number of hexadecimal "
		"digits" });
}

Test(policy_sample, http_fetches_find_their_head_in_held_payload)
{
	world_req(&w, REQUEST, false);
	CHECK({ "method", "GET" }, { "path", "/a/b" }, { "pathq", "/a/b?x=1&y=2;z=3" },
	      { "query", "x=1&y=2;z=3" }, { "url", "/a/b?x=1&y=2;z=3" }, { "base", "Www.Example.com:80/a/b" },
	      { "req.ver", "1.1" }, { "baseq", "Www.Example.com:80/a/b?x=1&y=2;z=3" },
	      { "req.proto_http", "1" });
}

Test(policy_sample, header_values_are_split_at_commas_and_the_last_is_taken)
{
	world_req(&w, REQUEST, false);
	CHECK({ "hdr(x)", "f" }, { "req.fhdr(x)", "f" }, { "hdr(x,1)", "a" }, { "hdr(x,2)", "b" },
	      { "hdr(x,3)", "" }, { "hdr(x,4)", "\"c,d\"" }, { "hdr(x,-2)", "e" }, { "hdr(x,0)", "f" },
	      { "hdr(x,9)", "ABSENT" }, { "hdr(X,-9)", "ABSENT" }, { "hdr(e)", "" }, { "hdr_cnt(x)", "6" },
	      { "hdr_cnt(e)", "1" }, { "req.fhdr_cnt(x)", "2" }, { "req.fhdr_cnt", "10" },
	      { "hdr_cnt(zz)", "0" }, { "hdr(zz)", "ABSENT" }, { "req.fhdr(x,1)", "a, b ,,\"c,d\", e" },
	      { "hdr_ip(xff)", "5.6.7.8" }, { "hdr_ip(xff,2)", "ABSENT" }, { "hdr_ip(xff,-3)", "1.2.3.4" },
	      { "hdr_ip(v6)", "2001:db8::1" }, { "hdr_val(n)", "12" }, { "hdr_val(n2)", "-7" },
	      { "hdr_val(x)", "0" }, { "req.hdr_names(-),field(2,-)", "X" });
}

Test(policy_sample, cookies_and_parameters)
{
	world_req(&w, REQUEST, false);
	CHECK({ "cook(a)", "3" }, { "cook(b)", "2" }, { "cook", "1" }, { "cook(c)", "\"q;q\"" },
	      { "cook_cnt(a)", "2" }, { "cook_cnt", "4" }, { "cook_val(b)", "2" }, { "cook(A)", "ABSENT" },
	      { "url_param(x)", "1" }, { "url_param(y)", "2" }, { "urlp(z)", "3" }, { "urlp", "1" },
	      { "urlp(b,/)", "ABSENT" }, { "urlp_val(z)", "3" }, { "urlp(x,;)", "ABSENT" });
}

Test(policy_sample, every_form_of_a_target)
{
	world_req(&w, "GET http://foo.com:8080/p/q?z HTTP/1.1\r\nHost: foo.com:8080\r\n\r\n", false);
	CHECK({ "path", "/p/q" }, { "pathq", "/p/q?z" }, { "query", "z" },
	      { "url", "http://foo.com:8080/p/q?z" }, { "base", "foo.com:8080/p/q" });
	world_req(&w, "GET http://foo.com HTTP/1.1\r\nHost: foo.com\r\n\r\n", false);
	CHECK({ "path", "ABSENT" }, { "pathq", "ABSENT" }, { "query", "ABSENT" }, { "base", "foo.com" });
	world_req(&w, "OPTIONS * HTTP/1.1\r\nHost: foo.com\r\n\r\n", false);
	CHECK({ "path", "ABSENT" }, { "url", "*" }, { "base", "foo.com" }, { "method", "OPTIONS" });
	world_req(&w, "GET /x? HTTP/1.0\r\n\r\n", false);
	CHECK({ "path", "/x" }, { "query", "" }, { "query,length", "0" }, { "base", "/x" },
	      { "req.ver", "1.0" });
}

Test(policy_sample, responses_have_fetches_of_their_own)
{
	world_res(&w,
		  "HTTP/1.1 404 Not Found\r\nSet-Cookie: s=1; Path=/\r\nX: a, b\r\nContent-Length: 0\r\n\r\n",
		  false);
	CHECK({ "status", "404" }, { "res.hdr(x)", "b" }, { "res.fhdr(x)", "a, b" },
	      { "res.hdr_cnt(x)", "2" }, { "res.ver", "1.1" }, { "res.cook(s)", "1" },
	      { "res.cook(Path)", "ABSENT" }, { "res.cook_cnt", "1" });
	world_res(&w, "HTTP/1.1 404", false);
	CHECK({ "status", "WAIT" });
	world_res(&w, "SSH-2.0-x\r\n", false);
	CHECK({ "status", "ABSENT" });
}

Test(policy_sample, method_and_version_survive_the_request_head)
{
	w.ctx.req_final = true;
	w.ctx.sent.known = true;
	w.ctx.sent.meth = HTTP_METH_POST;
	CHECK({ "method", "POST" }, { "req.ver", "1.0" }, { "path", "ABSENT" });
}

Test(policy_sample, raw_payload_waits_for_its_bytes)
{
	world_req(&w, "hello", false);
	CHECK({ "req.len", "5" }, { "req.payload(0,4)", "hell" }, { "req.payload(1,0)", "ello" },
	      { "req.payload(4,1)", "o" }, { "req.payload(0,6)", "WAIT" }, { "req.payload(5,0)", "WAIT" },
	      { "req.payload(0,6),length", "WAIT" }, { "wait_end", "WAIT" }, { "req.proto_http", "WAIT" });
	world_req(&w, "hello", true);
	CHECK({ "req.payload(0,6)", "ABSENT" }, { "req.payload(5,0)", "ABSENT" }, { "wait_end", "1" });
	world_res(&w, "hello", false);
	CHECK({ "res.len", "5" }, { "res.payload(1,2)", "el" }, { "res.payload(9,1)", "WAIT" });
}

Test(policy_sample, nothing_waits_once_the_payload_is_final)
{
	static const char *const exprs[] = {
		"path",   "req.ssl_sni",        "req.payload(0,9)", "req.proto_http", "hdr(x)",
		"method", "req.ssl_hello_type", "wait_end",         "status",         "res.payload(0,1)"
	};

	w.ctx.res_final = true;
	for (const char *const *e = exprs; e < exprs + ARRAY_SIZE(exprs); e++) {
		world_req(&w, "GET / HT", true);
		cr_expect_str_neq(world_eval(&w, *e), "WAIT", "%s", *e);
	}
}

/* Up to its last byte an answer is either not known, or already the final one. */
static void check_split(const char *payload, size_t n, const char *expr, const char *want)
{
	for (size_t cut = 0; cut <= n; cut++) {
		const char *got;

		world_payload(&w, false, payload, cut, false);
		got = world_eval(&w, expr);
		if (cut == n)
			cr_expect_str_eq(got, want, "%s: got '%s', want '%s'", expr, got, want);
		else
			cr_expect(strcmp(got, "WAIT") == 0 || strcmp(got, want) == 0,
				  "%s after %zu bytes: '%s'", expr, cut, got);
	}
}

Test(policy_sample, a_request_split_at_every_byte_gives_no_wrong_answer)
{
	static const struct row rows[] = {
		{ "path", "/a/b" },          { "hdr(x)", "f" },
		{ "hdr_cnt(x)", "6" },       { "method", "GET" },
		{ "cook(a)", "3" },          { "req.proto_http", "1" },
		{ "req.ssl_sni", "ABSENT" }, { "hdr(zz)", "ABSENT" },
		{ "urlp(z)", "3" },          { "req.payload(2,5)", "T /a/" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_split(REQUEST, strlen(REQUEST), rows[i].expr, rows[i].want);
}

/* ClientHello, TLS 1.2 and 1.3 offered, SNI "Www.Example.org", ALPN h2 and http/1.1 */
static const char hello[] = "\x16\x03\x01\x00\x62\x01\x00\x00\x5e\x03\x03"
			    "0123456789abcdef0123456789abcdef\x00\x00\x02\x13\x01\x01\x00\x00\x33"
			    "\x00\x00\x00\x14\x00\x12\x00\x00\x0fWww.Example.org"
			    "\x00\x10\x00\x0e\x00\x0c\x02h2\x08http/1.1"
			    "\x00\x2b\x00\x05\x04\x03\x04\x03\x03";

Test(policy_sample, a_client_hello_split_at_every_byte_gives_no_wrong_answer)
{
	static const struct row rows[] = {
		{ "req.ssl_sni", "www.example.org" },
		{ "req.ssl_alpn", "h2,http/1.1" },
		{ "req.ssl_ver", "196611" },
		{ "req.ssl_hello_type", "1" },
		{ "path", "ABSENT" },
		{ "req.proto_http", "ABSENT" },
		{ "req.ssl_sni,field(-1,.)", "org" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		check_split(hello, sizeof(hello) - 1, rows[i].expr, rows[i].want);
}

Test(policy_sample, a_grown_payload_is_parsed_anew)
{
	const char *text = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
	char *mem = strdup(text);

	w.ctx.req_payload = str_n(mem, 10);
	CHECK({ "path", "WAIT" });
	w.ctx.req_payload = str_n(mem, strlen(text));
	CHECK({ "path", "/a" }, { "path", "/a" });
	free(mem);
}

Test(policy_sample, all_values_can_be_walked)
{
	struct sample_expr *e = sample_parse("req.hdr(x),upper", NULL, SMP_AT_ANY, &w.conf, &w.err);
	char all[256] = "";
	struct smp_iter it = { 0 };

	world_req(&w, REQUEST, false);
	do {
		const char *v = world_eval_expr(&w, e, &it);

		if (it.more)
			strcat(strcat(all, v), "|");
	} while (it.more);
	cr_expect_str_eq(all, "A|B||\"C,D\"|E|F|");
}

Test(policy_sample, text_converters)
{
	CHECK({ "str(AbC),lower", "abc" }, { "str(AbC),upper", "ABC" }, { "str(  x),length", "3" },
	      { "str(f1_f2_f3__f5),field(5,_)", "f5" }, { "str(f1_f2_f3__f5),field(2,_,0)", "f2_f3__f5" },
	      { "str(f1_f2_f3__f5),field(2,_,2)", "f2_f3" }, { "str(f1_f2_f3__f5),field(-2,_,3)", "f2_f3_" },
	      { "str(f1_f2_f3__f5),field(-3,_,0)", "f1_f2_f3" }, { "str(f1_f2_f3__f5),field(9,_)", "ABSENT" },
	      { "str(f1_f2_f3__f5),field(4,_)", "" }, { "str(f1_f2_f3__f5),field(1,x)", "f1_f2_f3__f5" },
	      { "str(f1_f2_f3__f5),field(-9,_)", "ABSENT" }, { "str(f1_f2_f3__f5),word(4,_)", "f5" },
	      { "str(f1_f2_f3__f5),word(2,_,0)", "f2_f3__f5" }, { "str(f1_f2_f3__f5),word(3,_,2)", "f3__f5" },
	      { "str(f1_f2_f3__f5),word(-2,_,3)", "f1_f2_f3" }, { "str(f1_f2_f3__f5),word(-3,_,0)", "f1_f2" },
	      { "str(/f1/f2/f3/f4),word(1,/)", "f1" }, { "str(a),word(9,_),length", "0" },
	      { "str(__a__),word(1,_)", "a" }, { "str(__),word(1,_),length", "0" },
	      { "str(xx),ltrim(x),length", "0" }, { "str(  xyz xx),ltrim( x)", "yz xx" },
	      { "str(abcxx),rtrim(xc)", "ab" }, { "str(a.b.c),concat(p,,q)", "a.b.cpq" },
	      { "str(Host:80),host_only", "host" }, { "str([::1]:80),host_only", "[::1]" },
	      { "str([::1]),port_only", "0" }, { "str(h:80),port_only", "80" },
	      { "str(a%20b+c?d+%41),url_dec", "a b+c?d A" }, { "str(a+b),url_dec(1)", "a b" },
	      { "str(a%zz),url_dec", "ABSENT" }, { "str(a%4),url_dec", "ABSENT" },
	      { "str(a/b?c d~-._e),url_enc", "a%2Fb%3Fc%20d~-._e" },
	      { "int(3),http_date", "Thu, 01 Jan 1970 00:00:03 GMT" },
	      { "int(3000),http_date(2000,ms)", "Thu, 01 Jan 1970 00:00:05 GMT" });
}

Test(policy_sample, regsub_replaces_as_sed_does)
{
	CHECK({ "str(f1_f2),regsub(f,g)", "g1_f2" }, { "str(f1_f2),regsub(f,g,g)", "g1_g2" },
	      { "str(f1_f2),regsub(\"f([0-9])\",<\\1>,g)", "<1>_<2>" },
	      { "str(f1_f2),regsub(F,g,gi)", "g1_g2" }, { "str(f1_xf),regsub(x*,-,g)", "-f-1-_--f-" },
	      { "str(abc),regsub(^,X)", "Xabc" }, { "str(abc),regsub(z,y)", "abc" },
	      { "str(),regsub(^$,empty)", "empty" },
	      { "str(a),regsub(\"(\",b)", "invalid arguments of converter 'regsub': regular expression '(' "
					  "is invalid at position 1: missing "
					  "closing parenthesis" },
	      { "str(a),regsub(a,b,q)",
		"invalid arguments of converter 'regsub': unknown flag 'q'; 'i' and 'g' are known" });
}

Test(policy_sample, integer_converters_stop_at_the_ends)
{
	CHECK({ "int(9223372036854775807),add(1)", "9223372036854775807" },
	      { "int(-9223372036854775808),sub(1)", "-9223372036854775808" },
	      { "int(9000000000000000000),mul(3)", "9223372036854775807" },
	      { "int(-9000000000000000000),mul(3)", "-9223372036854775808" },
	      { "int(7),div(0)", "9223372036854775807" }, { "int(7),mod(0)", "0" },
	      { "int(-7),div(2)", "-3" }, { "int(-7),mod(3)", "-1" },
	      { "int(-9223372036854775808),div(-1)", "9223372036854775807" },
	      { "int(-9223372036854775808),mod(-1)", "0" },
	      { "int(-9223372036854775808),neg", "9223372036854775807" }, { "int(5),neg", "-5" },
	      { "int(5),cpl", "-6" }, { "int(5),not", "0" }, { "int(5),even", "0" }, { "int(5),odd", "1" },
	      { "int(5),and(4)", "4" }, { "int(5),or(2)", "7" }, { "int(5),xor(1)", "4" },
	      { "int(0),iif(y,n)", "n" }, { "int(2),bool,iif(y,n)", "y" });
}

Test(policy_sample, binary_converters)
{
	CHECK({ "int(5),hex", "0000000000000005" }, { "str(abc),hex", "616263" },
	      { "bin(00410042),hex", "00410042" }, { "bin(4100),length", "1" }, { "str(abc),base64", "YWJj" },
	      { "str(aGk=),b64dec", "hi" }, { "str(aGk),b64dec", "ABSENT" }, { "bin(fbff),ub64enc", "-_8" },
	      { "str(-_8),ub64dec,hex", "FBFF" }, { "str(41zz),hex2i", "ABSENT" }, { "str(ff),hex2i", "255" },
	      { "str(abcdef),bytes(3)", "def" }, { "str(abcdef),bytes(1,2)", "bc" },
	      { "str(abc),bytes(9),length", "0" }, { "str(abc),bytes(1,9)", "bc" },
	      { "int(5),sha1,hex", "216A788021417AD345B1B1EE10753127C457AFC0" },
	      { "str(),sha1,hex", "DA39A3EE5E6B4B0D3255BFEF95601890AFD80709" },
	      { "str(abc),sha2(256),hex,bytes(0,8)", "BA7816BF" },
	      { "str(abc),digest(md5),hex", "900150983CD24FB0D6963F7D28E17F72" },
	      { "str(abc),crc32", "891568578" }, { "str(abc),crc32(1)", "930845320" },
	      { "str(abc),djb2", "193485963" }, { "str(abc),sdbm", "807794786" });
}

Test(policy_sample, masks_and_casts)
{
	CHECK({ "ipv4(10.1.2.3),ipmask(8)", "10.0.0.0" },
	      { "ipv4(10.1.2.3),ipmask(255.255.0.0)", "10.1.0.0" },
	      { "ipv6(2001:db8::1),ipmask(8)", "ABSENT" }, { "ipv6(2001:db8::1),ipmask(8,16)", "2001::" },
	      { "ipv4(10.1.2.3),add(1)", "167838212" }, { "ipv4(1.2.3.4),hex", "01020304" },
	      { "int(16909060),ipmask(32)", "1.2.3.4" }, { "str(1.2.3.4),ipmask(24)", "1.2.3.0" },
	      { "str(x),ipmask(24)", "ABSENT" }, { "str(12abc),add(1)", "13" }, { "str(f),add(1)", "1" },
	      { "str(),add(1)", "ABSENT" }, { "bool(true),add(1)", "2" },
	      { "bool(true),hex", "0000000000000001" }, { "meth(GET),lower", "get" });
}

Test(policy_sample, arguments_may_be_quoted_and_escaped)
{
	CHECK({ "str(\"a,b)\")", "a,b)" }, { "str('a,\"b')", "a,\"b" }, { "str(\"\\\"\")", "\"" },
	      { "str(a\\ b)", "a b" }, { "str(a\\1)", "a\\1" }, { "str('a\\n'),length", "3" },
	      { "str(a\\n),length", "2" },
	      { "str(\"a)", "invalid arguments of fetch method 'str': unmatched quote" },
	      { "str(a", "invalid arguments of fetch method 'str': missing ')'" });
}

Test(policy_sample, what_is_wrong_is_said_with_the_nearest_name)
{
	CHECK(
	    { "", "missing fetch method" }, { "pth", "unknown fetch method 'pth'; did you mean 'path'?" },
	    { "path,lwer", "unknown converter 'lwer'; did you mean 'lower'?" },
	    { "path,", "missing converter after ','" },
	    { "path lower", "unexpected ' lower' after the expression" },
	    { "path,field(x)", "invalid arguments of converter 'field': argument 1: 'x' is not an integer" },
	    { "path,field(1)",
	      "invalid arguments of converter 'field': missing arguments (got 1/2), type 'string' expected" },
	    { "path,lower(1)", "invalid arguments of converter 'lower': end of arguments expected at "
			       "position 1, but got '1'" },
	    { "path,field(0,/)",
	      "invalid arguments of converter 'field': the index cannot be 0: the first is 1, the last -1" },
	    { "bin(41),add(1)", "converter 'add' cannot be applied: it takes type 'integer', not 'binary'" },
	    { "str(x),concat(a,txn.b)",
	      "invalid arguments of converter 'concat': variables ('txn.b') are not "
	      "supported yet: leave the second argument empty" });
}

Test(policy_sample, a_place_must_supply_what_a_fetch_needs)
{
	cr_expect_null(sample_parse("status", NULL, SMP_AT_L4 | SMP_AT_HREQ, &w.conf, &w.err));
	cr_expect_str_eq(
	    w.err, "fetch method 'status' cannot be used here: it needs the HTTP response's head, which "
		   "this place does not have");
	cr_expect(sample_parse("hdr(x)", NULL, SMP_AT_HRES, &w.conf, &w.err));
	cr_expect(sample_parse("hdr(x)", NULL, SMP_AT_HREQ, &w.conf, &w.err));
	cr_expect(sample_parse("str(x)", NULL, 0, &w.conf, &w.err));
}

Test(policy_sample, parsing_stops_where_told)
{
	const char *end;

	cr_assert(sample_parse("path,lower]rest", &end, SMP_AT_ANY, &w.conf, &w.err));
	cr_expect_str_eq(end, "]rest");
}
