/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * core_worker.c - the loop: tasks, helper thread, endpoints, probes
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <pthread.h>
#include <unistd.h>

#include "core/clock.h"
#include "core/endpoint.h"
#include "core/helper.h"
#include "core/probe.h"
#include "core/worker.h"

/* ---- tasks ---- */

struct step {
	struct task task;
	int *order, id, again;
};

static int steps_run;

static void step_run(struct worker *w, struct task *t)
{
	struct step *s = container_of(t, struct step, task);

	s->order[steps_run++] = s->id;
	if (s->again-- > 0)
		task_queue(w, t);
	else if (s->id == 9)
		worker_stop(w, 3);
}

Test(task, run_once_each_in_the_order_asked)
{
	struct worker w;
	int order[8] = { 0 };
	struct step a = { .order = order, .id = 1 }, b = { .order = order, .id = 9 };

	cr_assert_eq(worker_init(&w), 0);
	task_init(&a.task, step_run);
	task_init(&b.task, step_run);
	task_queue(&w, &a.task);
	task_queue(&w, &b.task);
	task_queue(&w, &a.task);
	cr_assert_eq(worker_run(&w), 3);
	cr_assert_eq(steps_run, 2);
	cr_assert_eq(order[0], 1);
	cr_assert_eq(order[1], 9);
	worker_destroy(&w);
}

Test(task, asked_for_by_a_task_runs_in_the_next_cycle_without_sleeping)
{
	struct worker w;
	int order[8] = { 0 };
	struct step a = { .order = order, .id = 9, .again = 2 };

	cr_assert_eq(worker_init(&w), 0);
	task_init(&a.task, step_run);
	task_queue(&w, &a.task);
	worker_run(&w); /* would sleep for ever */
	cr_assert_eq(steps_run, 3);
	cr_assert_geq(w.loop_lag_us.count, 3, "a cycle each");
	worker_destroy(&w);
}

Test(task, cancelled_does_not_run)
{
	struct worker w;
	int order[8] = { 0 };
	struct step a = { .order = order, .id = 1 }, b = { .order = order, .id = 9 };

	cr_assert_eq(worker_init(&w), 0);
	task_init(&a.task, step_run);
	task_init(&b.task, step_run);
	task_queue(&w, &a.task);
	task_queue(&w, &b.task);
	task_cancel(&a.task);
	task_cancel(&a.task);
	worker_run(&w);
	cr_assert_eq(order[0], 9);
	worker_destroy(&w);
}

Test(worker, stopped_before_it_runs_does_not_run)
{
	struct worker w;

	cr_assert_eq(worker_init(&w), 0);
	cr_assert_gt(clock_ms(&w), 0);
	worker_stop(&w, 7);
	cr_assert_eq(worker_run(&w), 7);
	worker_destroy(&w);
}

/* ---- helper thread ---- */

struct job {
	struct helper_job job;
	pthread_t ran_on;
	int id, *seen, resubmit;
	struct worker *w;
};

static int jobs_done;

static void job_run(struct helper_job *hj)
{
	struct job *j = container_of(hj, struct job, job);

	j->ran_on = pthread_self();
}

static void job_done(struct worker *w, struct helper_job *hj)
{
	struct job *j = container_of(hj, struct job, job);

	cr_assert_not(pthread_equal(j->ran_on, pthread_self()));
	j->seen[jobs_done++] = j->id;
	if (j->resubmit-- > 0)
		helper_submit(w, hj);
	else if (j->id == 9)
		worker_stop(w, 0);
}

Test(helper, runs_jobs_on_its_thread_and_reports_in_order)
{
	struct worker w;
	int seen[8] = { 0 };
	struct job a = { .id = 1, .seen = seen }, b = { .id = 9, .seen = seen };

	cr_assert_eq(worker_init(&w), 0);
	a.job.run = b.job.run = job_run;
	a.job.done = b.job.done = job_done;
	helper_submit(&w, &a.job);
	helper_submit(&w, &b.job);
	cr_assert_eq(helper_pending(&w), 2);
	worker_run(&w);
	cr_assert_eq(helper_pending(&w), 0);
	cr_assert_eq(seen[0], 1);
	cr_assert_eq(seen[1], 9);
	worker_destroy(&w);
}

