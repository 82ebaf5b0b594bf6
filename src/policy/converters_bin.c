/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * converters_bin.c - bytes: slices, encodings, digests, hashes, netmasks
 *
 * The four small hashes give what HAProxy's give (its manual, 7.3.1), so that
 * keys computed on both sides agree; none of them is for security. Digests are
 * OpenSSL's.
 */
#include <ctype.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "policy/policy_priv.h"

#define CONV(fn) \
	static bool fn(struct policy_ctx *ctx, const struct smp_arg *args, int nb_args, struct sample *smp)

/* bytes(offset[,length]) */
CONV(conv_bytes)
{
	struct str s = smp->v.str;
	size_t off = MIN((size_t)args[0].i, s.n), len = s.n - off;

	if (nb_args > 1)
		len = MIN((size_t)args[1].i, len);
	smp->v.str = str_n(s.p ? s.p + off : "", len);
	return true;
}

static int check_bytes(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	for (int i = 0; i < nb_args; i++)
		if (args[i].i < 0)
			return pol_err(err, "argument %d: '%s' is negative", i + 1, args[i].str.p);
	return 0;
}

/* ---- hexadecimal ---- */

CONV(conv_hex)
{
	static const char digits[] = "0123456789ABCDEF";
	struct str s = smp->v.str;
	char *p = pol_tmp(ctx, s.n * 2 + 1);

	if (!p)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		p[2 * i] = digits[(unsigned char)s.p[i] >> 4];
		p[2 * i + 1] = digits[(unsigned char)s.p[i] & 15];
	}
	smp->v.str = str_n(p, s.n * 2);
	return true;
}

CONV(conv_hex2i)
{
	struct str s = smp->v.str;
	uint64_t v = 0;

	for (size_t i = 0; i < s.n; i++) {
		int c = tolower((unsigned char)s.p[i]);

		if (!isxdigit(c))
			return false;
		v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	smp->v.i = (int64_t)v;
	return true;
}

/* ---- base64 (RFC 4648), standard and URL-safe ---- */

static bool conv_b64_encode(struct policy_ctx *ctx, struct sample *smp, bool url)
{
	struct str s = smp->v.str;
	char *p = pol_tmp(ctx, s.n / 3 * 4 + 5);
	int n;

	if (!p || s.n > INT32_MAX / 2)
		return false;
	n = EVP_EncodeBlock((unsigned char *)p, (const unsigned char *)(s.p ? s.p : ""), (int)s.n);
	for (int i = 0; url && i < n; i++)
		p[i] = p[i] == '+' ? '-' : p[i] == '/' ? '_' : p[i];
	while (url && n && p[n - 1] == '=')
		n--;
	smp->v.str = str_n(p, (size_t)n);
	return true;
}

static int b64_value(char c, bool url)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == (url ? '-' : '+'))
		return 62;
	return c == (url ? '_' : '/') ? 63 : -1;
}

static bool conv_b64_decode(struct policy_ctx *ctx, struct sample *smp, bool url)
{
	struct str s = smp->v.str;
	char *p = pol_tmp(ctx, s.n / 4 * 3 + 4);
	uint32_t acc = 0;
	size_t n = 0, pad = 0;

	if (!p || (!url && s.n % 4))
		return false;
	while (s.n && s.p[s.n - 1] == '=' && pad < 2)
		s.n--, pad++;
	if (s.n % 4 == 1 || (pad && (s.n + pad) % 4))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		int v = b64_value(s.p[i], url);

		if (v < 0)
			return false;
		acc = acc << 6 | (uint32_t)v;
		if (i % 4)
			p[n++] = (char)(acc >> (6 - 2 * (i % 4)));
	}
	smp->v.str = str_n(p, n);
	return true;
}

CONV(conv_base64)
{
	return conv_b64_encode(ctx, smp, false);
}

CONV(conv_ub64enc)
{
	return conv_b64_encode(ctx, smp, true);
}

CONV(conv_b64dec)
{
	return conv_b64_decode(ctx, smp, false);
}

