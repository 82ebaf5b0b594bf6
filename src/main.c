/* SPDX-License-Identifier: GPL-3.0-or-later
 *
 * main.c - arguments, signals, start order; nothing else
 *
 * Start order, each step needing those before it:
 *   1. arguments; the configuration is read and checked (-c ends here), or handed to a running process (-sf, -st)
 *   2. into the background (-D)
 *   3. the keeper is forked, while there is one thread, no socket and no secret; our own limits (-m, descriptors)
 *   4. worker: loop, logger, helper thread; layers
 *   5. the configuration is applied: ports, queues, firewall rules, instances
 *   6. the pid file, a signal to the old processes (-sf, -st), the loop
 * The end is the same backwards. Messages and exit codes are HAProxy's: 0 good, 1 failed
 * (2 for a condition of -cc that cannot be read), 128+N for a stop by signal is not used.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cfg/cfg.h"
#include "core/layer.h"
#include "core/log.h"
#include "core/worker.h"
#include "keeper/keeper.h"
#include "l3/steering.h"
#include "ops/ops.h"

#define MAIN_MAX_FILES 256
#define MAIN_MAX_PIDS  64

struct options {
	char *files[MAIN_MAX_FILES];
	int nb_files;
	bool check, daemon, foreground, master_worker, notify, quiet, verbose, debug, diag, print_steering;
	bool fail_on_warnings;
	enum steering_format steering;
	const char *pidfile, *chdir, *master_cli, *condition, *old_socket, *local_peer;
	unsigned maxconn, mem_mb;
	int old_signal;
	pid_t old_pids[MAIN_MAX_PIDS];
	int nb_old_pids;
};

/* ---- arguments ---- */

static void main_version(FILE *f)
{
	fprintf(f, "standin version %s - L3 gateway, L7 proxy and standby manager\n", STANDIN_VERSION);
}

static void main_build_options(FILE *f)
{
	main_version(f);
	fprintf(f, "Build options :\n  CC      = %s\n", __VERSION__);
#ifdef __SANITIZE_ADDRESS__
	fprintf(f, "  OPTIONS = AddressSanitizer\n");
#endif
	fprintf(f, "Built with libev %d.%d, OpenSSL, PCRE2 with JIT, SQLite, libmnl, libnetfilter_queue\n", EV_VERSION_MAJOR,
		EV_VERSION_MINOR);
}

struct main_arg {
	const char *name;
	const char *value; /* what the argument is called in the usage, or NULL: takes none; "=" before it: --name or --name=value */
	const char *help;
	int (*set)(struct options *o, char *value); /* <0: show the usage; >0: it is said what is wrong, exit with this status */
};

static int set_file(struct options *o, char *v)
{
	if (o->nb_files == MAIN_MAX_FILES)
		return -E2BIG;
	o->files[o->nb_files++] = v;
	return 0;
}

static int set_number(unsigned *n, const char *v)
{
	uint64_t u;

	if (cfg_parse_uint(v, &u) < 0 || u > INT32_MAX)
		return -EINVAL;
	*n = u;
	return 0;
}

#define SET_FLAG(name, field)                                                                                \
	static int set_##name(struct options *o, char *v)                                                    \
	{                                                                                                    \
		o->field = true;                                                                             \
		return 0;                                                                                    \
	}
#define SET_TEXT(name, field)                                                                                \
	static int set_##name(struct options *o, char *v)                                                    \
	{                                                                                                    \
		o->field = v;                                                                                \
		return 0;                                                                                    \
	}
SET_FLAG(check, check)
SET_FLAG(daemon, daemon)
SET_FLAG(foreground, foreground)
SET_FLAG(quiet, quiet)
SET_FLAG(verbose, verbose)
SET_FLAG(master, master_worker)
SET_FLAG(diag, diag)
SET_FLAG(warnings, fail_on_warnings)
SET_TEXT(pidfile, pidfile)
SET_TEXT(chdir, chdir)
SET_TEXT(master_cli, master_cli)
SET_TEXT(condition, condition)
SET_TEXT(old_socket, old_socket)
SET_TEXT(peer, local_peer)

static int set_debug(struct options *o, char *v)
{
	o->debug = o->foreground = o->verbose = true;
	return 0;
}

static int set_notify(struct options *o, char *v)
{
	o->master_worker = o->notify = true;
	return 0;
}