Test(helper, a_job_can_be_waited_for_where_it_stands)
{
	struct worker w;
	int seen[8] = { 0 };
	struct job a = { .id = 1, .seen = seen }, b = { .id = 2, .seen = seen }, c = { .id = 3, .seen = seen };

	cr_assert_eq(worker_init(&w), 0);
	a.job.run = b.job.run = c.job.run = job_run;
	a.job.done = b.job.done = c.job.done = job_done;
	helper_submit(&w, &a.job);
	helper_submit(&w, &b.job);
	helper_submit(&w, &c.job);
	helper_finish(&w, &b.job);
	cr_assert_eq(seen[0], 2, "without a turn of the loop");
	cr_assert_eq(helper_pending(&w), 2);
	helper_finish(&w, &a.job); /* has run, was not collected */
	cr_assert_eq(seen[1], 1);
	worker_destroy(&w);
	cr_assert_eq(seen[2], 3, "the others as ever");
}

Test(helper, destroying_it_finishes_what_was_asked_even_by_done)
{
	struct worker w;
	int seen[8] = { 0 };
	struct job a = { .id = 1, .seen = seen, .resubmit = 2 };

	cr_assert_eq(worker_init(&w), 0);
	a.job.run = job_run;
	a.job.done = job_done;
	helper_submit(&w, &a.job);
	worker_destroy(&w);
	cr_assert_eq(jobs_done, 3);
}

/* ---- endpoints ---- */

struct watcher {
	struct endpoint_sub sub;
	int told;
	uint64_t generation;
	struct watcher *drop; /* unsubscribe this one when told */
	bool publish_again;
};

static void watcher_changed(struct worker *w, struct endpoint_sub *sub, struct endpoint *ep)
{
	struct watcher *me = container_of(sub, struct watcher, sub);

	me->told++;
	me->generation = ep->generation;
	if (me->drop)
		endpoint_unsubscribe(&me->drop->sub);
	if (me->publish_again) {
		me->publish_again = false;
		endpoint_publish(w, ep, ENDPOINT_DOWN, NULL);
	}
}

static void watch(struct watcher *x, struct endpoint *ep)
{
	*x = (struct watcher){ .sub.changed = watcher_changed };
	endpoint_subscribe(ep, &x->sub);
}

Test(endpoint, is_one_for_each_name_and_goes_with_its_last_user)
{
	struct worker w;
	struct endpoint *a, *b, *c;

	worker_init(&w);
	a = endpoint_get(&w, "web");
	b = endpoint_get(&w, "web");
	c = endpoint_get(&w, "db");
	cr_assert_eq(a, b);
	cr_assert_neq(a, c);
	cr_assert_eq(a->refs, 2);
	cr_assert_eq(a->state, ENDPOINT_DOWN);
	endpoint_put(&w, a);
	endpoint_put(&w, b);
	endpoint_put(&w, c);
	endpoint_put(&w, NULL);
	worker_destroy(&w);
}

Test(endpoint, tells_subscribers_who_may_leave_while_being_told)
{
	struct addr at = { .family = AF_INET, .port = 80 };
	struct watcher a, b, c;
	struct endpoint *ep;
	struct worker w;

	worker_init(&w);
	ep = endpoint_get(&w, "web");
	watch(&a, ep);
	watch(&b, ep);
	watch(&c, ep);
	a.drop = &b; /* another, not yet told */
	c.drop = &c; /* itself */
	endpoint_publish(&w, ep, ENDPOINT_UP, &at);
	cr_assert_eq(a.told, 1);
	cr_assert_eq(b.told, 0);
	cr_assert_eq(c.told, 1);
	cr_assert(ep->published && addr_eq(&ep->addr, &at));
	endpoint_publish(&w, ep, ENDPOINT_DOWN, NULL);
	cr_assert_eq(a.told, 2);
	cr_assert_eq(c.told, 1);
	cr_assert_not(addr_is_set(&ep->addr));
	endpoint_unsubscribe(&a.sub);
	endpoint_retire(&w, ep);
	cr_assert_not(ep->published);
	cr_assert_eq(ep->generation, 3);
	endpoint_put(&w, ep);
	worker_destroy(&w);
}

