/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * flow_filter.c - which flows `show flow` lists
 */
#include "l3/flow_filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cfg/cfg.h"
#include "l3/flow.h"
#include "l3/gateway.h"

/* ---- values ---- */

/* "<net>", "<net>:<port>", ":<port>"; an IPv6 network with a port stands in brackets. */
static int filter_end(struct flow_filter_end *e, const char *word)
{
	struct str s = str_c(word), net = s;
	const char *colon = strrchr(word, ':');
	bool bracket = word[0] == '[', has_port = colon && (bracket ? colon[-1] == ']' : strchr(word, ':') == colon);
	uint64_t port;

	if (colon == word)
		has_port = true;
	if (has_port) {
		if (str_to_uint(str_c(colon + 1), &port) < 0 || port == 0 || port > 65535)
			return -EINVAL;
		e->port = (uint16_t)port;
		net.n = (size_t)(colon - word);
	}
	if (net.n >= 2 && net.p[0] == '[' && net.p[net.n - 1] == ']')
		net = str_n(net.p + 1, net.n - 2);
	return net.n == 0 && has_port ? 0 : netmask_parse(&e->net, net);
}

static int filter_state(struct flow_filter *ff, const char *word)
{
	ff->state = cfg_word_index(flow_state_name, FLOW_ST_COUNT, word);
	return ff->state < 0 ? -EINVAL : 0;
}

static int filter_gateway(struct flow_filter *ff, const char *word)
{
	ff->gateway = word;
	return 0;
}

static int filter_frontend(struct flow_filter *ff, const char *word)
{
	ff->frontend = word;
	return 0;
}

static int filter_src(struct flow_filter *ff, const char *word)
{
	return filter_end(&ff->src, word);
}

static int filter_dst(struct flow_filter *ff, const char *word)
{
	return filter_end(&ff->dst, word);
}

static int filter_addr(struct flow_filter *ff, const char *word)
{
	return filter_end(&ff->any, word);
}

static int filter_older(struct flow_filter *ff, const char *word)
{
	return cfg_parse_time(word, &ff->older_ms) < 0 ? -EINVAL : 0;
}

static int filter_younger(struct flow_filter *ff, const char *word)
{
	return cfg_parse_time(word, &ff->younger_ms) < 0 ? -EINVAL : 0;
}

static const struct {
	const char *word;
	int (*parse)(struct flow_filter *ff, const char *value);
	const char *what;
} filter_words[] = {
	{ "state", filter_state, "a state (opening, watched, held, promoted, leaving, translated, offloaded, closing)" },
	{ "gateway", filter_gateway, "a name" },
	{ "frontend", filter_frontend, "a name" },
	{ "src", filter_src, "an address or a network, with or without :<port>" },
	{ "dst", filter_dst, "an address or a network, with or without :<port>" },
	{ "addr", filter_addr, "an address or a network, with or without :<port>" },
	{ "older", filter_older, "a time" },
	{ "younger", filter_younger, "a time" },
};

static int filter_one(struct flow_filter *ff, const char *word, const char *value, char **err)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(filter_words); i++) {
		if (strcmp(filter_words[i].word, word) != 0)
			continue;
		if (value && filter_words[i].parse(ff, value) == 0)
			return 0;
		if (asprintf(err, "'%s' expects %s%s%s%s", word, filter_words[i].what, value ? ", not '" : "", value ? value : "",
			     value ? "'" : "") < 0)
			*err = NULL;
		return -EINVAL;
	}
	if (asprintf(err, "unknown filter '%s'; there are " FLOW_FILTER_USAGE, word) < 0)
		*err = NULL;
	return -EINVAL;
}

int flow_filter_parse(struct flow_filter *ff, int argc, char **argv, char **err)
{
	int i;

	*ff = (struct flow_filter){ .state = -1 };
	for (i = 0; i < argc; i += 2)
		if (filter_one(ff, argv[i], i + 1 < argc ? argv[i + 1] : NULL, err) < 0)
			return -EINVAL;
	return 0;
}

/* ---- flows ---- */

static bool filter_end_match(const struct flow_filter_end *e, const struct addr *a)
{
	return (e->net.net.family == AF_UNSPEC || netmask_match(&e->net, a)) && (!e->port || e->port == a->port);
}

static bool filter_name_match(const char *want, const char *name)
{
	return !want || strcmp(want, name) == 0;
}

bool flow_filter_match(const struct flow_filter *ff, const struct flow *f, uint64_t now_ms)
{
	const struct addr *src = &f->side[FLOW_CLIENT], *dst = &f->side[FLOW_SERVER];
	uint64_t age = now_ms - f->created_ms;

	return (ff->state < 0 || ff->state == (int)flow_shown(f)) && filter_end_match(&ff->src, src) && filter_end_match(&ff->dst, dst) &&
	       (filter_end_match(&ff->any, src) || filter_end_match(&ff->any, dst)) &&
	       (!ff->older_ms || age >= ff->older_ms) && (!ff->younger_ms || age < ff->younger_ms) &&
	       filter_name_match(ff->gateway, f->gw->name) && filter_name_match(ff->frontend, flow_frontend(f) ? flow_frontend(f) : "-");
}
