/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * output.c - what an instance writes to stdout and stderr, line by line to the log
 *
 * A pipe of its own for each instance. Reading never stops, or the instance would
 * block on a full pipe; but only so many lines a second reach the log, what was
 * left out is counted and said. Long lines come in pieces, control characters as '?'.
 * The pipe lives until its last writer is gone, or the instance is freed.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "app_priv.h"
#include "core/clock.h"

#define OUTPUT_RATE  100 /* lines a second, for each instance */
#define OUTPUT_READS 8   /* of a buffer each, in one turn of the loop */

static void output_line(struct instance *in)
{
	struct output *o = &in->out;
	uint64_t now = clock_ms(in->w) / 1000;

	if (now != o->second) {
		if (o->suppressed)
			instance_log(in, LOG_WARNING, "output: %u lines left out", o->suppressed);
		o->second = now;
		o->lines = o->suppressed = 0;
	}
	if (o->len && o->lines++ < OUTPUT_RATE) {
		for (unsigned i = 0; i < o->len; i++)
			if ((unsigned char)o->line[i] < ' ' && o->line[i] != '\t')
				o->line[i] = '?';
		instance_log(in, LOG_INFO, "output: %.*s", (int)o->len, o->line);
	} else if (o->len) {
		o->suppressed++;
	}
	o->len = 0;
}

static void output_bytes(struct instance *in, const char *p, size_t n)
{
	struct output *o = &in->out;

	for (; n; p++, n--) {
		if (*p == '\n') {
			output_line(in);
			continue;
		}
		if (o->len == sizeof(o->line))
			output_line(in);
		o->line[o->len++] = *p;
	}
}

static void output_readable(struct ev_loop *loop, ev_io *io, int revents)
{
	struct instance *in = container_of(container_of(io, struct output, io), struct instance, out);
	char buf[4096];

	for (int i = 0; i < OUTPUT_READS; i++) {
		ssize_t n = read(in->out.fd, buf, sizeof(buf));

		if (n > 0) {
			output_bytes(in, buf, n);
			continue;
		}
		if (n == 0)
			output_close(in);
		return;
	}
}

int output_open(struct instance *in)
{
	struct output *o = &in->out;
	int p[2];

	if (pipe2(p, O_CLOEXEC))
		return -1;
	fcntl(p[0], F_SETFL, O_NONBLOCK); /* ours only: theirs is as programs expect */
	o->fd = p[0];
	ev_io_init(&o->io, output_readable, o->fd, EV_READ);
	ev_set_priority(&o->io, EV_MINPRI);
	ev_io_start(in->w->loop, &o->io);
	return p[1];
}

void output_close(struct instance *in)
{
	struct output *o = &in->out;

	if (o->fd < 0)
		return;
	if (o->len)
		output_line(in);
	ev_io_stop(in->w->loop, &o->io);
	close(o->fd);
	o->fd = -1;
}
