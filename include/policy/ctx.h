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
struct rule;
struct stk_tracks;

struct policy_ctx {
	struct worker *w;          /* NULL in tests of pure expressions */
	const struct epoch *ep;

	/* layer 4 */
	const struct addr *src, *dst; /* client's, and what it connected to */
	const char *in_if;            /* interface name, or NULL */
	unsigned promotions;          /* of this connection so far: a gateway's rules */
	const char *fe_name, *be_name, *srv_name; /* or NULL */

	/* layer 6: bytes seen so far and not yet passed on, contiguous */
	struct str req_payload, res_payload;
	/* No more bytes will be waited for. True also where none ever come: at a SYN nothing may answer SMP_WAIT. */
	bool req_final, res_final;
	const char *ssl_sni;          /* SNI of a TLS session of ours (ssl_fc_sni), or NULL */
	bool ssl_fc;                  /* the client side is TLS of ours */

	/* layer 7: parsed heads; NULL when there is none (yet) */
	struct http_head *req, *res;
	/* what l7 keeps of the request once its head is gone: for rules on the response and logs */
	struct {
		bool known;
		uint8_t minor;
		enum http_meth meth;
	} sent;

	/* Stick tables (sticktable.h): the owner's pointer to what its connection tracks, which is NULL until a rule
	 * makes it. NULL: nothing can be tracked here. */
	struct stk_tracks **tracks;
	/* The rules were run for the same bytes before, up to <repeats_until> (NULL: all of them): what they count is
	 * counted. Or they are only asked what they would decide. */
	bool repeats;
	const struct rule *repeats_until;

	/* scratch for results that are not views; reset by whoever owns the context */
	struct arena *tmp;

	/* the layer that runs the rules: what its own actions and fetches act on. Policy never looks. */
	void *owner;
	const struct lf_source *lf;   /* log-format fields of the layer, or NULL */

	/* What policy itself parsed from the payloads; lives in <tmp>: zero it whenever <tmp> is reset. A payload
	 * that moved or grew is noticed. */
	struct {
		struct str req, res;      /* the bytes it was made from */
		int8_t hello;             /* enum policy_seen: a ClientHello in req */
		int8_t req_http, res_http; /* enum policy_seen: HTTP heads */
		struct tls_hello *tls;
		struct http_head *req_head, *res_head;
	} cache;
};

#endif
