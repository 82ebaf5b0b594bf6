/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * ctx.h - all that samples, ACLs and rules may look at
 *
 * Policy is fed through this struct, never with a flow or a stream: l3 fills
 * it from a held packet, l7 from a stream, a test from literals. What is not
 * known in a place is NULL; what is not known *yet* makes samples answer
 * SMP_WAIT as long as the matching *_final flag is false.
 */
#ifndef STANDIN_POLICY_CTX_H
#define STANDIN_POLICY_CTX_H

#include "core/net.h"
#include "core/pool.h"
#include "proto/http.h"
#include "proto/tls_hello.h"

struct worker;
struct epoch;

struct policy_ctx {
	struct worker *w;          /* NULL in tests of pure expressions */
	const struct epoch *ep;

	/* layer 4 */
	const struct addr *src, *dst; /* client's, and what it connected to */
	const char *in_if;            /* interface name, or NULL */
	const char *fe_name, *be_name, *srv_name; /* or NULL */

	/* layer 6: bytes seen so far and not yet passed on, contiguous */
	struct str req_payload, res_payload;
	bool req_final, res_final;    /* no more bytes will be waited for */
	const char *ssl_sni;          /* SNI of a TLS session of ours (ssl_fc_sni), or NULL */
	bool ssl_fc;                  /* the client side is TLS of ours */

	/* layer 7: parsed heads; NULL when there is none (yet) */
	struct http_head *req, *res;

	/* scratch for results that are not views; reset by whoever owns the context */
	struct arena *tmp;

	/* the layer that runs the rules: what its own actions and fetches act on. Policy never looks. */
	void *owner;
	const struct lf_source *lf;   /* log-format fields of the layer, or NULL */

	/* policy's own cache of what it parsed from req_payload; zero it when the payload changes */
	struct {
		size_t len;               /* payload length it was made from */
		int8_t hello;             /* 0 not tried, 1 parsed, 2 wait, 3 not TLS */
		int8_t http;              /* the same for an HTTP head found in the payload */
		struct tls_hello *tls;    /* in tmp */
		struct http_head *head;   /* in tmp */
	} cache;
};

#endif
