/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * Steering: texts without privileges, then the real thing in namespaces of its own: put in, taken out,
 * crashed, failed half way, and packets of a TCP connection that pass the queue as marks.md says. Root tests
 * skip otherwise.
 */
#include <criterion/criterion.h>
#include <linux/filter.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../platform/plat.h"
#include "l3/ct.h"
#include "l3/mark.h"
#include "l3/steer.h"
#include "l3/steer_priv.h"
#include "l3_pkt.h"

static char *err;

static struct steer_plan *plan_of(struct steer_gateway *gw, unsigned n)
{
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .route_table = 1000, .gw = gw, .nb_gw = n };
	struct steer_plan *p = steer_plan_make(&c, &err);

	cr_assert_not_null(p, "%s", err);
	return p;
}

static const struct steer_ports web[] = { { 80, 80 }, { 443, 443 }, { 8000, 8100 } };
static struct steer_match to_web = { .in = "c0", .out = "s0", .ports = web, .nb_ports = 3 };
static struct steer_match any;
static struct steer_gateway edge = {
	.name = "edge", .queue_first = 4, .queue_last = 7, .match = &to_web, .nb_match = 1
};

#define has(text, what) (strstr(text, what) != NULL)

Test(l3_steer, first_packets_are_described_by_their_match_line)
{
	struct steer_plan *p = plan_of(&edge, 1);
	const char *r = steer_plan_rules(p, AF_INET);

	cr_assert(has(r, "-A STANDIN_FWD -i c0 -o s0 -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -m "
			 "multiport --dports "
			 "80,443,8000:8100 -g STANDIN_NEW0\n"),
		  "%s", r);
	cr_assert(has(r, "-A STANDIN_FWD -i s0 -o c0 -p tcp -m multiport --sports "
			 "80,443,8000:8100 -g STANDIN_STRAY0\n"),
		  "replies of what the tracker forgot, and forged SYNs");
	cr_assert(has(r, "-A STANDIN_NEW0 -j CONNMARK --set-xmark 0x01000000/0x0f000000\n"
			 "-A STANDIN_NEW0 -j NFQUEUE --queue-balance 4:7 --queue-bypass\n"));
	cr_assert(has(r, "-A STANDIN_HARDQ -j NFQUEUE --queue-balance 4:7\n"), "hard: no bypass");
	cr_assert(has(steer_plan_rules(p, AF_INET6), "-p ipv6-icmp"));
	steer_plan_free(&p);
	cr_assert_null(p);
}

Test(l3_steer, on_failure_block_leaves_no_bypass)
{
	struct steer_gateway gw = edge;
	struct steer_plan *p;

	gw.block = true;
	gw.queue_last = gw.queue_first;
	p = plan_of(&gw, 1);
	cr_assert(has(steer_plan_rules(p, AF_INET),
		      "-A STANDIN_NEW0 -j CONNMARK --set-xmark 0x02000000/0x0f000000\n"
		      "-A STANDIN_NEW0 -j NFQUEUE --queue-num 4\n"));
	cr_assert(has(steer_plan_rules(p, AF_INET), "-A STANDIN_STRAY0 -j NFQUEUE --queue-num 4\n"));
	steer_plan_free(&p);
}

Test(l3_steer, more_ports_than_a_rule_takes_make_more_rules)
{
	struct steer_ports many[20];
	struct steer_match m = { .ports = many, .nb_ports = 20 };
	struct steer_gateway gw = { .name = "g", .match = &m, .nb_match = 1 };
	struct steer_plan *p;

	for (uint16_t i = 0; i < 20; i++)
		many[i] = (struct steer_ports){ (uint16_t)(100 * i + 1), (uint16_t)(100 * i + 1 + (i < 3)) };
	p = plan_of(&gw, 1);
	cr_assert(
	    has(steer_plan_rules(p, AF_INET),
		"--dports 1:2,101:102,201:202,301,401,501,601,701,801,901,1001,1101 -g STANDIN_NEW0\n"));
	cr_assert(has(steer_plan_rules(p, AF_INET),
		      "--dports 1201,1301,1401,1501,1601,1701,1801,1901 -g STANDIN_NEW0\n"));
	steer_plan_free(&p);
}

Test(l3_steer, a_match_of_one_family_makes_no_rules_of_the_other)
{
	struct steer_match m = { .in = "" };
	struct steer_gateway gw = { .name = "g", .match = &m, .nb_match = 1 };
	struct steer_plan *p;

	netmask_parse(&m.dst, STR("2001:db8::/32"));
	p = plan_of(&gw, 1);
	cr_assert_str_eq(steer_plan_rules(p, AF_INET), "");
	cr_assert(has(steer_plan_rules(p, AF_INET6), " -d 2001:db8::/32 "));
	steer_plan_free(&p);
	gw.nb_match = 0;
	p = plan_of(&gw, 1);
	cr_assert_str_eq(steer_plan_rules(p, AF_INET6), "", "without a match line nothing is steered");
	steer_plan_free(&p);
}

