/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * A socket under TCP_REPAIR is bound to an address that is not ours, connects without sending anything, and
 * is established: src/border/repair.c makes pseudo sockets so.
 */
#include "plat.h"

static void show(const struct plat_wire *w, const char *name, const struct plat_repair *r)
{
	int fd = plat_repair_socket(r);

	plat_is(plat_tcp_state(fd) == PLAT_ESTABLISHED, "%s: established", name);
	plat_is(!plat_anything(w, 150), "%s: nothing was sent", name);
	plat_set(fd, TCP_REPAIR, 1);
	close(fd);
}

int main(void)
{
	struct plat_repair r4 = { .own = "192.0.2.7",
				  .own_port = 80,
				  .peer = "198.51.100.9",
				  .peer_port = 4000,
				  .snd = 1000,
				  .rcv = 2000,
				  .ts = true,
				  .tsval = 500 };
	struct plat_repair r6 = { .own = "2001:db8::7",
				  .own_port = 80,
				  .peer = "2001:db8:1::9",
				  .peer_port = 4000,
				  .snd = 0xffffffff,
				  .rcv = 0 };
	struct plat_wire w;
	struct sockaddr_storage own;
	socklen_t l;
	int fd, rc;

	plat_begin();
	w = plat_wire_up();
	show(&w, "IPv4", &r4);
	show(&w, "IPv6", &r6);

	fd = socket(AF_INET, SOCK_STREAM, 0);
	l = plat_sa(&own, r4.own, r4.own_port);
	plat_set(fd, TCP_REPAIR, 1);
	rc = bind(fd, (struct sockaddr *)&own, l);
	plat_is(rc < 0 && errno == EADDRNOTAVAIL, "without IP_TRANSPARENT a foreign address is refused");
	return plat_end();
}