static int set_maxconn(struct options *o, char *v)
{
	return set_number(&o->maxconn, v);
}

static int set_mem(struct options *o, char *v)
{
	return set_number(&o->mem_mb, v);
}

static int set_steering(struct options *o, char *v)
{
	const char *near;
	int i;

	o->print_steering = true;
	for (i = 0; v && i < STEERING_FORMATS; i++) {
		if (strcmp(v, steering_format_name[i]) == 0)
			break;
	}
	if (i == STEERING_FORMATS) {
		near = diag_nearest_of(v, steering_format_name, STEERING_FORMATS);
		msg_alert("--print-steering : unknown format '%s'" DIAG_MAYBE, v, DIAG_MAYBE_ARG(near));
		return 1;
	}
	o->steering = i;
	return 0;
}

static int set_nothing(struct options *o, char *v)
{
	return 0;
}

static const struct main_arg main_args[] = {
	{ "-f", "cfgfile|cfgdir", "reads this configuration; repeatable", set_file },
	{ "-c", NULL, "check mode : only check config files and exit", set_check },
	{ "-cc", "condition", "check condition : evaluate a condition and exit", set_condition },
	{ "-d", NULL, "debug mode : foreground and verbose", set_debug },
	{ "-db", NULL, "only disables background mode", set_foreground },
	{ "-D", NULL, "goes daemon", set_daemon },
	{ "-W", NULL, "master-worker mode (one process serves and reloads; the pid never changes)", set_master },
	{ "-Ws", NULL, "the same with systemd notify support", set_notify },
	{ "-S", "bind[,options]", "one more stats socket, of level admin", set_master_cli },
	{ "-p", "pidfile", "writes the pid to this file", set_pidfile },
	{ "-x", "unix_socket", "accepted; listening sockets are not taken over this way yet", set_old_socket },
	{ "-C", "dir", "changes to <dir> before loading files", set_chdir },
	{ "-n", "maxconn", "sets the maximum total # of connections", set_maxconn },
	{ "-m", "megs", "limits the usable amount of memory (in MB)", set_mem },
	{ "-L", "name", "sets the local peer name", set_peer },
	{ "--print-steering", "=iptables|nft", "prints the firewall rules, routes and sysctls that gateways need, and exits",
	  set_steering },
	{ "-q", NULL, "quiet mode : don't display messages", set_quiet },
	{ "-V", NULL, "enters verbose mode (disables quiet mode)", set_verbose },
	{ "-dD", NULL, "diagnostic mode : warn about suspicious configuration statements", set_diag },
	{ "-dW", NULL, "fails if any warning is emitted", set_warnings },
	{ "-dr", NULL, "accepted and without effect", set_nothing },
};

static bool arg_optional(const struct main_arg *a)
{
	return a->value && a->value[0] == '=';
}

static int main_usage(void)
{
	size_t i;

	main_version(stderr);
	fprintf(stderr, "Usage : standin [-f <cfgfile|cfgdir>]* [ -vdVD ] [ -p <pidfile> ] [ -C <dir> ] [-- <cfgfile>*]\n"
			"        -v displays version ; -vv shows known build options.\n");
	for (i = 0; i < ARRAY_SIZE(main_args); i++) {
		const struct main_arg *a = &main_args[i];

		if (arg_optional(a))
			fprintf(stderr, "        %s[%s] %s\n", a->name, a->value, a->help);
		else
			fprintf(stderr, "        %s%s%s%s %s\n", a->name, a->value ? " <" : "", a->value ? a->value : "",
				a->value ? ">" : "", a->help);
	}
	fprintf(stderr, "        -dM[<byte>,help,...] accepted: memory is checked by the sanitizer build\n"
			"        -sf/-st [pid ]* finishes/terminates old pids.\n");
	return 1;
}

/* -sf / -st: all the numbers that follow */
static int main_old_pids(struct options *o, int sig, char **argv, int i)
{
	unsigned pid;

	o->old_signal = sig;
	while (argv[i + 1] && set_number(&pid, argv[i + 1]) == 0) {
		if (o->nb_old_pids == MAIN_MAX_PIDS)
			return -E2BIG;
		if (pid)
			o->old_pids[o->nb_old_pids++] = pid;
		i++;
	}
	return i;
}