Test(l3_steer, with_several_gateways_the_original_tuple_chooses_the_queue)
{
	struct steer_match m = { .in = "" };
	struct steer_gateway gw[2] = {
		edge, { .name = "two", .queue_first = 9, .queue_last = 9, .match = &m, .nb_match = 1 }
	};
	struct steer_plan *p;
	const char *r;

	netmask_parse(&m.dst, STR("10.1.0.0/16"));
	p = plan_of(gw, 2);
	r = steer_plan_rules(p, AF_INET);
	cr_assert(has(r, "-A STANDIN_SOFTQ -p tcp -m conntrack --ctorigdstport 8000:8100 -j NFQUEUE "
			 "--queue-balance 4:7 --queue-bypass\n"));
	cr_assert(has(
	    r, "-A STANDIN_HARDQ -p tcp -m conntrack --ctorigdst 10.1.0.0/16 -j NFQUEUE --queue-num 9\n"));
	cr_assert(has(r, "-A STANDIN_HARDQ -j NFQUEUE --queue-balance 4:7\n"), "and something always does");
	steer_plan_free(&p);
}

Test(l3_steer, what_set_mark_sets_stays_with_a_connection_that_the_kernel_forwards_alone)
{
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .route_table = 7, .set_mask = 0xff, .gw = &edge, .nb_gw = 1 };
	struct steer_plan *p = steer_plan_make(&c, &err);
	const char *r = steer_plan_rules(p, AF_INET);

	cr_assert(has(r, "-A STANDIN_REQ -j CONNMARK --save-mark --nfmask 0x070000ff --ctmask 0x0f0000ff\n"));
	cr_assert(has(r, "-A STANDIN_PRE -m connmark --mark 0x03000000/0x03000000 -j CONNMARK --restore-mark --nfmask 0x000000ff "
			 "--ctmask 0x000000ff\n-A STANDIN_PRE -m connmark --mark 0x03000000/0x03000000 -j RETURN\n"));
	steer_plan_free(&p);
}

static struct steer_plan *narrow_plan(void)
{
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT, .route_table = 7, .gw = &edge, .nb_gw = 1, .narrow = true };

	return steer_plan_make(&c, &err);
}

Test(l3_steer, narrow_classes_pass_what_nobody_needs)
{
	struct steer_plan *p = narrow_plan();
	const char *r = steer_plan_rules(p, AF_INET);

	cr_assert(has(r, "-A STANDIN_PRE -m connmark --mark 0x03000000/0x07000000 -j RETURN\n"
			 "-A STANDIN_PRE -m connmark --mark 0x07000000/0x07000000 -g STANDIN_BULK\n"
			 "-A STANDIN_PRE -m connmark --mark 0x05000000/0x07000000 -g STANDIN_LEAN\n"));
	cr_assert(has(r, "-A STANDIN_BULK -p tcp -m conntrack --ctdir REPLY -m tcp --tcp-flags FIN,SYN,RST NONE -j RETURN\n"));
	cr_assert(has(r, "-A STANDIN_BULK -g STANDIN_SOFTQ\n") && has(r, "-A STANDIN_LEAN -g STANDIN_SOFTQ\n"));
	cr_assert(!has(r, "restore-mark"), "no set-mark");
	steer_plan_free(&p);
	p = plan_of(&edge, 1);
	cr_assert(!has(steer_plan_rules(p, AF_INET), "bpf"), "and without them the bpf match is not needed");
	steer_plan_free(&p);
}

/* The program in the rules for <family>, in a socket that keeps only what it says yes to. */
static void pure_ack_filter(int family, int fd[2])
{
	struct steer_plan *p = narrow_plan();
	const char *at = strstr(steer_plan_rules(p, family), "--bytecode \"");
	struct sock_filter code[64];
	struct sock_fprog prog = { .filter = code };
	char *end;

	cr_assert_not_null(at);
	prog.len = (unsigned short)strtoul(at + strlen("--bytecode \""), &end, 10);
	for (unsigned i = 0; i < prog.len; i++) {
		cr_assert_eq(*end, ',');
		code[i].code = (uint16_t)strtoul(end + 1, &end, 10);
		code[i].jt = (uint8_t)strtoul(end, &end, 10);
		code[i].jf = (uint8_t)strtoul(end, &end, 10);
		code[i].k = (uint32_t)strtoul(end, &end, 10);
	}
	cr_assert_eq(*end, '"');
	steer_plan_free(&p);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fd), 0);
	cr_assert_eq(setsockopt(fd[1], SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0, "the kernel's verifier takes it");
}

static bool pure_ack_says(int fd[2], const struct pkt *k)
{
	uint8_t buf[2048], got[2048];
	unsigned n = pkt_make(buf, k);

	cr_assert(send(fd[0], buf, n, 0) >= 0 || errno == EPERM);
	return recv(fd[1], got, sizeof(got), 0) == (ssize_t)n;
}

Test(l3_steer, what_only_acknowledges_is_told_from_all_else)
{
	static const char ts[] = "\x01\x01\x08\x0a\0\0\0\1\0\0\0\2";

	for (int v6 = 0; v6 < 2; v6++) {
		int fd[2];

		pure_ack_filter(v6 ? AF_INET6 : AF_INET, fd);
		for (int opt = 0; opt < 2; opt++) {
			struct pkt k = { .v6 = v6, .flags = SEG_ACK, .win = 7, .opt = ts, .opt_len = opt ? 12 : 0 };

			cr_expect(pure_ack_says(fd, &k));
			k.flags = SEG_ACK | SEG_PSH | SEG_ECE | SEG_CWR;
			cr_expect(pure_ack_says(fd, &k), "what says no more is no more");
			for (unsigned n = 1; n < 70; n++) {
				k.data_len = n;
				cr_expect_not(pure_ack_says(fd, &k), "%u bytes of payload", n);
			}
			k.data_len = 0;
			for (unsigned i = 0; i < 4; i++) {
				static const uint8_t flags[] = { SEG_SYN, SEG_FIN, SEG_RST, SEG_URG };

				k.flags = SEG_ACK | flags[i];
				cr_expect_not(pure_ack_says(fd, &k));
			}
		}
		close(fd[0]);
		close(fd[1]);
	}
}

