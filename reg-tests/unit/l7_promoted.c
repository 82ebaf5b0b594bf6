/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * l7_promoted.c - streams made of given sockets, and giving them back
 */
#include "l7_test.h"

#define BASE "defaults\n timeout client 1s\n timeout server 1s\n timeout connect 1s\n"
#define HTTP                                                                                                 \
	BASE "frontend fe\n mode http\n http-request set-header X-A b\n default_backend be\n"                  \
	     "backend be\n mode http\n option transparent\n"
#define TCP BASE "frontend fe\n mode tcp\n default_backend be\nbackend be\n mode tcp\n option transparent\n"

/* ends[0]: the client's, ends[1]: the server's own socket */
static int ends[2];
static struct promoted pro;
static struct stream *st;
static int told, over, over_fd[2];
static bool over_abort;

static void may_leave(struct stream *s, void *owner)
{
	cr_assert_eq(owner, &pro);
	told++;
}

static void ended(struct stream *s, void *owner, int fd[2], bool abort)
{
	over++;
	over_abort = abort;
	for (int i = 0; i < 2; i++) {
		over_fd[i] = fd[i];
		if (fd[i] >= 0)
			close(fd[i]);
	}
}

static const struct promoted_ops ops = { .may_leave = may_leave, .ended = ended };

static void promote(const char *cfg)
{
	struct cfg_object *fe;
	int c[2], v[2];

	lt_start(cfg);
	lt_pair(c);
	lt_pair(v);
	ends[0] = c[0];
	ends[1] = v[0];
	pro = (struct promoted){ .fd = { c[1], v[1] }, .ops = &ops, .owner = &pro };
	net_get_src(c[1], &pro.src);
	net_get_src(v[1], &pro.dst);
	fe = epoch_find(lt_w.epoch, "frontend", "fe");
	st = stream_promote(&lt_w, fe, &pro);
	cr_assert_not_null(st);
}

static void done(void)
{
	close(ends[0]);
	close(ends[1]);
	lt_run(20);
	lt_stop();
}