/* The argument that argv[i] names, as far as its value is there, in *value; NULL: none */
static const struct main_arg *main_find(char **argv, int i, char **value)
{
	for (const struct main_arg *a = main_args; a < main_args + ARRAY_SIZE(main_args); a++) {
		size_t n = strlen(a->name);

		if (strncmp(argv[i], a->name, n) != 0 || (argv[i][n] && !(arg_optional(a) && argv[i][n] == '=')))
			continue;
		if (arg_optional(a))
			*value = argv[i][n] ? argv[i] + n + 1 : NULL;
		else
			*value = a->value ? argv[i + 1] : NULL;
		return a->value && !arg_optional(a) && !*value ? NULL : a;
	}
	return NULL;
}

/* Returns <0 to go on, or the exit status. */
static int main_parse(struct options *o, int argc, char **argv)
{
	const struct main_arg *a;
	char *value;
	int i, rc;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "-v") == 0 || strcmp(argv[i], "-vv") == 0) {
			(argv[i][2] ? main_build_options : main_version)(stdout);
			return 0;
		}
		if (strcmp(argv[i], "--") == 0) {
			while (argv[++i]) {
				if (set_file(o, argv[i]) < 0)
					return main_usage();
			}
			break;
		}
		if (strcmp(argv[i], "-sf") == 0 || strcmp(argv[i], "-st") == 0) {
			i = main_old_pids(o, argv[i][2] == 'f' ? SIGUSR1 : SIGTERM, argv, i);
			if (i < 0)
				return main_usage();
			continue;
		}
		if (strncmp(argv[i], "-dM", 3) == 0)
			continue;
		a = main_find(argv, i, &value);
		rc = a ? a->set(o, value) : -EINVAL;
		if (rc)
			return rc < 0 ? main_usage() : rc;
		i += a->value && !arg_optional(a);
	}
	return -1;
}

/* ---- signals ---- */

struct signals {
	struct worker *w;
	ev_signal sig[8];
	int n;
	bool foreground;
};

static void main_on_stop(struct ev_loop *loop, ev_signal *s, int revents)
{
	struct signals *sigs = s->data;

	worker_stop(sigs->w, 0);
}

static void main_on_soft_stop(struct ev_loop *loop, ev_signal *s, int revents)
{
	struct signals *sigs = s->data;

	ops_soft_stop(sigs->w);
}

static void main_on_reload(struct ev_loop *loop, ev_signal *s, int revents)
{
	struct signals *sigs = s->data;

	if (s->signum == SIGHUP && sigs->foreground)
		layers_log_state(sigs->w);
	ops_reload(sigs->w, NULL, 0, NULL);
}

static void main_watch(struct signals *sigs, int signum, void (*cb)(struct ev_loop *, ev_signal *, int))
{
	ev_signal *s = &sigs->sig[sigs->n++];

	ev_signal_init(s, cb, signum);
	s->data = sigs;
	ev_signal_start(sigs->w->loop, s);
	ev_unref(sigs->w->loop);
}

static void main_watch_signals(struct signals *sigs)
{
	signal(SIGPIPE, SIG_IGN);
	main_watch(sigs, SIGINT, main_on_stop);
	main_watch(sigs, SIGTERM, main_on_stop);
	main_watch(sigs, SIGUSR1, main_on_soft_stop);
	main_watch(sigs, SIGUSR2, main_on_reload);
	main_watch(sigs, SIGHUP, main_on_reload);
}

/* ---- start ---- */

static void main_raise_nofile(void)
{
	struct rlimit lim;

	if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
		lim.rlim_cur = lim.rlim_max;
		setrlimit(RLIMIT_NOFILE, &lim);
	}
}

/* -m, after the keeper has been forked: instances have limits of their own. */
static void main_limit_memory(unsigned mb)
{
	struct rlimit lim = { .rlim_cur = (rlim_t)mb << 20, .rlim_max = (rlim_t)mb << 20 };

	if (mb && setrlimit(RLIMIT_AS, &lim) < 0)
		msg_warning("cannot limit memory to %u MB : %s", mb, strerror(errno));
}

/* Into the background. The parent stays until the child has started or failed, so that its exit
 * status is the truth. Returns the descriptor to write the one byte of success to, -1 in the foreground. */
static int main_daemonize(void)
{
	char ok = 1;
	int p[2], devnull;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid > 0) {
		close(p[1]);
		_exit(read(p[0], &ok, 1) == 1 ? ok : 1);
	}
	close(p[0]);
	setsid();
	devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (devnull >= 0) {
		dup2(devnull, 0);
		close(devnull);
	}
	return p[1];
}