Test(l3_steer, a_header_with_options_or_extensions_is_no_payload)
{
	struct pkt k = { .flags = SEG_ACK, .win = 7, .ip_opt = 8 };
	int fd[2];

	pure_ack_filter(AF_INET, fd);
	cr_expect(pure_ack_says(fd, &k));
	k.data_len = 1;
	cr_expect_not(pure_ack_says(fd, &k));
	k = (struct pkt){ .v6 = true, .flags = SEG_ACK, .ip_opt = 8 };
	pure_ack_filter(AF_INET6, fd);
	cr_expect_not(pure_ack_says(fd, &k), "who knows: it is queued");
}

Test(l3_steer, what_rules_forward_by_addresses_and_ports_never_comes_to_the_queue)
{
	struct cond_box box[] = {
		{ .sport = { 0, 65535 }, .dport = { 22, 22 } },
		{ .family = AF_INET, .has_src = true, .src = { { 10 }, { 10, 255, 255, 255 } }, .sport = { 1024, 65535 }, .dport = { 0, 65535 } },
		{ .family = AF_INET, .has_dst = true, .dst = { { 10, 0, 0, 1 }, { 10, 0, 0, 9 } }, .sport = { 0, 65535 }, .dport = { 1, 2 } },
		{ .family = AF_INET6, .has_src = true, .src = { { 0x20, 1 }, { 0x20, 1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255 } },
		  .sport = { 0, 65535 }, .dport = { 0, 65535 } },
	};
	struct steer_gateway gw = edge;
	struct steer_plan *p;

	gw.kernel = box;
	gw.nb_kernel = 4;
	p = plan_of(&gw, 1);
	cr_assert(steer_plan_kernel(p));
	cr_assert(has(steer_plan_rules(p, AF_INET),
		      "-A STANDIN_NEW0 -p tcp -m tcp --dport 22 -g STANDIN_KERNEL\n"
		      "-A STANDIN_NEW0 -p tcp -s 10.0.0.0/8 -m tcp --sport 1024:65535 -g STANDIN_KERNEL\n"
		      "-A STANDIN_NEW0 -p tcp -m iprange --dst-range 10.0.0.1-10.0.0.9 -m tcp --dport 1:2 -g STANDIN_KERNEL\n"
		      "-A STANDIN_NEW0 -j CONNMARK --set-xmark 0x01000000/0x0f000000\n"),
		  "%s", steer_plan_rules(p, AF_INET));
	cr_assert(has(steer_plan_rules(p, AF_INET6), "-A STANDIN_NEW0 -p tcp -m tcp --dport 22 -g STANDIN_KERNEL\n"
						     "-A STANDIN_NEW0 -p tcp -s 2001::/16 -m tcp -g STANDIN_KERNEL\n"));
	cr_assert(has(steer_plan_rules(p, AF_INET), "-A STANDIN_KERNEL -j CONNMARK --set-xmark 0x03000000/0x0f000000\n"));
	steer_plan_free(&p);
}

Test(l3_steer, every_rule_that_touches_a_mark_has_a_mask)
{
	struct steer_conf c = { .mark_mask = 0x00000780, .route_table = 7, .gw = &edge, .nb_gw = 1 };
	struct steer_plan *p = steer_plan_make(&c, &err);
	struct str rest = str_c(steer_plan_rules(p, AF_INET));

	while (rest.p) {
		struct str line = str_cut(&rest, '\n');
		const char *l = strndup(line.p, line.n), *m;

		for (m = l; (m = strstr(m, "mark 0x")); m++) {
			unsigned long v, mask = 0;

			sscanf(m, "mark 0x%lx/0x%lx", &v, &mask);
			cr_assert_eq(v & ~0x780ul, 0, "%s", l);
			cr_assert(mask && (mask & ~0x780ul) == 0, "%s", l);
		}
		cr_assert(!strstr(l, "--save-mark") || strstr(l, "--nfmask 0x00000380 --ctmask 0x00000780"),
			  "%s", l);
		free((void *)l);
	}
	steer_plan_free(&p);
}

Test(l3_steer, what_cannot_be_steered_is_refused_with_a_reason)
{
	struct steer_match m = { .in = "" };
	struct steer_gateway gw = { .name = "g", .match = &m, .nb_match = 1 };
	struct steer_conf c = { .mark_mask = 0x0b000000, .gw = &gw, .nb_gw = 1 };

	cr_assert_null(steer_plan_make(&c, &err));
	cr_assert_str_eq(err, "mark-mask 0x0b000000 is not four adjacent bits");
	free(err), err = NULL;
	c.mark_mask = MARK_MASK_DEFAULT;
	netmask_parse(&m.src, STR("10.0.0.0/8"));
	netmask_parse(&m.dst, STR("2001:db8::/32"));
	cr_assert_null(steer_plan_make(&c, &err));
	cr_assert_str_eq(err, "gateway g: match 1: src and dst are of different address families");
}

