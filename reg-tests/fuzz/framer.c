/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * framer.c - fuzz target: the turns of a forwarded connection
 *
 * Input: records of a byte, whose low 7 bits are a length and whose top bit says "from the server", and that many bytes.
 * A caller runs the framer as l3/framer.h describes, all turns being watched, twice: with the segments as given, and
 * with the client's cut into single bytes. What must hold: both see the same turns at the same bytes and end in the
 * same state; every byte passes once, or is held, or comes after framing was lost.
 */
#include "l3/framer.h"
#include "lib/fuzz.h"

#define MAX_BYTES 2048
#define MAX_TURNS 512

struct caller {
	struct framer fr;
	char held[MAX_BYTES];
	size_t nb_held;
	size_t passed;            /* bytes that went on */
	size_t turn[MAX_TURNS];   /* where turns began, shifted left; low bit: a request */
	size_t nb_turns;
};

static void note_turn(struct caller *c, bool request)
{
	if (c->nb_turns < MAX_TURNS)
		c->turn[c->nb_turns++] = c->passed << 1 | request;
}

/* false: framing is lost */
static bool judge(struct caller *c)
{
	while (c->nb_held) {
		char *m = fuzz_dup(c->held, c->nb_held);
		enum framer_look look = framer_look(&c->fr, m, c->nb_held, NULL);
		ssize_t off = 0;

		if (look == FRAMER_REQUEST || look == FRAMER_OPAQUE) {
			note_turn(c, look == FRAMER_REQUEST);
			off = framer_feed(&c->fr, m, c->nb_held);
			CHECK(off != 0);
		}
		free(m);
		if (look == FRAMER_LOST || off < 0)
			return false;
		if (look == FRAMER_MORE)
			return true;
		CHECK((size_t)off <= c->nb_held);
		c->passed += (size_t)off;
		c->nb_held -= (size_t)off;
		memmove(c->held, c->held + off, c->nb_held);
	}
	return true;
}

static bool client(struct caller *c, const char *p, size_t n)
{
	ssize_t off = 0;

	if (!c->nb_held) {
		char *m = fuzz_dup(p, n);
		bool blind = framer_blind(&c->fr) >= n;

		off = framer_feed(&c->fr, blind ? NULL : m, n);
		free(m);
		if (off < 0)
			return false;
		CHECK((size_t)off <= n);
		CHECK((size_t)off == n || framer_in_turn(&c->fr));
		c->passed += (size_t)off;
	}
	memcpy(c->held + c->nb_held, p + off, n - (size_t)off);
	c->nb_held += n - (size_t)off;
	return judge(c);
}

/* Puts a framer that is at rest away, and takes it out again. */
static void rest(struct caller *c, bool wanted)
{
	uint8_t at = wanted ? framer_rest(&c->fr) : 0;

	if (at)
		framer_wake(&c->fr, at);
}

/* Runs the script; client segments in pieces of at most <step>. <rests>: the framer is put away wherever it can be. */
static void run(struct caller *c, const uint8_t *p, size_t n, size_t step, bool rests)
{
	memset(c, 0, sizeof(*c));
	framer_init(&c->fr);
	for (size_t i = 0, len; i < n; i += len) {
		bool server = p[i] & 0x80;

		len = MIN(p[i] & 0x7fu, n - i - 1);
		i++;
		if (server) {
			/* while a turn is held, how long it is held depends on the cuts */
			if (!c->nb_held)
				framer_server(&c->fr, (const char *)p + i, len, len);
			rest(c, rests);
			continue;
		}
		for (size_t off = 0; off < len; off += step) {
			if (!client(c, (const char *)p + i + off, MIN(step, len - off))) {
				CHECK(c->fr.state == FRAMER_ST_LOST && c->fr.why != FRAMER_WHY_NONE);
				CHECK(framer_feed(&c->fr, "x", 1) == -1);
				return;
			}
			rest(c, rests);
		}
	}
	CHECK(c->fr.state != FRAMER_ST_LOST);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct caller whole, cut;

	if (n > MAX_BYTES)
		return 0;
	run(&whole, p, n, MAX_BYTES, false);
	run(&cut, p, n, 1, true);
	CHECK(whole.nb_turns == cut.nb_turns);
	CHECK(memcmp(whole.turn, cut.turn, whole.nb_turns * sizeof(*whole.turn)) == 0);
	CHECK(whole.fr.state == cut.fr.state && whole.fr.why == cut.fr.why && whole.fr.err == cut.fr.err);
	CHECK(whole.fr.state == FRAMER_ST_LOST || (whole.passed == cut.passed && whole.nb_held == cut.nb_held));
	return 0;
}
