/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_ends.c - ends of connections in mode tcp: one direction at a time, and how long that may last
 */
#include "l7_test.h"

static struct addr fe_addr, srv_addr;
static int lfd, client, server;

static void start(const char *timeouts)
{
	char cfg[512];
	int probe = lt_listen(&fe_addr);

	close(probe);
	lfd = lt_listen(&srv_addr);
	snprintf(cfg, sizeof(cfg), "listen fe\n mode tcp\n bind 127.0.0.1:%u\n%s server s1 127.0.0.1:%u\n", fe_addr.port,
		 timeouts, srv_addr.port);
	lt_start(cfg);
	client = lt_connect(&fe_addr);
	server = lt_accept(lfd);
	cr_assert(server >= 0);
}

static void done(void)
{
	close(client);
	close(server);
	close(lfd);
	lt_run(20);
	cr_assert_eq(lt_w.l7->nb_streams, 0);
	lt_stop();
}

#define LONG " timeout client 5s\n timeout server 5s\n timeout connect 1s\n"

Test(l7_ends, a_client_that_ended_its_half_still_gets_the_answer)
{
	start(LONG);
	lt_send(client, "question");
	shutdown(client, SHUT_WR);
	lt_expect(server, "question<EOF>");
	lt_send(server, "answer");
	lt_expect(client, "answer");
	close(server);
	server = -1;
	lt_expect(client, "<EOF>");
	done();
}

Test(l7_ends, and_a_server_that_did_still_gets_the_rest)
{
	start(LONG);
	lt_send(server, "bye");
	shutdown(server, SHUT_WR);
	lt_expect(client, "bye<EOF>");
	lt_send(client, "late");
	lt_expect(server, "late");
	done();
}

Test(l7_ends, a_half_closed_connection_lasts_as_long_as_timeout_server_fin)
{
	uint64_t before;

	start(LONG " timeout server-fin 100ms\n timeout client-fin 4s\n");
	before = clock_us();
	shutdown(client, SHUT_WR);
	lt_expect(server, "<EOF>");
	lt_expect(client, "<EOF>");
	cr_assert_geq(clock_us() - before, 90000);
	cr_assert_leq(clock_us() - before, 1500000);
	done();
}

Test(l7_ends, timeout_tunnel_replaces_those_of_both_sides)
{
	uint64_t before;

	start(" timeout client 50ms\n timeout server 50ms\n timeout connect 1s\n timeout tunnel 300ms\n");
	lt_send(client, "a");
	lt_expect(server, "a");
	before = clock_us();
	lt_expect(client, "<EOF>");
	cr_assert_geq(clock_us() - before, 250000);
	done();
}