Test(endpoint, a_publication_from_inside_one_leaves_all_with_the_newest)
{
	struct watcher a, b;
	struct endpoint *ep;
	struct worker w;

	worker_init(&w);
	ep = endpoint_get(&w, "web");
	watch(&a, ep);
	watch(&b, ep);
	a.publish_again = true;
	endpoint_publish(&w, ep, ENDPOINT_UP, &(struct addr){ .family = AF_INET, .port = 1 });
	cr_assert_eq(a.generation, 2);
	cr_assert_eq(b.generation, 2);
	endpoint_unsubscribe(&a.sub);
	endpoint_unsubscribe(&b.sub);
	endpoint_put(&w, ep);
	worker_destroy(&w);
}

/* ---- probes ---- */

struct probing {
	struct worker w;
	struct probe p;
	enum probe_result res;
	int calls;
};

static void probing_done(struct probe *p, enum probe_result res)
{
	struct probing *x = container_of(p, struct probing, p);

	x->res = res;
	x->calls++;
	worker_stop(&x->w, 0);
}

static int listener(struct addr *a)
{
	struct sockaddr_storage ss;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	cr_assert_eq(addr_parse_ip(a, STR("127.0.0.1")), 0);
	cr_assert_eq(bind(fd, (struct sockaddr *)&ss, addr_to_sa(a, &ss)), 0);
	cr_assert_eq(listen(fd, 5), 0);
	cr_assert_eq(net_get_dst(fd, a), 0);
	return fd;
}

/* Answers one connection with <reply> and closes; NULL: says nothing and stays. */
struct answer {
	int fd;
	const char *reply;
	char request[1024];
};

static void *answer_thread(void *arg)
{
	struct answer *a = arg;
	int fd = accept(a->fd, NULL, NULL);
	ssize_t n = recv(fd, a->request, sizeof(a->request) - 1, 0);

	a->request[MAX(n, 0)] = '\0';
	/* one byte at a time: status lines come in pieces */
	for (const char *p = a->reply; p && *p; p++)
		if (send(fd, p, 1, MSG_NOSIGNAL) < 0)
			break;
	if (!a->reply)
		recv(fd, a->request, 1, 0);
	close(fd);
	return NULL;
}

static enum probe_result probe_http(const char *reply, struct probe_spec *spec, int *status, char *request)
{
	struct probing x = { 0 };
	struct answer a = { .reply = reply };
	pthread_t t;

	a.fd = listener(&spec->addr);
	spec->kind = PROBE_HTTP;
	if (!spec->timeout_ms)
		spec->timeout_ms = 2000;
	pthread_create(&t, NULL, answer_thread, &a);
	worker_init(&x.w);
	probe_init(&x.p, &x.w, probing_done);
	probe_start(&x.p, spec);
	worker_run(&x.w);
	pthread_join(t, NULL);
	cr_assert_eq(x.calls, 1);
	if (status)
		*status = x.p.status;
	if (request)
		strcpy(request, a.request);
	worker_destroy(&x.w);
	close(a.fd);
	return x.res;
}

Test(probe, tcp_needs_only_a_connection)
{
	struct probing x = { 0 };
	struct probe_spec spec = { .kind = PROBE_TCP, .timeout_ms = 1000 };
	int fd = listener(&spec.addr);

	worker_init(&x.w);
	probe_init(&x.p, &x.w, probing_done);
	probe_start(&x.p, &spec);
	cr_assert_eq(x.calls, 0, "never from inside probe_start()");
	worker_run(&x.w);
	cr_assert_eq(x.res, PROBE_OK);
	close(fd);
	x.w.ended = false;
	probe_start(&x.p, &spec); /* nobody listens there now */
	cr_assert_eq(x.calls, 1);
	worker_run(&x.w);
	cr_assert_eq(x.res, PROBE_REFUSED);
	cr_assert_eq(x.p.error, ECONNREFUSED);
	worker_destroy(&x.w);
}

