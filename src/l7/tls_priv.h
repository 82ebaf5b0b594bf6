/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * tls_priv.h - what tls.c (connections) and tls_ctx.c (configuration) share
 */
#ifndef STANDIN_L7_TLS_PRIV_H
#define STANDIN_L7_TLS_PRIV_H

#include <openssl/ssl.h>

#include "core/compiler.h"

/* One certificate with its key, and the names it is for. */
struct tls_cert {
	SSL_CTX *ctx;   /* owns */
	char **names;   /* owns: lower case; "*.example.org" too */
	unsigned nb_names;
	char *file;     /* owns */
};

struct tls_bind {
	unsigned refs;  /* atomic: epochs on the helper thread, connections in the loop */
	struct tls_cert *cert; /* owns; [0] is the default */
	unsigned nb;
	bool strict;
	unsigned char alpn[256]; /* wire form */
	unsigned alpn_len;
};

struct tls_server {
	unsigned refs;
	SSL_CTX *ctx;
	bool verify;
};

#endif
