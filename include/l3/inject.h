/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * inject.h - packets that the daemon sends itself, whole, through raw sockets
 *
 * Resets, the first half of a packet that a turn cuts in two, and header-only
 * copies for pseudo sockets. One raw socket per family; the mark travels as control data.
 */
#ifndef STANDIN_L3_INJECT_H
#define STANDIN_L3_INJECT_H

#include "core/compiler.h"
#include "l3/mark.h"

struct inject;

/* <mark_mask>: our bits. 0 or -errno (-EPERM). A family that the host does not have is left out. */
int inject_open(struct inject **out, uint32_t mark_mask);
void inject_close(struct inject **in);

/* <pkt>: an IPv4 or IPv6 packet with complete checksums. <foreign>: other people's mark bits. 0 or -errno;
 * -ENODEV without sockets (<in> NULL). To the real end the packet tells the connection its class, should the tracker
 * have forgotten it: or what follows would pass unseen. MARK_NONE: it is about no connection of ours. */
int inject_wire(struct inject *in, const void *pkt, uint32_t len, uint32_t foreign, enum mark_class cls); /* to the real end */
int inject_local(struct inject *in, const void *pkt, uint32_t len, uint32_t foreign); /* to the pseudo socket */

/* Tests: sees packets instead of the sockets. */
struct inject *inject_fake(void (*fn)(void *arg, bool local, const void *pkt, uint32_t len), void *arg);

#endif
