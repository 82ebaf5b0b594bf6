/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * httpka.c - several HTTP requests on exactly one connection
 *
 *   httpka [-H 'NAME: VALUE']... [-s NAME]... [-w MS] [-c MS] [-P] ADDR PORT [REQUEST]...
 *
 * curl opens another connection when it loses one; this does not: what happens
 * to the connection is the test. A request is PATH, or METHOD:PATH, or
 * METHOD:PATH:SIZE with a ramp of SIZE bytes as its body; without any, they
 * are read from stdin, one a line, each sent when it is read. For each
 * response one line:
 *
 *   n=1 path=/x status=200 bytes=12 sha256=... ms=3 gap_ms=0 name=value...
 *
 * ms runs from sending the request to the last byte, gap_ms is the longest time
 * without a byte meanwhile, name=value are the response headers asked for by
 * -s. The last line is "responses=N result=ok", or what happened instead.
 *
 *   -P     pipeline: send all requests at once, then read
 *   -w MS  wait between a response and the next request
 *   -c MS  send each request in pieces: after half of its head wait so long
 *   -T S   give up after S seconds without a byte (30)
 */
#include <openssl/evp.h>
#include <sys/time.h>

#include "tool_http.h"

#define MAX_HEADERS 16

struct request {
	char method[16], path[1024];
	uint64_t body;
};

static const char *extra[MAX_HEADERS], *shown[MAX_HEADERS];
static int nextra, nshown, pause_ms, cut_ms;
static const char *host;

static struct request request_parse(const char *text)
{
	struct request rq = { .method = "GET" };
	char size[32] = "";

	if (*text == '/')
		snprintf(rq.path, sizeof(rq.path), "%s", text);
	else if (sscanf(text, "%15[^:]:%1023[^:]:%31s", rq.method, rq.path, size) < 2)
		die("not a request: %s", text);
	if (*size)
		rq.body = parse_bytes(size);
	return rq;
}

static bool send_ramp(int fd, uint64_t len)
{
	uint8_t ramp[251 * 64];

	for (size_t i = 0; i < sizeof(ramp); i++)
		ramp[i] = i % 251;
	for (size_t n; len; len -= n) {
		n = len < sizeof(ramp) ? len : sizeof(ramp);
		if (!send_all(fd, ramp, n))
			return false;
	}
	return true;
}

static bool request_send(int fd, const struct request *rq)
{
	char head[8192];
	int len = snprintf(head, sizeof(head),
			   strchr(host, ':') ? "%s %s HTTP/1.1\r\nHost: [%s]\r\n"
					     : "%s %s HTTP/1.1\r\nHost: %s\r\n",
			   rq->method, rq->path, host);

	for (int i = 0; i < nextra; i++)
		len += snprintf(head + len, sizeof(head) - len, "%s\r\n", extra[i]);
	if (rq->body)
		len += snprintf(head + len, sizeof(head) - len, "Content-Length: %llu\r\n",
				(unsigned long long)rq->body);
	len += snprintf(head + len, sizeof(head) - len, "\r\n");
	if (cut_ms) {
		if (!send_all(fd, head, len / 2))
			return false;
		sleep_us(cut_ms * 1000LL);
		return send_all(fd, head + len / 2, len - len / 2) && send_ramp(fd, rq->body);
	}
	return send_all(fd, head, len) && send_ramp(fd, rq->body);
}

/* What came after the last response and belongs to the next one */
static char pending[65536];
static size_t pending_len;

static void hash_body(void *arg, const void *data, size_t len)
{
	EVP_DigestUpdate(arg, data, len);
}

/* NULL when the response is complete */
static const char *response_read(int fd, struct response *r, struct gap *gap)
{
	for (;;) {
		size_t used = response_feed(r, pending, pending_len);
		ssize_t n;

		memmove(pending, pending + used, pending_len - used);
		pending_len -= used;
		if (r->st == RESP_DONE)
			return NULL;
		if (r->st == RESP_BAD)
			return "bad-response";
		n = recv(fd, pending, sizeof(pending), 0);
		if (n == 0)
			return response_eof(r) ? NULL : r->head_len ? "cut-off" : "closed";
		if (n < 0)
			return errno == ECONNRESET ? "reset" : errno == EAGAIN ? "timeout" : strerror(errno);
		gap_mark(gap, now_us());
		pending_len = n;
	}
}

