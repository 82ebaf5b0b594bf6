/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls_hello.c - fuzz target: a look into TLS ClientHellos
 *
 * Input: the bytes of a connection. What must hold: a part of them answers "more" or what all of them answer; with
 * scratch memory at least as much is understood as without; a name that is given out is one.
 */
#include "lib/fuzz.h"
#include "proto/tls_hello.h"

static uint8_t scratch[16384];

static int parse(const uint8_t *p, size_t n, bool with_scratch)
{
	uint8_t *m = fuzz_dup(p, n);
	struct tls_hello out;
	int r = tls_hello_parse(m, n, &out, with_scratch ? scratch : NULL, with_scratch ? sizeof(scratch) : 0);
	size_t len = strlen(out.sni);

	CHECK(r >= -1 && r <= 1);
	if (r == 1) {
		CHECK(out.has_sni == (len > 0) && !(out.has_sni && out.sni_invalid));
		CHECK(strspn(out.sni, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == len);
		CHECK(out.version >> 8 == 3);
		for (size_t i = 0; i < out.alpn.n; i += 1 + (uint8_t)out.alpn.p[i])
			CHECK(out.alpn.p[i]);
	}
	free(m);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	size_t step = n / 64 + 1;

	for (int with = 0; with < 2; with++) {
		int whole = parse(p, n, with);

		for (size_t i = 0; i < n; i += step) {
			int part = parse(p, i, with);

			CHECK(part == 0 || part == whole);
		}
	}
	CHECK(parse(p, n, false) != 1 || parse(p, n, true) == 1);
	return 0;
}