CONV(conv_ub64dec)
{
	return conv_b64_decode(ctx, smp, true);
}

/* ---- digests ---- */

static bool conv_digest_md(struct policy_ctx *ctx, struct sample *smp, const EVP_MD *md)
{
	unsigned char *p = pol_tmp(ctx, EVP_MAX_MD_SIZE);
	unsigned n = 0;

	if (!p || !md || EVP_Digest(smp->v.str.p ? smp->v.str.p : "", smp->v.str.n, p, &n, md, NULL) != 1)
		return false;
	smp->v.str = str_n((char *)p, n);
	return true;
}

CONV(conv_sha1)
{
	return conv_digest_md(ctx, smp, EVP_sha1());
}

static const EVP_MD *sha2_md(int64_t bits)
{
	switch (bits) {
	case 224: return EVP_sha224();
	case 256: return EVP_sha256();
	case 384: return EVP_sha384();
	case 512: return EVP_sha512();
	default: return NULL;
	}
}

CONV(conv_sha2)
{
	return conv_digest_md(ctx, smp, sha2_md(nb_args ? args[0].i : 256));
}

static int check_sha2(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	if (nb_args && !sha2_md(args[0].i))
		return pol_err(err, "'%s' is not one of 224, 256, 384, 512", args[0].str.p);
	return 0;
}

CONV(conv_digest)
{
	return conv_digest_md(ctx, smp, args[0].ptr);
}

static int check_digest(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	args[0].ptr = EVP_get_digestbyname(args[0].str.p);
	return args[0].ptr ? 0 : pol_err(err, "OpenSSL knows no digest '%s'", args[0].str.p);
}

/* ---- 32-bit hashes ---- */

/* Spreads a weak hash over all bits: Bob Jenkins' full avalanche, which HAProxy's hash-type names. */
static uint32_t hash_avalanche(uint32_t a)
{
	a = (a + 0x7ed55d16) + (a << 12);
	a = (a ^ 0xc761c23c) ^ (a >> 19);
	a = (a + 0x165667b1) + (a << 5);
	a = (a + 0xd3a2646c) ^ (a << 9);
	a = (a + 0xfd7046c5) + (a << 3);
	return (a ^ 0xb55a4f09) ^ (a >> 16);
}

static bool hash_result(struct sample *smp, uint32_t h, const struct smp_arg *args, int nb_args)
{
	smp->v.i = nb_args && args[0].i ? hash_avalanche(h) : h;
	return true;
}

static uint32_t hash_crc(struct str s, uint32_t poly)
{
	uint32_t h = ~0u;

	for (size_t i = 0; i < s.n; i++) {
		h ^= (unsigned char)s.p[i];
		for (int bit = 0; bit < 8; bit++)
			h = h >> 1 ^ (h & 1 ? poly : 0);
	}
	return ~h;
}

CONV(conv_crc32)
{
	return hash_result(smp, hash_crc(smp->v.str, 0xedb88320), args, nb_args);
}

CONV(conv_crc32c)
{
	return hash_result(smp, hash_crc(smp->v.str, 0x82f63b78), args, nb_args);
}

CONV(conv_djb2)
{
	uint32_t h = 5381;

	for (size_t i = 0; i < smp->v.str.n; i++)
		h = h * 33 + (unsigned char)smp->v.str.p[i];
	return hash_result(smp, h, args, nb_args);
}

CONV(conv_sdbm)
{
	uint32_t h = 0;

	for (size_t i = 0; i < smp->v.str.n; i++)
		h = (unsigned char)smp->v.str.p[i] + (h << 6) + (h << 16) - h;
	return hash_result(smp, h, args, nb_args);
}

/* ---- netmasks ---- */