Test(probe, http_reads_the_status)
{
	struct probe_spec spec = { .path = "/health", .host = "example.org" };
	char request[1024];
	int status;

	cr_assert_eq(probe_http("HTTP/1.1 204 No Content\r\n\r\n", &spec, &status, request), PROBE_OK);
	cr_assert_eq(status, 204);
	cr_assert_str_eq(request, "GET /health HTTP/1.1\r\nHost: example.org\r\nUser-Agent: standin-check\r\n"
				  "Connection: close\r\n\r\n");
	cr_assert_eq(probe_http("HTTP/1.0 200\n", &spec, &status, NULL), PROBE_OK);
	cr_assert_eq(probe_http("HTTP/1.1 503 x\r\n", &spec, &status, NULL), PROBE_BAD_STATUS);
	cr_assert_eq(status, 503);
	spec.status_min = 503;
	cr_assert_eq(probe_http("HTTP/1.1 503 x\r\n", &spec, NULL, NULL), PROBE_OK);
	cr_assert_eq(probe_http("HTTP/1.1 504 x\r\n", &spec, NULL, NULL), PROBE_BAD_STATUS);
}

Test(probe, http_tells_bad_answers_apart)
{
	struct probe_spec spec = { 0 };

	cr_assert_eq(probe_http("SSH-2.0-x\r\n", &spec, NULL, NULL), PROBE_BAD_REPLY);
	cr_assert_eq(probe_http("HTTP/1.1 20x OK\r\n", &spec, NULL, NULL), PROBE_BAD_REPLY);
	cr_assert_eq(probe_http("HTTP/1.1 2000 OK\r\n", &spec, NULL, NULL), PROBE_BAD_REPLY);
	cr_assert_eq(probe_http("HTTP/1.\n", &spec, NULL, NULL), PROBE_BAD_REPLY);
	cr_assert_eq(probe_http("HTTP/1.1 20", &spec, NULL, NULL), PROBE_CLOSED);
	cr_assert_eq(probe_http("", &spec, NULL, NULL), PROBE_CLOSED);
	spec.timeout_ms = 50;
	cr_assert_eq(probe_http(NULL, &spec, NULL, NULL), PROBE_TIMEOUT_RESPONSE);
}

Test(probe, cancelled_never_calls_back)
{
	struct probing x = { 0 };
	struct probe_spec spec = { .kind = PROBE_TCP, .timeout_ms = 20 };
	int fd = listener(&spec.addr);

	worker_init(&x.w);
	probe_init(&x.p, &x.w, probing_done);
	probe_start(&x.p, &spec);
	probe_cancel(&x.p);
	probe_cancel(&x.p);
	ev_run(x.w.loop, EVRUN_NOWAIT);
	cr_assert_eq(x.calls, 0);
	cr_assert_eq(x.p.fd, -1);
	worker_destroy(&x.w);
	close(fd);
}

Test(endpoint, the_generation_of_a_name_that_comes_back_does_not_go_back)
{
	struct endpoint *ep;
	struct worker w;

	worker_init(&w);
	ep = endpoint_get(&w, "web");
	endpoint_publish(&w, ep, ENDPOINT_UP, &(struct addr){ .family = AF_INET, .port = 1 });
	endpoint_put(&w, ep);
	ep = endpoint_get(&w, "web");
	cr_assert_eq(ep->generation, 1);
	endpoint_publish(&w, ep, ENDPOINT_UP, &(struct addr){ .family = AF_INET, .port = 2 });
	cr_assert_eq(ep->generation, 2);
	endpoint_put(&w, ep);
	worker_destroy(&w);
}