/* The parent goes with status 0; from here on nobody reads the terminal. */
static void main_daemon_ready(int fd)
{
	char ok = 0;
	int devnull = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (write(fd, &ok, 1) != 1)
		msg_warning("the starting process has gone");
	close(fd);
	if (devnull >= 0) {
		dup2(devnull, 1);
		dup2(devnull, 2);
		close(devnull);
	}
}

static int main_write_pidfile(const char *path, pid_t pid)
{
	FILE *f = fopen(path, "we");
	bool ok = f && fprintf(f, "%d\n", (int)pid) > 0;

	if (f)
		ok = fclose(f) == 0 && ok;
	if (!ok)
		msg_alert("Cannot create pidfile %s : %s", path, strerror(errno));
	return ok ? 0 : -EIO;
}

/* Unless a successor (-sf, -st) has written its own pid there. */
static void main_remove_pidfile(const char *path)
{
	FILE *f = fopen(path, "re");
	int pid = 0;

	if (!f)
		return;
	if (fscanf(f, "%d", &pid) == 1 && pid == getpid())
		unlink(path);
	fclose(f);
}

/* sd_notify(3)'s protocol: one datagram to a unix socket, abstract when it begins with '@'. */
static void main_notify(const struct options *o, const char *text)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t n = path ? strlen(path) : 0;
	int fd;

	if (!o->notify || !n || n >= sizeof(un.sun_path))
		return;
	memcpy(un.sun_path, path, n);
	if (*path == '@')
		un.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&un,
		   offsetof(struct sockaddr_un, sun_path) + n) < 0)
		msg_warning("cannot notify systemd: %s", strerror(errno));
	close(fd);
}

/* -cc: 0 true, 1 false, 2 not to be evaluated. */
static int main_condition(const char *text)
{
	char *err = NULL;
	bool result;

	if (cfg_eval_condition(NULL, text, &result, &err) < 0) {
		msg_alert("config : Failed to evaluate condition: %s", err ? err : "out of memory");
		free(err);
		return 2;
	}
	return !result;
}

static struct epoch *main_read_config(const struct options *o)
{
	struct epoch *ep;
	struct diag d;

	diag_init(&d);
	ep = epoch_build((char *const *)o->files, o->nb_files, &d);
	diag_print(&d);
	if (ep && o->fail_on_warnings && d.warnings) {
		msg_alert("Some warnings were found and 'zero-warning' is set. Aborting.");
		epoch_put(ep);
		ep = NULL;
	} else if (!ep) {
		msg_alert("config : Fatal errors found in configuration.");
	}
	diag_free(&d);
	return ep;
}

static int main_print_steering(const struct epoch *ep, enum steering_format format)
{
	struct buf out = { 0 };
	char *err = NULL;
	int rc = steering_print(ep, format, &out, &err);

	if (rc < 0)
		msg_alert("--print-steering : %s", err ? err : strerror(-rc));
	else
		fwrite(buf_head(&out), 1, out.data, stdout);
	free(err);
	buf_free(&out);
	return rc < 0;
}

static int main_apply(struct worker *w, struct epoch *ep)
{
	struct diag d;
	int rc;

	diag_init(&d);
	rc = epoch_apply(w, ep, &d);
	diag_print(&d);
	diag_free(&d);
	if (rc < 0)
		msg_alert("[%s.main()] Some protocols failed to start their listeners! Exiting.", "standin");
	return rc;
}

/* -sf, -st: all but <but> are told to end. */
static void main_signal_old(const struct options *o, pid_t but)
{
	for (int i = 0; i < o->nb_old_pids; i++)
		if (o->old_pids[i] != but && kill(o->old_pids[i], o->old_signal) < 0)
			msg_warning("cannot signal old process %d: %s", (int)o->old_pids[i], strerror(errno));
}

/* -sf, -st: does a running standin take the configuration? <0: there is none, we are the one to run; else the exit
 * status. */
