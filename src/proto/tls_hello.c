/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls_hello.c - a look into a TLS ClientHello
 *
 *     record     type(1)=22  version(2)  length(2)    fragment ...         RFC 8446 5.1; one or several
 *     handshake  type(1)=1   length(3)   body                              4
 *     body       version(2)  random(32)  session id<0..32>  cipher suites<2..2^16-2>
 *                compression<1..2^8-1>   extensions<0..2^16-1>             4.1.2
 *     extension  type(2)     data<0..2^16-1>                               4.2
 *
 * Two steps: the handshake message is found, or put together in the caller's scratch memory when it spans records;
 * then its body is walked with a cursor that cannot leave it. Whatever does not fit exactly makes the whole not a
 * ClientHello: lengths that leave bytes over or reach too far, an extension given twice, an empty fragment, another
 * record in between. The first bytes decide early, so that other protocols are not waited for.
 *
 * A server name that is not one (RFC 6066 3: LDH, also "_" as found in the wild; no NUL, no address in brackets) is
 * told by sni_invalid and not given out: rules compare names, logs print them. A trailing dot is taken off, for rules
 * must not be passed by writing one. GREASE values (RFC 8701) are unknown ones, and never the highest version.
 */
#include "proto/tls_hello.h"

#define TLS_REC_HANDSHAKE   22
#define TLS_REC_HDR         5
#define TLS_REC_MAX         16384
#define TLS_HS_CLIENT_HELLO 1
#define TLS_HS_HDR          4
#define TLS_EXT_SNI         0
#define TLS_EXT_ALPN        16
#define TLS_EXT_VERSIONS    43

/* ---- a cursor: reading past the end marks it bad and gives zeros ---- */

struct tls_cur {
	const uint8_t *p, *end;
	bool bad;
};

static size_t tls_left(const struct tls_cur *c)
{
	return (size_t)(c->end - c->p);
}

static const uint8_t *tls_take(struct tls_cur *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->bad || n > tls_left(c)) {
		c->bad = true;
		return NULL;
	}
	c->p += n;
	return p;
}

static unsigned tls_u8(struct tls_cur *c)
{
	const uint8_t *p = tls_take(c, 1);

	return p ? *p : 0;
}

static unsigned tls_u16(struct tls_cur *c)
{
	const uint8_t *p = tls_take(c, 2);

	return p ? (unsigned)p[0] << 8 | p[1] : 0;
}

/* A vector: <len_bytes> of length (1 or 2), then the data, as a cursor of its own. */
static struct tls_cur tls_vec(struct tls_cur *c, unsigned len_bytes, size_t min, size_t max)
{
	size_t n = len_bytes == 1 ? tls_u8(c) : tls_u16(c);
	const uint8_t *p;

	if (n < min || n > max)
		c->bad = true;
	p = tls_take(c, n);
	return p ? (struct tls_cur){ .p = p, .end = p + n } : (struct tls_cur){ .bad = true };
}

/* ---- extensions; each returns false when malformed ---- */

/* Writes the name, lower-cased, to out->sni; false where it has a byte that no name has. */
static bool tls_host_name(struct tls_hello *out, struct tls_cur name)
{
	size_t n = tls_left(&name);

	if (n && name.p[n - 1] == '.')
		n--;
	if (!n || n >= sizeof(out->sni))
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t c = name.p[i];
		bool dot = c == '.';

		if (c >= 'A' && c <= 'Z')
			c |= 0x20;
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && !dot)
			return false;
		if (dot && (i == 0 || name.p[i - 1] == '.' || i == n - 1))
			return false;
		out->sni[i] = (char)c;
	}
	out->sni[n] = '\0';
	return true;
}

/* RFC 6066 3: a list of names, at most one of each type; only the type host_name (0) exists. */
static bool tls_ext_sni(struct tls_hello *out, struct tls_cur ext)
{
	struct tls_cur list = tls_vec(&ext, 2, 1, UINT16_MAX), name;
	unsigned type;

	if (ext.bad || tls_left(&ext))
		return false;
	type = tls_u8(&list);
	name = tls_vec(&list, 2, 1, UINT16_MAX);
	if (list.bad || tls_left(&list) || type != 0)
		return false;
	out->has_sni = tls_host_name(out, name);
	out->sni_invalid = !out->has_sni;
	if (!out->has_sni)
		out->sni[0] = '\0';
	return true;
}

/* RFC 7301 3.1 */
static bool tls_ext_alpn(struct tls_hello *out, struct tls_cur ext)
{
	struct tls_cur list = tls_vec(&ext, 2, 2, UINT16_MAX);

	if (ext.bad || tls_left(&ext))
		return false;
	out->alpn = str_n((const char *)list.p, tls_left(&list));
	while (!list.bad && tls_left(&list))
		tls_vec(&list, 1, 1, 255);
	return !list.bad;
}

/* RFC 8446 4.2.1: the highest offered that is a version of TLS or SSL 3 */
static bool tls_ext_versions(struct tls_hello *out, struct tls_cur ext)
{
	struct tls_cur list = tls_vec(&ext, 1, 2, 254);
	unsigned best = 0;

	if (ext.bad || tls_left(&ext) || tls_left(&list) % 2)
		return false;
	while (tls_left(&list)) {
		unsigned v = tls_u16(&list);

		if (v >> 8 == 3 && v > best)
			best = v;
	}
	if (best)
		out->version = (uint16_t)best;
	return true;
}