static void response_print(int n, const struct request *rq, const struct response *r, EVP_MD_CTX *sha,
			   int64_t begun, const struct gap *gap)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	char value[1024];
	unsigned len;

	EVP_DigestFinal_ex(sha, digest, &len);
	printf("n=%d path=%s status=%d bytes=%llu sha256=", n, rq->path, r->status,
	       (unsigned long long)r->body_len);
	for (unsigned i = 0; i < len; i++)
		printf("%02x", digest[i]);
	printf(" ms=%lld gap_ms=%lld", (long long)(now_us() - begun) / 1000,
	       (long long)gap->longest_us / 1000);
	for (int i = 0; i < nshown; i++)
		printf(" %s=%s", shown[i], response_header(r, shown[i], value, sizeof(value)));
	putchar('\n');
	fflush(stdout);
}

/* Reads the answer to the <n>th request, which was sent at <begun>. NULL, or what went wrong. */
static const char *answer(int fd, int n, const struct request *rq, int64_t begun)
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	static struct response r;
	struct gap gap = { .last_us = begun };
	const char *why;

	EVP_DigestInit_ex(sha, EVP_sha256(), NULL);
	r.body = hash_body;
	r.arg = sha;
	response_init(&r, !strcmp(rq->method, "HEAD"));
	why = response_read(fd, &r, &gap);
	if (!why)
		response_print(n, rq, &r, sha, begun, &gap);
	EVP_MD_CTX_free(sha);
	return why;
}

static const char *next_request(char **argv, int *i, char *line, size_t size)
{
	if (*argv)
		return argv[(*i)++];
	if (!fgets(line, size, stdin))
		return NULL;
	line[strcspn(line, "\n")] = '\0';
	return line;
}

static const char *one_by_one(int fd, char **argv, int *done)
{
	char line[2048];
	const char *text, *why;
	int i = 0;

	while ((text = next_request(argv, &i, line, sizeof(line)))) {
		struct request rq = request_parse(text);
		int64_t begun = now_us();

		if (*done)
			sleep_us(pause_ms * 1000LL);
		begun = now_us();
		if (!request_send(fd, &rq))
			return "reset-while-sending";
		why = answer(fd, *done + 1, &rq, begun);
		if (why)
			return why;
		++*done;
	}
	return NULL;
}

static const char *pipelined(int fd, char **argv, int *done)
{
	int64_t begun = now_us();
	const char *why;

	for (char **a = argv; *a; a++) {
		struct request rq = request_parse(*a);

		if (!request_send(fd, &rq))
			return "reset-while-sending";
	}
	for (char **a = argv; *a; a++, ++*done) {
		struct request rq = request_parse(*a);

		why = answer(fd, *done + 1, &rq, begun);
		if (why)
			return why;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct timeval tv = { 30, 0 };
	bool pipeline = false;
	const char *why;
	int opt, fd, done = 0;

	while ((opt = getopt(argc, argv, "+H:s:w:c:PT:")) != -1) {
		switch (opt) {
		case 'H':
			if (nextra < MAX_HEADERS)
				extra[nextra++] = optarg;
			break;
		case 's':
			if (nshown < MAX_HEADERS)
				shown[nshown++] = optarg;
			break;
		case 'w': pause_ms = atoi(optarg); break;
		case 'c': cut_ms = atoi(optarg); break;
		case 'P': pipeline = true; break;
		case 'T': tv.tv_sec = atoi(optarg); break;
		default: return EXIT_UNABLE;
		}
	}
	if (argc - optind < 2)
		die("usage: httpka [-H 'NAME: VALUE']... [-s NAME]... [-w MS] [-c MS] [-P] [-T S] ADDR PORT "
		    "[REQUEST]...");
	host = argv[optind];
	fd = dial(host, argv[optind + 1]);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	argv += optind + 2;
	why = (pipeline ? pipelined : one_by_one)(fd, argv, &done);
	printf("responses=%d result=%s\n", done, why ? why : "ok");
	close(fd);
	return why ? EXIT_WRONG : 0;
}