static int main_hand_over(const struct options *o, const struct epoch *ep)
{
	const char *pidfile = o->pidfile ? o->pidfile : ep->global.pidfile;

	for (int i = 0; i < o->nb_old_pids; i++) {
		pid_t pid = o->old_pids[i];
		int rc = ops_hand_over(pid, (char *const *)o->files, o->nb_files);

		if (rc == -ESRCH || rc == -ESHUTDOWN)
			continue;
		if (rc < 0) {
			msg_alert("process %d goes on with the configuration that it has%s%s", (int)pid,
				  rc == -EINVAL ? "" : ": ", rc == -EINVAL ? "" : strerror(-rc));
			return 1;
		}
		msg_notice("process %d runs with this configuration from now on", (int)pid);
		main_signal_old(o, pid);
		return pidfile && main_write_pidfile(pidfile, pid) < 0;
	}
	return -1;
}

/* Steps 4 to 6. Takes over the caller's reference to <ep>: a later configuration must find it free to go.
 * Returns the exit status. */
static int main_serve(const struct options *o, struct epoch *ep, struct keeper *keeper, int ready_fd)
{
	const char *named = o->pidfile ? o->pidfile : ep->global.pidfile;
	char *pidfile = named ? strdup(named) : NULL; /* <ep>'s strings end with it */
	struct ops_options oo = { .maxconn = o->maxconn, .foreground = ready_fd < 0, .master_cli = o->master_cli };
	struct worker w = { 0 };
	struct signals sigs = { .w = &w, .foreground = ready_fd < 0 };
	int i, status = 1;

	if (worker_init(&w) < 0) {
		msg_alert("cannot start: out of memory or descriptors");
		goto out;
	}
	w.keeper = keeper;
	if ((keeper && keeper_attach(&w) < 0) || layers_init(&w) < 0)
		goto out_worker;
	main_watch_signals(&sigs);
	if (ops_set_options(&w, &oo) < 0 || main_apply(&w, ep) < 0 || (pidfile && main_write_pidfile(pidfile, getpid()) < 0))
		goto out_layers;
	epoch_put(ep);
	ep = NULL;
	main_signal_old(o, 0);
	if (ready_fd >= 0)
		main_daemon_ready(ready_fd);
	main_notify(o, "READY=1\n");
	msg_set_started(true);
	status = worker_run(&w);
	main_notify(o, "STOPPING=1\n");
	if (pidfile)
		main_remove_pidfile(pidfile);
out_layers:
	layers_destroy(&w);
out_worker:
	for (i = 0; i < sigs.n; i++)
		ev_signal_stop(w.loop, &sigs.sig[i]);
	if (w.keeper)
		keeper_stop(&w);
	epoch_put(w.epoch);
	w.epoch = NULL;
	worker_destroy(&w);
out:
	epoch_put(ep);
	free(pidfile);
	return status;
}

int main(int argc, char **argv)
{
	static struct options o; /* large */
	struct keeper *keeper = NULL;
	struct epoch *ep;
	int status, ready_fd = -1;

	status = main_parse(&o, argc, argv);
	if (status >= 0)
		return status;
	msg_set_quiet(o.quiet && !o.verbose);
	msg_set_verbose(o.verbose);
	msg_set_diag(o.diag);
	if (o.condition)
		return main_condition(o.condition);
	if (!o.nb_files)
		return main_usage();
	if (o.chdir && chdir(o.chdir) < 0) {
		msg_alert("Could not change to directory %s : %s", o.chdir, strerror(errno));
		return 1;
	}
	ep = main_read_config(&o);
	if (!ep)
		return 1;
	if (o.maxconn)
		ep->global.maxconn = o.maxconn;
	if (o.check || o.print_steering) {
		status = o.print_steering ? main_print_steering(ep, o.steering) : 0;
		if (o.check && (!o.quiet || o.verbose))
			printf("Configuration file is valid\n");
		epoch_put(ep);
		return status;
	}
	if (ep->global.quiet && !o.verbose)
		msg_set_quiet(true);
	status = main_hand_over(&o, ep);
	if (status >= 0) {
		epoch_put(ep);
		return status;
	}
	if ((o.daemon || ep->global.daemon) && !o.foreground) {
		ready_fd = main_daemonize();
		if (ready_fd < 0) {
			msg_alert("cannot go into the background: %s", strerror(-ready_fd));
			epoch_put(ep);
			return 1;
		}
	}
	if (keeper_start(&keeper) < 0) {
		msg_alert("cannot start the keeper process");
		epoch_put(ep);
		return 1;
	}
	main_raise_nofile(); /* not before: instances get the limits that we were given */
	main_limit_memory(o.mem_mb);
	return main_serve(&o, ep, keeper, ready_fd);
}
