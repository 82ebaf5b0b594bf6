/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls_ctx.c - TLS contexts from `bind ... ssl` and `server ... ssl`
 *
 * A crt file holds certificate, chain and private key in PEM, in any order; a
 * directory stands for its files in alphabetical order. The certificate a client
 * gets is the first whose name is what it asked for, then the first whose wildcard
 * covers it (one label, RFC 6125 6.4.3), else the first of all - or none, with
 * strict-sni.
 *
 * Runs on the helper thread while an epoch is built. SSL_CTX is counted by OpenSSL
 * itself: connections outlive epochs.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "l7/cfg_priv.h"
#include "l7/tls.h"
#include "l7/tls_priv.h"

static void tls_err(char **err, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void tls_err(char **err, const char *fmt, ...)
{
	unsigned long e = ERR_peek_error(); /* the first is the reason, those after it say what could not be done then */
	const char *reason = !e ? NULL : ERR_SYSTEM_ERROR(e) ? strerror(ERR_GET_REASON(e)) : ERR_reason_error_string(e);
	char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	free(*err);
	*err = NULL;
	if (text && reason && asprintf(err, "%s (%s)", text, reason) >= 0)
		free(text);
	else
		*err = text;
	ERR_clear_error();
}

unsigned tls_version_parse(const char *word)
{
	static const struct {
		const char *word;
		unsigned version;
	} known[] = {
		{ "TLSv1.0", TLS1_VERSION }, { "TLSv1.1", TLS1_1_VERSION }, { "TLSv1.2", TLS1_2_VERSION },
		{ "TLSv1.3", TLS1_3_VERSION },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(known[i].word, word) == 0)
			return known[i].version;
	return 0;
}

static bool tls_common(SSL_CTX *ctx, unsigned min, unsigned max, const char *ciphers, char **err)
{
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
	SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
			      SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_min_proto_version(ctx, min ? (int)min : TLS1_2_VERSION);
	if (max)
		SSL_CTX_set_max_proto_version(ctx, (int)max);
	if (ciphers && SSL_CTX_set_cipher_list(ctx, ciphers) != 1) {
		tls_err(err, "unable to set the cipher list to '%s'", ciphers);
		return false;
	}
	return true;
}

/* ---- names ---- */

static bool tls_add_name(struct tls_cert *c, const char *p, size_t n)
{
	char **list = realloc(c->names, (c->nb_names + 1) * sizeof(*list));

	if (!list)
		return false;
	c->names = list;
	c->names[c->nb_names] = strndup(p, n);
	if (!c->names[c->nb_names])
		return false;
	for (char *q = c->names[c->nb_names]; *q; q++)
		*q = (char)tolower((unsigned char)*q);
	c->nb_names++;
	return true;
}

static bool tls_read_names(struct tls_cert *c)
{
	X509 *x = SSL_CTX_get0_certificate(c->ctx);
	GENERAL_NAMES *alt = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	bool ok = true;
	char cn[256];
	int n;

	for (int i = 0; i < sk_GENERAL_NAME_num(alt); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(alt, i);

		if (g->type == GEN_DNS)
			ok &= tls_add_name(c, (const char *)ASN1_STRING_get0_data(g->d.dNSName),
					   (size_t)ASN1_STRING_length(g->d.dNSName));
	}
	GENERAL_NAMES_free(alt);
	n = X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, cn, sizeof(cn));
	if (n > 0)
		ok &= tls_add_name(c, cn, strlen(cn));
	return ok;
}

static struct tls_cert *tls_find(struct tls_bind *t, const char *sni)
{
	const char *dot = strchr(sni, '.');
	struct tls_cert *wild = NULL;

	for (unsigned i = 0; i < t->nb; i++)
		for (unsigned k = 0; k < t->cert[i].nb_names; k++) {
			const char *name = t->cert[i].names[k];

			if (strcasecmp(name, sni) == 0)
				return &t->cert[i];
			if (!wild && dot && dot > sni && name[0] == '*' && strcasecmp(name + 1, dot) == 0)
				wild = &t->cert[i];
		}
	return wild;
}