static int check_mask(struct smp_arg *arg, int family, struct arena *a, char **err)
{
	int bits = family == AF_INET ? 32 : 128;
	struct addr *m = arena_alloc(a, sizeof(*m));
	uint64_t n;

	if (!m)
		return pol_err(err, "out of memory");
	arg->ptr = m;
	if (addr_parse_ip(m, arg->str) == 0 && m->family == family)
		return 0;
	if (str_to_uint(arg->str, &n) != 0 || n > (uint64_t)bits)
		return pol_err(err, "'%s' is not an IPv%d netmask", arg->str.p, family == AF_INET ? 4 : 6);
	*m = (struct addr){ .family = (uint8_t)family };
	for (unsigned i = 0; i < n; i++)
		((uint8_t *)&m->ip)[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return 0;
}

static int check_ipmask(struct smp_arg *args, int nb_args, struct arena *a, char **err)
{
	if (check_mask(&args[0], AF_INET, a, err) < 0)
		return -1;
	return nb_args > 1 ? check_mask(&args[1], AF_INET6, a, err) : 0;
}

CONV(conv_ipmask)
{
	bool v6 = smp->v.addr.family == AF_INET6;
	const struct addr *m;
	uint8_t *ip = (uint8_t *)&smp->v.addr.ip;

	if (v6 && nb_args < 2)
		return false;
	m = args[v6 ? 1 : 0].ptr;
	for (int i = 0; i < (v6 ? 16 : 4); i++)
		ip[i] &= ((const uint8_t *)&m->ip)[i];
	return true;
}

static struct smp_conv_kw convs_bin[] = {
	{ "bytes", SMP_T_BIN, SMP_T_BIN, "iI", check_bytes, conv_bytes,
	  "a slice: offset, length (default: the rest)" },
	{ "hex", SMP_T_BIN, SMP_T_STR, NULL, NULL, conv_hex, "as hexadecimal digits" },
	{ "hex2i", SMP_T_STR, SMP_T_SINT, NULL, NULL, conv_hex2i, "the number that hexadecimal digits mean" },
	{ "base64", SMP_T_BIN, SMP_T_STR, NULL, NULL, conv_base64, "base64-encoded" },
	{ "b64dec", SMP_T_STR, SMP_T_BIN, NULL, NULL, conv_b64dec, "base64-decoded" },
	{ "ub64enc", SMP_T_BIN, SMP_T_STR, NULL, NULL, conv_ub64enc,
	  "base64-encoded for URLs, without padding" },
	{ "ub64dec", SMP_T_STR, SMP_T_BIN, NULL, NULL, conv_ub64dec,
	  "base64-decoded, from the form for URLs" },
	{ "sha1", SMP_T_BIN, SMP_T_BIN, NULL, NULL, conv_sha1, "the SHA-1 digest" },
	{ "sha2", SMP_T_BIN, SMP_T_BIN, "I", check_sha2, conv_sha2,
	  "the SHA-2 digest of 224, 256 (default), 384 or 512 bits" },
	{ "digest", SMP_T_BIN, SMP_T_BIN, "s", check_digest, conv_digest,
	  "a digest that OpenSSL knows by this name" },
	{ "crc32", SMP_T_BIN, SMP_T_SINT, "I", NULL, conv_crc32,
	  "the CRC of Ethernet and gzip; argument 1: spread by an avalanche" },
	{ "crc32c", SMP_T_BIN, SMP_T_SINT, "I", NULL, conv_crc32c,
	  "the CRC of iSCSI and SCTP; argument as crc32" },
	{ "djb2", SMP_T_BIN, SMP_T_SINT, "I", NULL, conv_djb2, "the DJB2 hash; argument as crc32" },
	{ "sdbm", SMP_T_BIN, SMP_T_SINT, "I", NULL, conv_sdbm, "the SDBM hash; argument as crc32" },
	{ "ipmask", SMP_T_ADDR, SMP_T_ADDR, "sS", check_ipmask, conv_ipmask,
	  "an address under a mask: for IPv4, for IPv6; in bits or as an address. IPv6 needs the second" },
	{ NULL }
};

INITCALL converters_bin_register(void)
{
	smp_register_convs(convs_bin);
}
