/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls.c - TLS on a conn (OpenSSL 3), straight on the descriptor
 *
 * Reading may have to write and the other way round (a key update, a slow
 * handshake): what the library waits for beyond what the owner waits for is put
 * into conn->also. A peer that just closes without close_notify counts as ended: HTTP has its own framing. For
 * what has none a server's connection notes it in conn->cut (RFC 9112 9.8); clients' connections cannot, because the
 * library would not let us answer on them any more.
 */
#include "l7/tls.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "l7/tls_priv.h"

#define TLS_COALESCE 16384 /* a head and a body that fit into one record go as one */

static void conn_tls_also(struct conn *c, int ev)
{
	c->also = (uint8_t)ev;
	conn_want(c, c->want);
}

/* The library's answer as ours. */
static int conn_tls_result(struct conn *c, int rc)
{
	int saved = errno;

	switch (SSL_get_error(c->ssl, rc)) {
	case SSL_ERROR_WANT_READ: return conn_tls_also(c, EV_READ), -EAGAIN;
	case SSL_ERROR_WANT_WRITE: return conn_tls_also(c, EV_WRITE), -EAGAIN;
	case SSL_ERROR_ZERO_RETURN: return 0;
	case SSL_ERROR_SYSCALL: return saved ? -saved : 0;
	case SSL_ERROR_SSL:
		c->cut = ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING;
		return c->cut && c->hs_done ? 0 : -EPROTO;
	default: return -EPROTO;
	}
}

static ssize_t conn_tls_recv(struct conn *c, void *p, size_t n)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_read(c->ssl, p, (int)MIN(n, (size_t)INT32_MAX));
	if (rc > 0) {
		c->also = 0;
		return rc;
	}
	rc = conn_tls_result(c, rc);
	if (c->also == EV_READ)
		c->also = 0; /* the owner knows whether it wants to read */
	return rc;
}

static ssize_t conn_tls_send(struct conn *c, const struct iovec *iov, int cnt)
{
	char one[TLS_COALESCE];
	const char *p = iov[0].iov_base;
	size_t n = iov[0].iov_len;
	int rc;

	if (cnt > 1 && iov[0].iov_len < sizeof(one)) {
		size_t more = MIN(iov[1].iov_len, sizeof(one) - n);

		memcpy(one, p, n);
		memcpy(one + n, iov[1].iov_base, more);
		p = one;
		n += more;
	}
	ERR_clear_error();
	errno = 0;
	rc = SSL_write(c->ssl, p, (int)MIN(n, (size_t)INT32_MAX));
	if (rc > 0) {
		c->also = 0;
		return rc;
	}
	rc = conn_tls_result(c, rc);
	return rc == 0 ? -EPIPE : rc;
}

static bool conn_tls_pending(const struct conn *c)
{
	return SSL_pending(c->ssl) > 0;
}

static void conn_tls_explain(struct conn *c, int rc)
{
	unsigned long e = ERR_peek_last_error();
	long verify = SSL_get_verify_result(c->ssl);

	if (!SSL_is_server(c->ssl) && verify != X509_V_OK)
		c->hs_err = X509_verify_cert_error_string(verify);
	else if (c->cut || rc == 0 || rc == -ECONNRESET || rc == -EPIPE)
		c->hs_err = "Connection closed during SSL handshake";
	else if (e && ERR_reason_error_string(e))
		c->hs_err = ERR_reason_error_string(e);
	else
		c->hs_err = "SSL handshake failure";
}

static int conn_tls_handshake(struct conn *c)
{
	int rc;

	ERR_clear_error();
	errno = 0;
	rc = SSL_do_handshake(c->ssl);
	if (rc == 1) {
		c->hs_done = true;
		c->also = 0;
		return 0;
	}
	rc = conn_tls_result(c, rc);
	if (rc == -EAGAIN)
		return rc;
	conn_tls_explain(c, rc);
	return rc ? rc : -ECONNRESET;
}

static void conn_tls_shut(struct conn *c)
{
	ERR_clear_error();
	if (c->hs_done && !(SSL_get_shutdown(c->ssl) & SSL_SENT_SHUTDOWN))
		SSL_shutdown(c->ssl);
}

static void conn_tls_release(struct conn *c)
{
	/* a session that ended without our close_notify may still be resumed */
	SSL_set_quiet_shutdown(c->ssl, 1);
	SSL_shutdown(c->ssl);
	SSL_free(c->ssl);
	c->ssl = NULL;
	ERR_clear_error();
}

const struct conn_ops conn_tls = {
	.name = "tls",
	.recv = conn_tls_recv,
	.send = conn_tls_send,
	.pending = conn_tls_pending,
	.handshake = conn_tls_handshake,
	.shut = conn_tls_shut,
	.release = conn_tls_release,
};

static int conn_tls_start(struct conn *c, SSL_CTX *ctx, bool server)
{
	SSL *ssl = SSL_new(ctx);

	if (!ssl || SSL_set_fd(ssl, c->fd) != 1) {
		SSL_free(ssl);
		return -ENOMEM;
	}
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	c->ssl = ssl;
	c->ops = &conn_tls;
	c->hs_done = false;
	return 0;
}

int conn_tls_accept(struct conn *c, struct tls_bind *t)
{
	return conn_tls_start(c, t->cert[0].ctx, true);
}

int conn_tls_connect(struct conn *c, struct tls_server *t, const char *sni, const char *verify_host)
{
	int rc = conn_tls_start(c, t->ctx, false);

	if (rc < 0)
		return rc;
	if (sni)
		SSL_set_tlsext_host_name(c->ssl, sni);
	if (t->verify && verify_host) {
		SSL_set_hostflags(c->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		if (SSL_set1_host(c->ssl, verify_host) != 1)
			return -ENOMEM;
	}
	return 0;
}

const char *conn_tls_sni(const struct conn *c)
{
	return c->ssl ? SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name) : NULL;
}

const char *conn_tls_version(const struct conn *c)
{
	return c->ssl ? SSL_get_version(c->ssl) : "-";
}

const char *conn_tls_cipher(const struct conn *c)
{
	const char *name = c->ssl ? SSL_get_cipher_name(c->ssl) : NULL;

	return name && strcmp(name, "(NONE)") != 0 ? name : "-";
}

bool conn_tls_resumed(const struct conn *c)
{
	return c->ssl && SSL_session_reused(c->ssl);
}