Test(l3_steer, leftovers_go_in_the_transaction_that_brings_the_new)
{
	const char *saved =
	    "# Generated\n*mangle\n:PREROUTING ACCEPT [0:0]\n:STANDIN_PRE - [0:0]\n:STANDIN_OLD - [0:0]\n"
	    "-A PREROUTING -s 1.2.3.4/32 -j MARK --set-xmark 0x1/0xff\n"
	    "-A PREROUTING ! -i lo -p tcp -j STANDIN_PRE\n-A FORWARD -g STANDIN_OLD\n"
	    "-A STANDIN_PRE -j STANDIN_OLD\nCOMMIT\n";
	char *m = steer_merge(saved, "*mangle\n:STANDIN_PRE - [0:0]\n-A PREROUTING -j STANDIN_PRE\nCOMMIT\n");

	cr_assert_str_eq(m, "*mangle\n:STANDIN_OLD - [0:0]\n-D PREROUTING ! -i lo -p tcp -j STANDIN_PRE\n-D "
			    "FORWARD -g STANDIN_OLD\n"
			    ":STANDIN_PRE - [0:0]\n-A PREROUTING -j STANDIN_PRE\n-X STANDIN_OLD\nCOMMIT\n");
	free(m);
	m = steer_merge(saved, "");
	cr_assert(has(m, "-X STANDIN_PRE\n") && has(m, "-X STANDIN_OLD\n") && !has(m, "1.2.3.4"), "%s", m);
	free(m);
	cr_assert_null(steer_merge("*mangle\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n", ""), "nothing to do");
}

Test(l3_steer, a_rule_that_erases_connection_marks_is_found)
{
	char *r = steer_conflict(
	    "-A PREROUTING -j CONNMARK --save-mark --nfmask 0xff --ctmask 0xff\n"
	    "-A STANDIN_REQ -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff\n"
	    "-A POSTROUTING -o ppp0 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff\n");

	cr_assert_str_eq(
	    r, "-A POSTROUTING -o ppp0 -j CONNMARK --save-mark --nfmask 0xffffffff --ctmask 0xffffffff");
	free(r);
	cr_assert_null(steer_conflict(
	    "-A PREROUTING -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff\n"));
}

Test(l3_steer, what_iptables_says_becomes_one_clear_line)
{
	const char *text = "*mangle\n:X - [0:0]\n-A X -j NFQUEUE --queue-num 1\n-A X -m socket --transparent "
			   "-j RETURN\nCOMMIT\n";

	cr_assert_eq(
	    steer_explain("iptables-restore", text,
			  "iptables-restore v1.8.9 (nf_tables): Could not fetch rule set generation id: "
			  "Permission denied (you must be root)\n",
			  &err),
	    -EPERM);
	cr_assert_str_eq(err, "iptables-restore: no permission: it needs CAP_NET_ADMIN (root)");
	free(err), err = NULL;
	cr_assert_eq(
	    steer_explain("iptables-restore", text,
			  "line 4: RULE_APPEND failed (No such file or directory): rule in chain X\n", &err),
	    -EOPNOTSUPP);
	cr_assert(has(err, "'-A X -m socket --transparent -j RETURN'") && has(err, "xt_socket"), "%s", err);
	cr_assert_null(strchr(err, '\n'));
	free(err), err = NULL;
	cr_assert_eq(steer_explain("iptables-restore", text, "iptables-restore: line 3 failed\n", &err),
		     -EOPNOTSUPP);
	cr_assert(has(err, "xt_NFQUEUE"), "%s", err);
	free(err), err = NULL;
	cr_assert_eq(steer_explain("iptables-restore", text, "segfault\nor so\n", &err), -EIO);
	cr_assert_str_eq(err, "iptables-restore failed: segfault or so");
}

Test(l3_steer, what_is_printed_is_a_script)
{
	struct steer_plan *p = plan_of(&edge, 1);
	struct buf b = { 0 };
	FILE *sh;

	steer_plan_print(p, &b);
	sh = popen("sh -n", "w");
	fwrite(buf_head(&b), 1, b.data, sh);
	cr_assert_eq(pclose(sh), 0);
	buf_free(&b);
	steer_plan_free(&p);
}

/* ---- the real thing ---- */

static char dir[] = "/tmp/standin-steer-XXXXXX";

static void rm_dir(void)
{
	char cmd[100];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	system(cmd);
}

static void root_begin(void)
{
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0)
		cr_skip_test("needs root");
	cr_assert_not_null(mkdtemp(dir));
	atexit(rm_dir);
	cr_assert_eq(plat_sh("ip link set lo up"), 0);
}

/* everything that steering may touch, as one text */
static char *host_state(void)
{
	static const char cmd[] = "PATH=$PATH:/usr/sbin:/sbin; for i in iptables ip6tables; do $i-save -t "
				  "mangle | sed '/^#/d;s/\\[[0-9:]*\\]//'; done;"
				  "ip rule; ip -6 rule; ip route show table 1000 2>/dev/null; ip -6 route "
				  "show table 1000 2>/dev/null; cat /proc/sys/net/ipv4/tcp_early_demux "
				  "/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal";
	struct buf b = { 0 };
	char part[4096];
	FILE *f = popen(cmd, "r");
	size_t n;

	while ((n = fread(part, 1, sizeof(part), f)) > 0)
		buf_put_grow(&b, part, n);
	pclose(f);
	buf_put_grow(&b, "", 1);
	return b.area;
}