Test(l7_promoted, a_tcp_stream_relays_leaves_and_gives_both_sockets_back)
{
	struct stream_resume re;
	char b[8];

	promote(TCP);
	lt_send(ends[1], "220 hello");
	lt_expect(ends[0], "220 hello");
	lt_send(ends[0], "helo");
	lt_expect(ends[1], "helo");
	cr_assert_null(stream_leave_why(st));
	cr_assert_eq(stream_leave_ask(st, LEAVE_NOW), 0);
	lt_run(5);
	cr_assert_eq(told, 1);
	cr_assert(stream_quiet(st));
	stream_detach(st, &re);
	lt_run(5);
	cr_assert_eq(over, 0);
	cr_assert_eq(re.c2s, RESUME_TUNNEL);
	cr_assert(!re.http && re.bytes[0] == 4 && re.bytes[1] == 9);
	/* they work on */
	lt_send(ends[0], "x");
	usleep(1000);
	cr_assert_eq(recv(pro.fd[0], b, sizeof(b), 0), 1);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, an_http_stream_edits_requests_and_leaves_between_them)
{
	struct stream_resume re;

	promote(HTTP);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "GET /1 HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\r\n");
	cr_assert_eq(stream_leave_ask(st, LEAVE_NOW), 0);
	lt_run(5);
	cr_assert_eq(told, 0, "a response is awaited");
	cr_assert(!stream_quiet(st));
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	lt_expect(ends[0], "\r\n\r\nok");
	lt_run(5);
	cr_assert_eq(told, 1);
	/* another one comes before border acts: it is served, then the stream is quiet again */
	lt_send(ends[0], "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "X-A: b");
	cr_assert(!stream_quiet(st));
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	lt_expect(ends[0], "\r\n\r\n");
	lt_run(5);
	cr_assert(stream_quiet(st));
	cr_assert_eq(told, 1);
	stream_detach(st, &re);
	cr_assert(re.http);
	cr_assert_eq(re.c2s, RESUME_IDLE);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, after_a_request_means_before_its_response)
{
	struct stream_resume re;

	promote(HTTP);
	cr_assert_eq(stream_leave_ask(st, LEAVE_AFTER_REQUEST), 0);
	lt_run(5);
	/* between requests is a place too: take it back and ask again once a request is on its way */
	stream_leave_cancel(st);
	told = 0;
	lt_send(ends[0], "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
	lt_expect(ends[1], "abc");
	cr_assert_eq(stream_leave_ask(st, LEAVE_AFTER_REQUEST), 0);
	lt_run(5);
	cr_assert_eq(told, 0, "half of the body is missing");
	lt_send(ends[0], "def");
	lt_expect(ends[1], "def");
	lt_run(5);
	cr_assert_eq(told, 1);
	cr_assert(stream_quiet(st));
	stream_detach(st, &re);
	cr_assert_eq(re.c2s, RESUME_IDLE);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, a_response_body_may_be_left_in_its_middle)
{
	struct stream_resume re;

	promote(HTTP);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "X-A: b");
	cr_assert_eq(stream_leave_ask(st, LEAVE_AFTER_RESPONSE_HEAD), 0);
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin");
	lt_expect(ends[0], "begin");
	lt_run(5);
	cr_assert_eq(told, 1);
	cr_assert(stream_quiet(st));
	stream_detach(st, &re);
	cr_assert_eq(re.c2s, RESUME_IDLE);
	cr_assert_gt(re.bytes[1], 40);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, a_request_body_may_be_left_in_its_middle)
{
	struct stream_resume re;

	promote(HTTP);
	lt_send(ends[0], "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
	lt_expect(ends[1], "abc");
	cr_assert_eq(stream_leave_ask(st, LEAVE_NOW), 0);
	lt_run(5);
	cr_assert_eq(told, 1);
	cr_assert(stream_quiet(st));
	stream_detach(st, &re);
	cr_assert_eq(re.c2s, RESUME_REQ_BODY);
	cr_assert_eq(re.req.left, 7);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, a_tunnel_after_an_upgrade_may_be_left)
{
	struct stream_resume re;

	promote(HTTP);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
	lt_expect(ends[1], "X-A: b");
	cr_assert_eq(stream_leave_ask(st, LEAVE_AFTER_REQUEST), 0);
	lt_run(5);
	cr_assert_eq(told, 0, "whether a tunnel follows is not known yet");
	lt_send(ends[1], "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhi");
	lt_expect(ends[0], "\r\n\r\nhi");
	lt_run(5);
	cr_assert_eq(told, 1);
	stream_detach(st, &re);
	cr_assert_eq(re.c2s, RESUME_TUNNEL);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, the_end_of_either_end_ends_the_stream_and_both_sockets_go_back)
{
	promote(HTTP);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "X-A: b");
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	lt_expect(ends[0], "\r\n\r\n");
	shutdown(ends[1], SHUT_WR);
	lt_run(30);
	cr_assert_eq(over, 1);
	cr_assert(over_fd[0] >= 0 && over_fd[1] >= 0 && !over_abort);
	done();
}

Test(l7_promoted, a_client_that_resets_is_told_to_border)
{
	struct linger now = { 1, 0 };

	promote(TCP);
	lt_send(ends[0], "abc");
	lt_expect(ends[1], "abc");
	setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(ends[0]);
	ends[0] = -1;
	lt_run(30);
	cr_assert_eq(over, 1);
	cr_assert(over_abort);
	done();
}

Test(l7_promoted, another_backend_gets_a_connection_of_its_own)
{
	char cfg[1024];
	struct addr a;
	int lfd = lt_listen(&a), fd;

	snprintf(cfg, sizeof(cfg), BASE "frontend fe\n mode http\n default_backend be\nbackend be\n mode http\n"
		 " server s1 127.0.0.1:%u\n", a.port);
	promote(cfg);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	fd = lt_accept(lfd);
	cr_assert(fd >= 0);
	lt_expect(fd, "GET /1");
	cr_assert_str_eq(stream_leave_why(st), "server side is not the pseudo socket");
	cr_assert_eq(stream_leave_ask(st, LEAVE_NOW), -EOPNOTSUPP);
	lt_send(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	lt_expect(ends[0], "200 OK");
	close(ends[0]);
	ends[0] = -1;
	lt_run(30);
	cr_assert_eq(over, 1);
	cr_assert(over_fd[0] >= 0 && over_fd[1] == -1);
	close(fd);
	close(lfd);
	done();
}

Test(l7_promoted, a_killed_stream_aborts)
{
	promote(TCP);
	lt_run(5);
	stream_kill(st);
	cr_assert_eq(over, 1);
	cr_assert(over_abort);
	lt_run(5);
	done();
}

Test(l7_promoted, a_server_that_dies_before_an_answer_is_a_502_on_the_first_request)
{
	promote(HTTP);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "X-A: b");
	shutdown(ends[1], SHUT_WR);
	lt_expect(ends[0], "502 Bad Gateway");
	lt_run(10);
	done();
}

