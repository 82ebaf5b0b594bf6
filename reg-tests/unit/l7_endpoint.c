/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_endpoint.c - app@ servers: waiting, suspicion, replay, and ends that must not look clean
 */
#include "l7_test.h"

#define BASE "defaults\n timeout client 2s\n timeout server 2s\n timeout connect 500ms\n timeout queue 300ms\n"
#define HTTP BASE "frontend fe\n mode http\n bind 127.0.0.1:%u\n default_backend be\n"                      \
		  "backend be\n mode http\n server s1 app@web\n"
#define TCP BASE "listen fe\n mode tcp\n bind 127.0.0.1:%u\n server s1 app@web\n"

/* an application named web exists in every configuration here */
static struct cfg_object web = { .kind = "app", .name = "web", .file = "test", .line = 1 };
static struct cfg_module web_module;

static void *web_create(struct epoch *ep)
{
	return &web_module;
}

static void web_resolve(struct epoch *ep, struct diag *d)
{
	list_init(&web.node);
	epoch_add_object(ep, &web, d);
}

static struct cfg_module web_module = { .name = "test", .order = 1, .create = web_create, .resolve = web_resolve };

INITCALL web_register(void)
{
	cfg_module_register(&web_module);
}

static struct endpoint *ep;
static struct addr fe_addr, inst[2];
static int lfd[2], client;

static void start(const char *fmt)
{
	char cfg[1024];
	int probe = lt_listen(&fe_addr);

	close(probe);
	snprintf(cfg, sizeof(cfg), fmt, fe_addr.port);
	lt_start(cfg);
	ep = endpoint_get(&lt_w, "web");
	for (int i = 0; i < 2; i++)
		lfd[i] = lt_listen(&inst[i]);
	client = lt_connect(&fe_addr);
}

static void publish(int i)
{
	endpoint_publish(&lt_w, ep, i < 0 ? ENDPOINT_DOWN : ENDPOINT_UP, i < 0 ? NULL : &inst[i]);
}

static void done(void)
{
	close(client);
	close(lfd[0]);
	close(lfd[1]);
	lt_run(20);
	endpoint_put(&lt_w, ep);
	lt_stop();
}

static struct server *srv(void)
{
	struct proxy *px = proxy_find(lt_w.l7, PX_CAP_BE, "be");

	if (!px)
		px = proxy_find(lt_w.l7, PX_CAP_BE, "fe");
	return server_find(px, "s1");
}

Test(l7_endpoint, a_request_waits_for_an_endpoint_to_come_up)
{
	int fd;

	start(HTTP);
	lt_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_run(50);
	cr_assert_eq(srv()->px->nb_queue, 1);
	publish(0);
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "GET /");
	lt_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	lt_expect(client, "hi");
	close(fd);
	done();
}

Test(l7_endpoint, and_not_longer_than_timeout_queue)
{
	start(HTTP);
	lt_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(client, "503 Service Unavailable");
	done();
}

Test(l7_endpoint, a_request_in_flight_survives_the_death_of_its_server_and_costs_no_retry)
{
	int fd;

	start(HTTP);
	publish(0);
	lt_send(client, "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "body");
	close(fd);
	lt_run(15); /* the socket died, nobody has told why */
	publish(-1);
	lt_run(5);
	publish(1);
	fd = lt_accept(lfd[1]);
	cr_assert(fd >= 0);
	lt_expect(fd, "Content-Length: 4\r\n\r\nbody");
	lt_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	lt_expect(client, "ok");
	cr_assert_eq(srv()->c.retries, 0);
	cr_assert_geq(srv()->c.suspects, 1);
	/* and the connection goes on */
	lt_send(client, "GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(fd, "GET /y");
	close(fd);
	done();
}

Test(l7_endpoint, a_failed_connect_is_a_suspicion_too)
{
	int fd;

	start(HTTP);
	publish(0);
	close(lfd[0]);
	lfd[0] = -1;
	lt_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_run(20);
	publish(1);
	fd = lt_accept(lfd[1]);
	cr_assert(fd >= 0);
	lt_expect(fd, "GET /");
	cr_assert_eq(srv()->c.retries, 0);
	close(fd);
	done();
}

Test(l7_endpoint, without_word_in_50_ms_the_failure_stands)
{
	uint64_t before;
	int fd;

	start(HTTP);
	publish(0);
	lt_send(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "POST /");
	before = clock_us();
	close(fd);
	lt_expect(client, "502 Bad Gateway");
	cr_assert_geq(clock_us() - before, 45000);
	cr_assert_leq(clock_us() - before, 500000);
	done();
}

Test(l7_endpoint, an_idle_connection_survives_the_death_of_its_server)
{
	int fd;

	start(HTTP);
	publish(0);
	lt_send(client, "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "GET /1");
	lt_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n11");
	lt_expect(client, "11");
	close(fd);
	lt_run(10);
	publish(1);
	lt_send(client, "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	fd = lt_accept(lfd[1]);
	lt_expect(fd, "GET /2");
	lt_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n22");
	lt_expect(client, "22");
	close(fd);
	done();
}

Test(l7_endpoint, a_close_delimited_body_of_a_dead_generation_ends_in_a_reset)
{
	int fd;

	start(HTTP);
	publish(0);
	lt_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "GET /");
	lt_send(fd, "HTTP/1.1 200 OK\r\n\r\nhalf");
	lt_expect(client, "half");
	close(fd);
	lt_run(15);
	publish(1);
	cr_assert_not_null(strstr(lt_read(client, NULL), "<RST>"));
	done();
}

Test(l7_endpoint, and_of_a_living_one_in_a_clean_end)
{
	int fd;

	start(HTTP);
	publish(0);
	lt_send(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "GET /");
	lt_send(fd, "HTTP/1.1 200 OK\r\n\r\nall");
	close(fd);
	lt_expect(client, "all<EOF>");
	done();
}

Test(l7_endpoint, a_tcp_stream_cut_by_a_death_is_reset_and_one_that_ended_is_not)
{
	int fd;

	start(TCP);
	publish(0);
	lt_send(client, "a");
	fd = lt_accept(lfd[0]);
	lt_expect(fd, "a");
	lt_send(fd, "b");
	lt_expect(client, "b");
	close(fd);
	lt_run(15);
	publish(1);
	cr_assert_not_null(strstr(lt_read(client, NULL), "<RST>"));
	close(client);
	client = lt_connect(&fe_addr);
	lt_send(client, "c");
	fd = lt_accept(lfd[1]);
	lt_expect(fd, "c");
	shutdown(fd, SHUT_WR);
	lt_expect(client, "<EOF>");
	close(fd);
	done();
}

Test(l7_endpoint, failover_under_many_waiting_requests_serves_them_all)
{
	int c[40], fd;

	start(HTTP);
	for (int i = 0; i < 40; i++) {
		c[i] = lt_connect(&fe_addr);
		lt_send(c[i], "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	}
	lt_run(30);
	publish(0);
	for (int i = 0; i < 40; i++) {
		fd = lt_accept(lfd[0]);
		cr_assert(fd >= 0);
		lt_expect(fd, "\r\n\r\n");
		lt_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		close(fd);
	}
	for (int i = 0; i < 40; i++) {
		lt_expect(c[i], "200 OK");
		close(c[i]);
	}
	done();
}