static void apply_ok(struct steer *st, const struct steer_plan *p)
{
	int rc = steer_apply(st, p, NULL, NULL, &err);

	cr_assert_eq(rc, 0, "%s", err);
}

static unsigned files_in_dir(void)
{
	char cmd[100], out[20] = "";
	FILE *f;

	snprintf(cmd, sizeof(cmd), "ls %s | wc -l", dir);
	f = popen(cmd, "r");
	cr_assert_not_null(fgets(out, sizeof(out), f));
	pclose(f);
	return (unsigned)atoi(out);
}

Test(l3_steer, steering_goes_in_again_and_out_without_a_trace)
{
	struct steer_gateway two[2] = {
		edge, { .name = "two", .queue_first = 9, .queue_last = 9, .match = &any, .nb_match = 1 }
	};
	struct steer_plan *p, *q;
	struct steer *st;
	char *before, *once, *again;

	root_begin();
	plat_sh("iptables -t mangle -A PREROUTING -p udp -j MARK --set-mark 1");
	plat_sh("iptables-save -t mangle; ip6tables-save -t mangle; iptables -t mangle -A PREROUTING -m "
		"conntrack --ctstate NEW");
	before = host_state();
	p = plan_of(two, 2);
	q = plan_of(&edge, 1);
	cr_assert_eq(steer_open(&st, dir, &err), 0, "%s", err);
	apply_ok(st, q);
	once = host_state();
	cr_assert(has(once, "-A PREROUTING -p udp -j MARK"), "others' rules stay");
	cr_assert(has(once, "local default dev lo"));
	apply_ok(st, q);
	again = host_state();
	cr_assert_str_eq(once, again, "idempotent");
	free(again);
	apply_ok(st, p);
	apply_ok(st, q);
	again = host_state();
	cr_assert_str_eq(once, again, "a second gateway came and went");
	cr_assert_eq(steer_withdraw(st, &err), 0, "%s", err);
	free(again);
	again = host_state();
	cr_assert_str_eq(before, again);
	steer_close(&st);
	cr_assert_eq(files_in_dir(), 0, "the state file is gone");
	steer_plan_free(&p);
	steer_plan_free(&q);
	free(before);
	free(once);
	free(again);
}

Test(l3_steer, what_a_crash_left_is_found_and_taken_out)
{
	struct steer_conf c = { .mark_mask = 0xf0, .route_table = 1000, .gw = &edge, .nb_gw = 1 };
	struct steer_plan *p;
	struct steer *st;
	char *before, *after;
	pid_t pid;

	root_begin();
	before = host_state();
	pid = fork();
	if (pid == 0) {
		struct steer_plan *old = steer_plan_make(&c, &err);

		_exit(steer_open(&st, dir, &err) || steer_apply(st, old, NULL, NULL, &err));
	}
	cr_assert_eq(waitpid(pid, &(int){ 0 }, 0), pid);
	after = host_state();
	cr_assert_str_neq(before, after);
	cr_assert(has(after, "fwmark 0xe0/0xf0"));
	free(after);

	cr_assert_eq(steer_open(&st, dir, &err), 0, "the lock went with the process: %s", err);
	p = plan_of(&edge, 1);
	apply_ok(st, p);
	after = host_state();
	cr_assert_not(has(after, "/0xf0 "), "another mark: its ip rule was found by protocol");
	free(after);
	cr_assert_eq(steer_withdraw(st, &err), 0, "%s", err);
	after = host_state();
	cr_assert_str_eq(before, after, "sysctls have the originals that the crashed run stored");
	steer_close(&st);
	steer_plan_free(&p);
	free(before);
	free(after);
}

Test(l3_steer, two_daemons_do_not_steer_one_namespace)
{
	struct steer *st, *other;
	struct steer_plan *p;
	char want[100];

	root_begin();
	p = plan_of(&edge, 1);
	cr_assert_eq(steer_open(&st, dir, &err), 0);
	apply_ok(st, p);
	cr_assert_eq(steer_open(&other, dir, &err), -EBUSY);
	snprintf(want, sizeof(want), "this network namespace is steered by another standin (pid %d)",
		 (int)getpid());
	cr_assert_str_eq(err, want);
	cr_assert_eq(steer_withdraw(st, NULL), 0);
	steer_close(&st);
	steer_plan_free(&p);
}

/* a directory in front of PATH in which <name> fails */
static void break_program(const char *name)
{
	char path[200], env[2000];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "w");
	fputs("#!/bin/sh\necho \"line $(sed -n '/NFQUEUE/=' | head -n 1): RULE_APPEND failed (No such file or directory): rule in chain "
	      "STANDIN_SOFTQ\" >&2\nexit 4\n",
	      f);
	fclose(f);
	chmod(path, 0755);
	snprintf(env, sizeof(env), "%s:%s", dir, getenv("PATH"));
	setenv("PATH", env, 1);
}

