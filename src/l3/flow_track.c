/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow_track.c - what stick tables count of a flow
 *
 * A flow's extension holds one pointer, NULL until a rule tracks something. What it
 * points to is shared with the stream that the flow is promoted into: a connection
 * is counted once, however often it changes between L3 and L7.
 *
 *   connection   when the rule tracks it: at the SYN, or at a turn
 *   session      when the connection rules let it pass
 *   request      when a turn is judged whose head the framer reads; a turn that is judged again is
 *                counted once, and L7 does not count the request that it was promoted with
 *   bytes        at each turn that is judged, and at the end: as far as they were queued to us, or carried
 *                by pseudo sockets. What the kernel forwards alone is not seen
 *   its end      when the flow's log line is written: conn_cur falls. An offloaded flow's end is told by
 *                the tracker
 */
#include "core/worker.h"
#include "l3/l3.h"
#include "policy/sticktable.h"

void l3_track_session(struct flow *f)
{
	stk_tracks_event(flow_tracks(f), STK_EV_SESSION);
}

void l3_track_bytes(struct flow *f)
{
	struct stk_tracks *tr = flow_tracks(f);
	uint64_t bytes[2];

	if (!tr)
		return;
	l3_flow_bytes(f, bytes);
	/* pseudo sockets may be made anew, and count from 0, between two looks */
	stk_tracks_bytes(tr, bytes[0] - MIN(tr->bytes[0], bytes[0]), bytes[1] - MIN(tr->bytes[1], bytes[1]), false);
	tr->bytes[0] = bytes[0];
	tr->bytes[1] = bytes[1];
}

void l3_track_request(struct flow *f)
{
	struct stk_tracks *tr = flow_tracks(f);

	if (!tr || tr->req_counted)
		return;
	l3_track_bytes(f);
	stk_tracks_end_request(tr);
	stk_tracks_request(tr);
	stk_tracks_counted(tr, true);
}

bool l3_track_wants_requests(const struct flow *f)
{
	return stk_tracks_count_requests(flow_tracks(f));
}

void l3_track_requested(struct flow *f)
{
	stk_tracks_counted(flow_tracks(f), true);
}

void l3_track_turn_over(struct flow *f)
{
	struct stk_tracks *tr = flow_tracks(f);

	if (!tr)
		return;
	l3_track_bytes(f);
	stk_tracks_counted(tr, false);
	tr->judged = NULL;
}

void l3_track_take(struct flow *f, struct stk_tracks **tr)
{
	if (flow_tracks(f) || !*tr || !flow_ext(f)) {
		stk_tracks_put(tr); /* the same, as a rule */
		return;
	}
	f->ext->tracks = *tr;
	*tr = NULL;
	l3_flow_bytes(f, f->ext->tracks->bytes);
}

void l3_track_end(struct flow *f)
{
	if (!flow_tracks(f))
		return;
	l3_track_bytes(f);
	stk_tracks_put(&f->ext->tracks);
	flow_ext_trim(f);
}