Test(l7_promoted, one_that_ends_a_kept_connection_is_passed_on_as_such)
{
	promote(HTTP);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "X-A: b");
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	lt_expect(ends[0], "\r\n\r\n");
	lt_send(ends[0], "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "GET /2");
	shutdown(ends[1], SHUT_WR);
	cr_assert_str_eq(lt_read(ends[0], NULL), "<EOF>");
	cr_assert(over == 1 && !over_abort);
	done();
}

Test(l7_promoted, no_place_is_said_with_an_error_and_the_sockets_stay_the_callers)
{
	struct cfg_object *fe;
	int c[2], v[2];

	lt_start(BASE "frontend fe\n maxconn 1\n default_backend be\nbackend be\n option transparent\n");
	fe = epoch_find(lt_w.epoch, "frontend", "fe");
	lt_pair(c);
	lt_pair(v);
	pro = (struct promoted){ .fd = { c[1], v[1] }, .ops = &ops, .owner = &pro };
	cr_assert_not_null(stream_promote(&lt_w, fe, &pro));
	cr_assert_null(stream_promote(&lt_w, fe, &pro));
	cr_assert_eq(errno, EBUSY);
	lt_w.stopping = true;
	cr_assert_null(stream_promote(&lt_w, fe, &pro));
	cr_assert_eq(errno, ESHUTDOWN);
	close(c[0]);
	close(v[0]);
	lt_run(20);
	cr_assert_eq(over, 1);
	lt_stop();
}

#define AUTO                                                                                                 \
	BASE " option auto-demote\n"                                                                           \
	     "frontend fe\n mode http\n default_backend be\n"                                                  \
	     "backend be\n mode http\n option transparent\n"

Test(l7_promoted, auto_demote_parks_a_keep_alive_connection_once_it_has_answered)
{
	promote(AUTO);
	lt_run(250);
	cr_assert_eq(told, 0, "its first request is still to come");
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "Host: a");
	lt_run(250);
	cr_assert_eq(told, 0, "an answer is awaited");
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	lt_expect(ends[0], "\r\n\r\nok");
	cr_assert_eq(told, 0, "the next request may be near");
	lt_run(250);
	cr_assert_eq(told, 1);
	cr_assert(stream_quiet(st));
	/* the wish was in vain: it is uttered again */
	stream_leave_cancel(st);
	lt_run(600);
	cr_assert_eq(told, 2);
	done();
}

Test(l7_promoted, auto_demote_leaves_the_rest_of_a_long_body_and_of_no_short_one)
{
	struct stream_resume re;

	promote(AUTO);
	lt_send(ends[0], "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "Host: a");
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nbegin");
	lt_expect(ends[0], "begin");
	lt_run(5);
	cr_assert_eq(told, 0);
	for (int i = 0; i < 8995; i += 5)
		lt_send(ends[1], "12345");
	lt_expect(ends[0], "12345");
	lt_send(ends[0], "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
	lt_expect(ends[1], "Host: a");
	lt_send(ends[1], "HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\nbegin");
	lt_expect(ends[0], "begin");
	lt_run(5);
	cr_assert_eq(told, 1);
	cr_assert(stream_quiet(st));
	stream_detach(st, &re);
	cr_assert_eq(re.c2s, RESUME_IDLE);
	close(pro.fd[0]);
	close(pro.fd[1]);
	done();
}

Test(l7_promoted, auto_demote_takes_a_tcp_stream_out_when_no_rule_waits_for_the_server)
{
	promote(BASE " option auto-demote\nfrontend fe\n default_backend be\nbackend be\n option transparent\n"
		     " tcp-response content accept\n");
	lt_send(ends[0], "helo");
	lt_expect(ends[1], "helo");
	lt_run(5);
	cr_assert_eq(told, 0, "a rule waits for the server's first bytes");
	lt_send(ends[1], "220 hello");
	lt_expect(ends[0], "220 hello");
	lt_run(5);
	cr_assert_eq(told, 1);
	done();
}