Test(l3_steer, a_second_family_that_fails_takes_the_first_back)
{
	struct steer_plan *p, *q;
	struct steer *st;
	char *before, *after, path[200];

	root_begin();
	before = host_state();
	p = plan_of(&edge, 1);
	cr_assert_eq(steer_open(&st, dir, &err), 0);
	break_program("ip6tables-restore");
	cr_assert_eq(steer_apply(st, p, NULL, NULL, &err), -EOPNOTSUPP);
	cr_assert(has(err, "ip6tables-restore: the kernel refuses rule"), "%s", err);
	after = host_state();
	cr_assert_str_eq(before, after);
	free(before);

	/* and with a plan in force, back to that */
	snprintf(path, sizeof(path), "%s/ip6tables-restore", dir);
	unlink(path);
	apply_ok(st, p);
	before = host_state();
	edge.queue_last = 5;
	q = plan_of(&edge, 1);
	break_program("ip6tables-restore");
	cr_assert_lt(steer_apply(st, q, NULL, NULL, &err), 0);
	free(after);
	after = host_state();
	cr_assert_str_eq(before, after);
	unlink(path);
	cr_assert_eq(steer_withdraw(st, &err), 0);
	steer_close(&st);
	steer_plan_free(&p);
	steer_plan_free(&q);
	free(before);
	free(after);
}

Test(l3_steer, a_sysctl_that_breaks_the_diversion_is_refused_by_name)
{
	struct steer_plan *p;
	struct steer *st;
	char *before, *after;

	root_begin();
	plat_sh("echo 1 > /proc/sys/net/ipv4/conf/lo/src_valid_mark");
	before = host_state();
	p = plan_of(&edge, 1);
	cr_assert_eq(steer_open(&st, dir, &err), 0);
	cr_assert_eq(steer_apply(st, p, NULL, NULL, &err), -EINVAL);
	cr_assert(has(err, "net.ipv4.conf.lo.src_valid_mark is 1"), "%s", err);
	after = host_state();
	cr_assert_str_eq(before, after);
	steer_close(&st);
	steer_plan_free(&p);
	free(before);
	free(after);
}

static void collect(void *arg, const char *line)
{
	struct buf *b = arg;

	buf_printf_grow(b, "%s\n", line);
}

Test(l3_steer, what_will_hurt_is_warned_about)
{
	struct steer_conf c = { .mark_mask = MARK_MASK_DEFAULT,
				.route_table = 1000,
				.maxflows = 1ull << 40,
				.gw = &edge,
				.nb_gw = 1 };
	struct steer_plan *p;
	struct buf b = { 0 };
	struct steer *st;

	root_begin();
	plat_sh("iptables -t mangle -A POSTROUTING -j CONNMARK --save-mark");
	p = steer_plan_make(&c, &err);
	cr_assert_eq(steer_open(&st, dir, &err), 0);
	cr_assert_eq(steer_apply(st, p, collect, &b, &err), 0, "%s", err);
	buf_put_grow(&b, "", 1);
	cr_assert(has(b.area, "does not forward IPv4"), "%s", b.area);
	cr_assert(has(b.area, "-A POSTROUTING -j CONNMARK --save-mark"), "%s", b.area);
	cr_assert(has(b.area, "nf_conntrack_max"), "%s", b.area);
	cr_assert_eq(steer_withdraw(st, &err), 0);
	steer_close(&st);
	steer_plan_free(&p);
	buf_free(&b);
}

/* ---- packets: client - gateway - server, each a namespace ---- */

static int ns_cli, ns_srv, ns_gw;

static int ns_new(void)
{
	int fd;

	cr_assert_eq(unshare(CLONE_NEWNET), 0);
	plat_sh("ip link set lo up; echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad"); /* link-locals at
											      once */
	fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	cr_assert_geq(fd, 0);
	return fd;
}

static void ns_enter(int fd)
{
	cr_assert_eq(setns(fd, CLONE_NEWNET), 0);
}

static void hosts_up(void)
{
	root_begin();
	ns_cli = ns_new();
	ns_srv = ns_new();
	ns_gw = ns_new();
	cr_assert_eq(
	    plat_sh(
		"ip link add c0 type veth peer name e0 netns /proc/%d/fd/%d && ip link add s0 type veth peer "
		"name e0 "
		"netns /proc/%d/fd/%d && ip link set c0 up && ip link set s0 up && ip addr add 192.0.2.1/24 "
		"dev c0 && "
		"ip addr add 198.51.100.1/24 dev s0 && ip -6 addr add 2001:db8:1::1/64 dev c0 nodad && "
		"ip -6 addr add 2001:db8:2::1/64 dev s0 nodad && echo 1 > /proc/sys/net/ipv4/ip_forward && "
		"echo 1 > /proc/sys/net/ipv6/conf/all/forwarding",
		getpid(), ns_cli, getpid(), ns_srv),
	    0);
	ns_enter(ns_cli);
	cr_assert_eq(
	    plat_sh("ip link set e0 up && ip addr add 192.0.2.2/24 dev e0 && ip -6 addr add 2001:db8:1::2/64 "
		    "dev e0 nodad && "
		    "ip route add default via 192.0.2.1 && ip -6 route add default via 2001:db8:1::1"),
	    0);
	ns_enter(ns_srv);
	cr_assert_eq(
	    plat_sh("ip link set e0 up && ip addr add 198.51.100.2/24 dev e0 && ip -6 addr add "
		    "2001:db8:2::2/64 dev e0 nodad && "
		    "ip route add default via 198.51.100.1 && ip -6 route add default via 2001:db8:2::1"),
	    0);
	ns_enter(ns_gw);
}

