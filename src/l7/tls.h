/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls.h - TLS contexts made from configuration, and TLS on a conn
 *
 * Contexts are made while an epoch is built (on the helper thread: they read
 * files) and counted: a connection keeps what it uses. The rest is in the loop.
 */
#ifndef STANDIN_L7_TLS_H
#define STANDIN_L7_TLS_H

#include "core/str.h"
#include "l7/conn.h"

struct bind_cfg;
struct srv_cfg;
struct tls_bind;   /* certificates of one bind line */
struct tls_server; /* settings of one server line */

unsigned tls_version_parse(const char *word); /* "TLSv1.2" -> OpenSSL's number; 0: unknown */

/* NULL with *err (malloc'd text). */
struct tls_bind *tls_bind_new(const struct bind_cfg *b, char **err);
struct tls_bind *tls_bind_get(struct tls_bind *t);
void tls_bind_put(struct tls_bind *t); /* NULL is fine */
struct tls_server *tls_server_new(const struct srv_cfg *s, char **err);
void tls_server_put(struct tls_server *t);

/* Puts TLS on an attached conn; the handshake starts with conn->ops->handshake(). 0 or -ENOMEM. */
int conn_tls_accept(struct conn *c, struct tls_bind *t);
/* <sni> and <verify_host> may be NULL. */
int conn_tls_connect(struct conn *c, struct tls_server *t, const char *sni, const char *verify_host);
/* After the handshake. Pointers live as long as the conn. */
const char *conn_tls_sni(const struct conn *c);     /* what the client asked for, or NULL */
const char *conn_tls_version(const struct conn *c);
const char *conn_tls_cipher(const struct conn *c);
bool conn_tls_resumed(const struct conn *c);

#endif