static const struct tls_ext {
	uint16_t type;
	bool (*fn)(struct tls_hello *out, struct tls_cur ext);
} tls_exts[] = {
	{ TLS_EXT_SNI, tls_ext_sni },
	{ TLS_EXT_ALPN, tls_ext_alpn },
	{ TLS_EXT_VERSIONS, tls_ext_versions },
};

static bool tls_extensions(struct tls_hello *out, struct tls_cur exts)
{
	unsigned seen = 0; /* bit for each of tls_exts */

	while (!exts.bad && tls_left(&exts)) {
		unsigned type = tls_u16(&exts);
		struct tls_cur ext = tls_vec(&exts, 2, 0, UINT16_MAX);

		for (unsigned i = 0; i < ARRAY_SIZE(tls_exts) && !exts.bad; i++) {
			if (tls_exts[i].type != type)
				continue;
			if (seen & 1u << i || !tls_exts[i].fn(out, ext))
				return false;
			seen |= 1u << i;
		}
	}
	return !exts.bad;
}

static bool tls_body(struct tls_hello *out, const uint8_t *p, size_t n)
{
	struct tls_cur c = { .p = p, .end = p + n }, suites, exts;

	out->version = (uint16_t)tls_u16(&c);
	tls_take(&c, 32);
	tls_vec(&c, 1, 0, 32);
	suites = tls_vec(&c, 2, 2, UINT16_MAX - 1);
	tls_vec(&c, 1, 1, 255);
	if (c.bad || out->version >> 8 != 3 || tls_left(&suites) % 2)
		return false;
	if (!tls_left(&c)) /* before TLS 1.2 there need be no extensions */
		return true;
	exts = tls_vec(&c, 2, 0, UINT16_MAX);
	return !c.bad && !tls_left(&c) && tls_extensions(out, exts);
}

/* ---- records ---- */

/* The record at <p>: its length with header in *len. 1: whole, 0: more is needed, -1: not of a handshake. */
static int tls_record(const uint8_t *p, size_t n, size_t *len)
{
	size_t frag;

	if (n >= 1 && p[0] != TLS_REC_HANDSHAKE)
		return -1;
	if (n >= 2 && p[1] != 3)
		return -1;
	if (n < TLS_REC_HDR)
		return 0;
	frag = (size_t)p[3] << 8 | p[4];
	if (frag == 0 || frag > TLS_REC_MAX)
		return -1;
	*len = TLS_REC_HDR + frag;
	return n >= *len;
}

/* What is there of the handshake header inside one record: -1 it is not a ClientHello's. */
static int tls_hs_check(const uint8_t *hs, size_t n, size_t *len)
{
	if (n >= 1 && hs[0] != TLS_HS_CLIENT_HELLO)
		return -1;
	if (n < TLS_HS_HDR)
		return 0;
	*len = TLS_HS_HDR + ((size_t)hs[1] << 16 | (size_t)hs[2] << 8 | hs[3]);
	return 1;
}

/* Puts the message together that goes on over several records. *total is its length; as tls_hello_parse(). */
static int tls_gather(const uint8_t *p, size_t n, uint8_t *scratch, size_t size, size_t *total)
{
	size_t have = 0, off = 0;

	for (;;) {
		size_t len = 0, begin = have, part;
		int whole = tls_record(p + off, n - off, &len), hs;

		if (whole < 0 || !len)
			return whole;
		part = MIN(len, n - off) - TLS_REC_HDR;
		if (part > size - have)
			return -1;
		memcpy(scratch + have, p + off + TLS_REC_HDR, part);
		have += part;
		hs = tls_hs_check(scratch, have, total);
		if (hs < 0 || (hs > 0 && *total > size))
			return -1;
		if (hs > 0 && begin + len - TLS_REC_HDR > *total) /* as below: nothing may follow it */
			return -1;
		if (hs > 0 && have == *total)
			return 1;
		if (!whole)
			return 0;
		off += len;
	}
}

int tls_hello_parse(const uint8_t *p, size_t n, struct tls_hello *out, uint8_t *scratch, size_t scratch_size)
{
	size_t rec = 0, total = 0;
	const uint8_t *hs = p + TLS_REC_HDR;
	int whole, r;

	*out = (struct tls_hello){ 0 };
	whole = n ? tls_record(p, n, &rec) : 0;
	if (whole < 0 || n < TLS_REC_HDR)
		return whole;
	out->record_version = (uint16_t)(p[1] << 8 | p[2]);

	/* in one record: looked at where it lies */
	r = tls_hs_check(hs, MIN(rec, n) - TLS_REC_HDR, &total);
	if (r < 0)
		return -1;
	if (r > 0 && total <= rec - TLS_REC_HDR) {
		if (total < rec - TLS_REC_HDR) /* nothing may follow it: the client waits for the answer */
			return -1;
		if (!whole)
			return 0;
	} else if (r == 0 && !whole) {
		return 0;
	} else {
		if (!scratch)
			return -1;
		r = tls_gather(p, n, scratch, scratch_size, &total);
		if (r <= 0)
			return r;
		hs = scratch;
	}
	return tls_body(out, hs + TLS_HS_HDR, total - TLS_HS_HDR) ? 1 : -1;
}