/* Answers what waits: <verdict> and value of our bits (-1: mark alone). How many came from each hook. */
static struct {
	unsigned forward, pre, icmp;
	uint32_t mark;
} seen;

static void pump(struct plat_queue *q, int ms, int verdict, int value)
{
	struct plat_pkt k;
	uint64_t end = plat_ms() + (uint64_t)ms;

	memset(&seen, 0, sizeof(seen));
	while (plat_ms() < end) {
		if (!plat_queue_get(q, 10, &k))
			continue;
		seen.forward += k.hook == NF_INET_FORWARD;
		seen.pre += k.hook == NF_INET_PRE_ROUTING;
		seen.icmp += k.p[0] >> 4 == 4 && k.p[9] == IPPROTO_ICMP;
		seen.mark = k.mark;
		plat_verdict(q, k.id, verdict,
			     value < 0 ? -1 : (int64_t)mark_put(k.mark, MARK_MASK_DEFAULT, (unsigned)value),
			     NULL, 0);
	}
}

struct conn {
	int lfd, cli, srv;
	struct addr src, dst;
};

static void conn_start(struct conn *c, const char *ip, uint16_t port)
{
	struct sockaddr_storage ss;
	socklen_t l = plat_sa(&ss, ip, port);
	int one = 1;

	ns_enter(ns_srv);
	c->lfd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	setsockopt(c->lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	cr_assert_eq(bind(c->lfd, (struct sockaddr *)&ss, l), 0);
	cr_assert_eq(listen(c->lfd, 5), 0);
	ns_enter(ns_cli);
	c->cli = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
	cr_assert(connect(c->cli, (struct sockaddr *)&ss, l) < 0 && errno == EINPROGRESS);
	ns_enter(ns_gw);
}

static void conn_done(struct conn *c)
{
	struct sockaddr_storage ss;
	socklen_t l = sizeof(ss);

	c->srv = accept4(c->lfd, NULL, NULL, SOCK_NONBLOCK);
	cr_assert_geq(c->srv, 0, "%s", strerror(errno));
	getsockname(c->cli, (struct sockaddr *)&ss, &l);
	addr_from_sa(&c->src, (struct sockaddr *)&ss);
	l = sizeof(ss);
	getpeername(c->cli, (struct sockaddr *)&ss, &l);
	addr_from_sa(&c->dst, (struct sockaddr *)&ss);
}

static bool moves(int from, int to, int ms)
{
	char b[8];

	return send(from, "x", 1, MSG_NOSIGNAL) == 1 && plat_readable(to, ms) &&
	       recv(to, b, sizeof(b), 0) == 1;
}

static void conn_close(struct conn *c)
{
	struct linger now = { 1, 0 };

	setsockopt(c->srv, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(c->srv);
	close(c->cli);
	close(c->lfd);
}

static void a_connection_by_the_book(struct plat_queue *q, const char *ip)
{
	struct ct *ct;
	struct ct_entry e;
	struct conn c;

	conn_start(&c, ip, 80);
	pump(q, 150, NF_ACCEPT, -1);
	conn_done(&c);
	cr_assert_eq(seen.forward, 1, "%s: the SYN is queued in FORWARD (%u)", ip, seen.forward);
	cr_assert_eq(seen.pre, 2, "%s: SYN-ACK and ACK in PREROUTING (%u)", ip, seen.pre);
	cr_assert_eq(ct_open(&ct), 0);
	cr_assert_eq(ct_get(ct, &c.src, &c.dst, &e), 0);
	cr_assert_eq(mark_get(e.mark, MARK_MASK_DEFAULT), MARK_OURS);
	cr_assert(addr_eq(&e.src, &c.src) && addr_eq(&e.dst, &c.dst) && !e.nat);
	cr_assert_eq(ct_get(ct, &c.dst, &c.src, &e), 0, "in either direction");

	/* offloaded by a request on a packet */
	cr_assert(send(c.cli, "x", 1, 0) == 1);
	pump(q, 60, NF_REPEAT, MARK_REQ(MARK_OFFLOADED));
	cr_assert_eq(seen.pre, 1, "the rest is the kernel's (%u)", seen.pre);
	cr_assert(plat_readable(c.srv, 100));
	cr_assert_eq(ct_get(ct, &c.src, &c.dst, &e), 0);
	cr_assert_eq(mark_get(e.mark, MARK_MASK_DEFAULT), MARK_OFFLOADED);

	/* recalled through the tracker, others' bits kept */
	cr_assert_eq(ct_set_mark(ct, &c.src, &c.dst, 0x55, 0xff), 0);
	cr_assert_eq(
	    ct_set_mark(ct, &c.src, &c.dst, mark_bits(MARK_MASK_DEFAULT, MARK_HARD), MARK_MASK_DEFAULT), 0);
	cr_assert_eq(ct_get(ct, &c.src, &c.dst, &e), 0);
	cr_assert_eq(e.mark, 0x02000055);
	send(c.srv, "y", 1, 0);
	pump(q, 60, NF_ACCEPT, -1);
	cr_assert_eq(seen.pre, 2, "queued again, both directions (%u)", seen.pre);

	/* an ICMP error about it is queued too */
	if (c.dst.family == AF_INET) {
		ns_enter(ns_srv);
		cr_assert_eq(plat_sh("iptables -I INPUT -p tcp --dport 80 -m length --length 60: -j REJECT "
				     "--reject-with icmp-admin-prohibited"),
			     0);
		ns_enter(ns_gw);
		cr_assert(send(c.cli, "0123456789", 10, 0) == 10);
		pump(q, 60, NF_ACCEPT, -1);
		cr_assert_geq(seen.icmp, 1);
		ns_enter(ns_srv);
		cr_assert_eq(plat_sh("iptables -F INPUT"), 0);
		ns_enter(ns_gw);
		pump(q, 300, NF_ACCEPT, -1); /* sent again, and acknowledged */
	}

	/* forgotten by the tracker: queued as a stray, in FORWARD, both directions */
	cr_assert_eq(ct_delete(ct, &c.src, &c.dst), 0);
	cr_assert_eq(ct_delete(ct, &c.src, &c.dst), -ENOENT);
	send(c.srv, "z", 1, 0);
	pump(q, 60, NF_REPEAT, MARK_REQ(MARK_OURS));
	cr_assert_eq(seen.forward, 1, "(%u)", seen.forward);
	cr_assert_eq(ct_get(ct, &c.src, &c.dst, &e), 0);
	cr_assert_eq(mark_get(e.mark, MARK_MASK_DEFAULT), MARK_OURS, "and has its class back");
	ct_close(&ct);
	conn_close(&c);
	pump(q, 30, NF_ACCEPT, -1);
}

Test(l3_steer, packets_pass_the_queue_as_the_table_of_marks_says)
{
	struct steer_gateway gw = edge;
	struct steer_plan *p;
	struct plat_queue *q;
	struct steer *st;
	struct conn c;

	gw.queue_first = gw.queue_last = 4;
	hosts_up();
	p = plan_of(&gw, 1);
	cr_assert_eq(steer_open(&st, dir, &err), 0);
	apply_ok(st, p);
	q = plat_queue_open(4, 0xffff, NFQA_CFG_F_GSO);
	a_connection_by_the_book(q, "198.51.100.2");
	a_connection_by_the_book(q, "2001:db8:2::2");

	conn_start(&c, "198.51.100.2", 81);
	pump(q, 60, NF_ACCEPT, -1);
	conn_done(&c);
	cr_assert_eq(seen.forward + seen.pre, 0, "port 81 is nobody's");
	conn_close(&c);

	/* the daemon dies: what it only forwarded goes on, what is hard waits */
	conn_start(&c, "198.51.100.2", 8050);
	pump(q, 100, NF_ACCEPT, -1);
	conn_done(&c);
	plat_queue_close(q);
	cr_assert(moves(c.cli, c.srv, 500), "ours goes on");
	q = plat_queue_open(4, 0xffff, NFQA_CFG_F_GSO);
	send(c.cli, "x", 1, 0);
	pump(q, 60, NF_REPEAT, MARK_REQ(MARK_HARD));
	plat_queue_close(q);
	cr_assert(plat_readable(c.srv, 100) && recv(c.srv, &(char){ 0 }, 1, 0) == 1);
	cr_assert_not(moves(c.cli, c.srv, 150), "hard does not");

	/* rules go away: all goes on */
	cr_assert_eq(steer_withdraw(st, &err), 0);
	cr_assert(plat_readable(c.srv, 1500), "the retransmission arrives");
	conn_close(&c);
	steer_close(&st);
	steer_plan_free(&p);
}

static unsigned gone, born;

static void on_event(void *arg, const struct ct_entry *e, bool is_gone)
{
	*(is_gone ? &gone : &born) += addr_eq(&e->src, &((struct conn *)arg)->src);
}

Test(l3_steer, beginning_and_end_of_a_marked_connection_are_told)
{
	struct ct_events *ev;
	struct plat_queue *q;
	struct steer_gateway gw = edge;
	struct steer_plan *p;
	struct steer *st;
	struct ct *ct;
	struct conn c;

	gw.queue_first = gw.queue_last = 4;
	hosts_up();
	p = plan_of(&gw, 1);
	cr_assert_eq(steer_open(&st, dir, &err), 0);
	apply_ok(st, p);
	q = plat_queue_open(4, 0xffff, 0);
	cr_assert_eq(ct_events_open(&ev, mark_bits(MARK_MASK_DEFAULT, MARK_OURS),
				    mark_bits(MARK_MASK_DEFAULT, MARK_CLASS), on_event, &c), 0);
	cr_assert_eq(ct_events_news(ev, true), 0);
	conn_start(&c, "198.51.100.2", 80);
	pump(q, 100, NF_ACCEPT, -1);
	conn_done(&c);
	cr_assert_eq(ct_events_read(ev, 100), 1);
	cr_assert_eq(born, 1);
	cr_assert_eq(ct_events_news(ev, false), 0);
	cr_assert_eq(ct_open(&ct), 0);
	cr_assert_eq(ct_delete(ct, &c.src, &c.dst), 0);
	cr_assert(plat_readable(ct_events_fd(ev), 500));
	cr_assert_eq(ct_events_read(ev, 100), 1);
	cr_assert_eq(gone, 1);
	ct_events_close(&ev);
	ct_close(&ct);
	plat_queue_close(q);
	conn_close(&c);
	cr_assert_eq(steer_withdraw(st, &err), 0);
	steer_close(&st);
	steer_plan_free(&p);
}