static int tls_choose_cb(SSL *ssl, int *alert, void *arg)
{
	struct tls_bind *t = arg;
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	struct tls_cert *c = sni ? tls_find(t, sni) : NULL;

	if (c) {
		SSL_set_SSL_CTX(ssl, c->ctx);
		return SSL_TLSEXT_ERR_OK;
	}
	if (t->strict) {
		*alert = SSL_AD_UNRECOGNIZED_NAME;
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	}
	return sni ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/* ---- ALPN ---- */

static int tls_alpn_cb(SSL *ssl, const unsigned char **out, unsigned char *outlen, const unsigned char *in,
		       unsigned int inlen, void *arg)
{
	struct tls_bind *t = arg;

	if (SSL_select_next_proto((unsigned char **)out, outlen, t->alpn, t->alpn_len, in, inlen) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_NOACK;
	return SSL_TLSEXT_ERR_OK;
}

/* "http/1.1,http/1.0" -> wire form. h2 cannot be spoken and is left out. */
static bool tls_alpn_wire(const char *list, unsigned char *dst, size_t size, unsigned *len, char **err)
{
	struct str rest = str_c(list);

	*len = 0;
	while (rest.p) {
		struct str one = str_trim(str_cut(&rest, ','));

		if (!one.n || one.n > 255 || *len + one.n + 1 > size) {
			tls_err(err, "'alpn' : '%s' is not a list of protocols", list);
			return false;
		}
		if (str_eq(one, STR("h2"))) {
			tls_err(err, "'alpn' : 'h2' is not supported by this version");
			return false;
		}
		dst[(*len)++] = (unsigned char)one.n;
		memcpy(dst + *len, one.p, one.n);
		*len += (unsigned)one.n;
	}
	return true;
}

/* ---- binds ---- */

static void tls_cert_free(struct tls_cert *c)
{
	for (unsigned i = 0; i < c->nb_names; i++)
		free(c->names[i]);
	free(c->names);
	free(c->file);
	SSL_CTX_free(c->ctx);
}

static bool tls_client_ca(SSL_CTX *ctx, const struct bind_cfg *b, char **err)
{
	if (!b->verify)
		return true;
	if (!b->ca_file || SSL_CTX_load_verify_file(ctx, b->ca_file) != 1) {
		tls_err(err, "'verify' : unable to load CA file '%s'", b->ca_file ? b->ca_file : "(none given)");
		return false;
	}
	SSL_CTX_set_client_CA_list(ctx, SSL_load_client_CA_file(b->ca_file));
	SSL_CTX_set_verify(ctx, b->verify == 2 ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER,
			   NULL);
	return true;
}

static bool tls_load_cert(SSL_CTX *ctx, const char *file, char **err)
{
	if (access(file, R_OK) < 0) {
		tls_err(err, "unable to load certificate from '%s': %s", file, strerror(errno));
		return false;
	}
	if (SSL_CTX_use_certificate_chain_file(ctx, file) != 1) {
		tls_err(err, "unable to load certificate from '%s'", file);
		return false;
	}
	if (SSL_CTX_use_PrivateKey_file(ctx, file, SSL_FILETYPE_PEM) != 1) {
		tls_err(err, "unable to load the private key from '%s'", file);
		return false;
	}
	if (SSL_CTX_check_private_key(ctx) != 1) {
		tls_err(err, "certificate and private key in '%s' do not belong together", file);
		return false;
	}
	return true;
}

static bool tls_add_cert(struct tls_bind *t, const struct bind_cfg *b, const char *file, char **err)
{
	struct tls_cert *list = realloc(t->cert, (t->nb + 1) * sizeof(*list)), *c;

	if (!list)
		return false;
	t->cert = list;
	c = &t->cert[t->nb];
	*c = (struct tls_cert){ .ctx = SSL_CTX_new(TLS_server_method()), .file = strdup(file) };
	t->nb++;
	if (!c->ctx || !c->file || !tls_common(c->ctx, b->ssl_min, b->ssl_max, b->ciphers, err) ||
	    !tls_load_cert(c->ctx, file, err) || !tls_client_ca(c->ctx, b, err))
		return false;
	/* a client may end its half without close_notify and still read: without this the session could not be written to */
	SSL_CTX_set_options(c->ctx, SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (b->ciphersuites && SSL_CTX_set_ciphersuites(c->ctx, b->ciphersuites) != 1) {
		tls_err(err, "unable to set the cipher suites to '%s'", b->ciphersuites);
		return false;
	}
	SSL_CTX_set_tlsext_servername_callback(c->ctx, tls_choose_cb);
	SSL_CTX_set_tlsext_servername_arg(c->ctx, t);
	SSL_CTX_set_session_id_context(c->ctx, (const unsigned char *)"standin", 7);
	if (t->alpn_len)
		SSL_CTX_set_alpn_select_cb(c->ctx, tls_alpn_cb, t);
	return tls_read_names(c);
}

static int tls_dir_filter(const struct dirent *e)
{
	static const char *const other[] = { ".issuer", ".ocsp", ".sctl", ".key", ".dh" };
	size_t n = strlen(e->d_name);

	if (e->d_name[0] == '.')
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		if (n > strlen(other[i]) && strcmp(e->d_name + n - strlen(other[i]), other[i]) == 0)
			return 0;
	return 1;
}

static bool tls_add_dir(struct tls_bind *t, const struct bind_cfg *b, const char *dir, char **err)
{
	struct dirent **list = NULL;
	int n = scandir(dir, &list, tls_dir_filter, alphasort);
	unsigned before = t->nb;
	bool ok = n >= 0;

	for (int i = 0; i < n; i++) {
		char *path = NULL;
		struct stat st;

		if (ok && asprintf(&path, "%s/%s", dir, list[i]->d_name) < 0)
			path = NULL;
		if (ok)
			ok = path && (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || tls_add_cert(t, b, path, err));
		free(path);
		free(list[i]);
	}
	free(list);
	if (ok && t->nb == before) {
		tls_err(err, "no certificate in directory '%s'", dir);
		return false;
	}
	return ok;
}

struct tls_bind *tls_bind_new(const struct bind_cfg *b, char **err)
{
	struct tls_bind *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->refs = 1;
	t->strict = b->strict_sni;
	ERR_clear_error();
	if (b->alpn && !tls_alpn_wire(b->alpn, t->alpn, sizeof(t->alpn), &t->alpn_len, err))
		goto fail;
	for (unsigned i = 0; i < b->nb_crts; i++) {
		struct stat st;
		bool dir = stat(b->crts[i], &st) == 0 && S_ISDIR(st.st_mode);

		if (!(dir ? tls_add_dir(t, b, b->crts[i], err) : tls_add_cert(t, b, b->crts[i], err)))
			goto fail;
	}
	return t;
fail:
	tls_bind_put(t);
	return NULL;
}

struct tls_bind *tls_bind_get(struct tls_bind *t)
{
	__atomic_add_fetch(&t->refs, 1, __ATOMIC_RELAXED);
	return t;
}

void tls_bind_put(struct tls_bind *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	for (unsigned i = 0; i < t->nb; i++)
		tls_cert_free(&t->cert[i]);
	free(t->cert);
	free(t);
}

/* ---- servers ---- */

static bool tls_server_ca(SSL_CTX *ctx, const struct srv_cfg *s, char **err)
{
	if (s->verify_none)
		return true;
	if (!s->ca_file) {
		tls_err(err, "verify is enabled by default but no CA file is given: use 'verify none' or 'ca-file <file>'");
		return false;
	}
	if (strcmp(s->ca_file, "@system-ca") == 0 ? SSL_CTX_set_default_verify_paths(ctx) != 1
						    : SSL_CTX_load_verify_file(ctx, s->ca_file) != 1) {
		tls_err(err, "unable to load CA file '%s'", s->ca_file);
		return false;
	}
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
	return true;
}

struct tls_server *tls_server_new(const struct srv_cfg *s, char **err)
{
	struct tls_server *t = calloc(1, sizeof(*t));
	unsigned char alpn[256];
	unsigned n;

	if (!t)
		return NULL;
	t->refs = 1;
	t->verify = !s->verify_none;
	ERR_clear_error();
	t->ctx = SSL_CTX_new(TLS_client_method());
	if (!t->ctx || !tls_common(t->ctx, s->ssl_min, s->ssl_max, s->ciphers, err) || !tls_server_ca(t->ctx, s, err) ||
	    (s->crt && !tls_load_cert(t->ctx, s->crt, err)))
		goto fail;
	if (s->alpn && (!tls_alpn_wire(s->alpn, alpn, sizeof(alpn), &n, err) || SSL_CTX_set_alpn_protos(t->ctx, alpn, n)))
		goto fail;
	return t;
fail:
	tls_server_put(t);
	return NULL;
}

void tls_server_put(struct tls_server *t)
{
	if (!t || __atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL))
		return;
	SSL_CTX_free(t->ctx);
	free(t);
}
