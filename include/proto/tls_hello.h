/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls_hello.h - a look into a TLS ClientHello (RFC 8446 4.1.2, RFC 6066 3)
 *
 * Pure; bounded; accepts a hello that is split over several records.
 */
#ifndef STANDIN_PROTO_TLS_HELLO_H
#define STANDIN_PROTO_TLS_HELLO_H

#include "core/str.h"

struct tls_hello {
	uint16_t record_version, version; /* version: the highest offered (supported_versions or legacy) */
	char sni[256];                    /* lower case, NUL-terminated; "" when none */
	struct str alpn;                  /* raw protocol name list inside <p> or <scratch>, or null */
	bool has_sni;
	bool sni_invalid;                 /* a name was given, but it is none: sni is "" */
};

/* Returns 1: parsed, 0: need more bytes, -1: not a TLS ClientHello. What follows the hello's last record is not looked
 * at. <scratch>: for a hello that spans records, 16 KB will do for any seen so far (one that is larger is -1); may be
 * NULL otherwise (then a hello in several records is -1). */
int tls_hello_parse(const uint8_t *p, size_t n, struct tls_hello *out, uint8_t *scratch, size_t scratch_size);

#endif
