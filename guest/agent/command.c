/* SPDX-License-Identifier: MIT */
/* The command: from the host's message to a process in a session of its own. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/tree.h"
#include "guest/agent/agent.h"

/* Files a process may open: few by default, as select() expects, more on request. */
#define FILES_SOFT 1024
#define FILES_HARD 524288

static char *take_string(char **at, const char *end)
{
	char *s = *at;
	char *nul = memchr(s, 0, end - s);

	if (nul)
		*at = nul + 1;
	return nul ? s : NULL;
}

static char **take_strings(char **at, const char *end, uint32_t count)
{
	char **list;

	/* Each takes a byte at least, which bounds the count. */
	if (count > (size_t)(end - *at))
		return NULL;
	list = calloc((size_t)count + 1, sizeof(*list));
	for (uint32_t i = 0; list && i < count; i++) {
		list[i] = take_string(at, end);
		if (!list[i]) {
			free(list);
			return NULL;
		}
	}
	return list;
}

int command_parse(struct command *c, const struct message *m, struct failure *f)
{
	char *at = m->body + sizeof(c->start);
	const char *end = m->body + m->header.length;

	memset(c, 0, sizeof(*c));
	if (m->header.length < sizeof(c->start))
		return failure_set(f, 125, "the agent got a short START message");
	memcpy(&c->start, m->body, sizeof(c->start));
	if (c->start.version != AGENT_VERSION)
		return failure_set(f, 125, "the agent speaks version %d, the monitor %u",
			AGENT_VERSION, c->start.version);

	if (c->start.nets > AGENT_NETS_MAX ||
		(size_t)(end - at) < c->start.nets * sizeof(c->net[0]))
		return failure_set(f, 125, "the agent got a malformed START message");
	memcpy(c->net, at, c->start.nets * sizeof(c->net[0]));
	at += c->start.nets * sizeof(c->net[0]);

	c->fstype = take_string(&at, end);
	c->hostname = c->fstype ? take_string(&at, end) : NULL;
	c->workdir = c->hostname ? take_string(&at, end) : NULL;
	c->argv = c->workdir ? take_strings(&at, end, c->start.argc) : NULL;
	c->env = c->argv ? take_strings(&at, end, c->start.envc) : NULL;
	c->folder = c->env && c->start.folders <= UINT32_MAX / 2
			    ? take_strings(&at, end, 2 * c->start.folders)
			    : NULL;
	if (!c->folder || at != end) {
		command_free(c);
		return failure_set(f, 125, "the agent got a malformed START message");
	}
	return 0;
}

void command_free(struct command *c)
{
	free(c->argv);
	free(c->env);
	free(c->folder);
	memset(c, 0, sizeof(*c));
}

/* What the child needs, gathered before the fork. */
struct child {
	const struct command *c;
	struct user user;
	char **env;
	int fd[3]; /* its standard streams */
	int report; /* where a struct failure goes; closed by a successful exec */
};

__attribute__((format(printf, 3, 4))) static _Noreturn void child_fail(
	const struct child *child, uint32_t status, const char *fmt, ...)
{
	struct failure f = {.error.status = status};
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(f.text, sizeof(f.text), fmt, ap);
	va_end(ap);
	if (write(child->report, &f, sizeof(f)) < 0)
		_exit(125);
	_exit((int)status);
}

static void child_become_user(const struct child *child)
{
	const struct agent_start *start = &child->c->start;

	if (geteuid() == 0 && setgroups(child->user.group_count, child->user.groups) < 0)
		child_fail(child, 125, "setgroups: %s", strerror(errno));
	if (setresgid(start->gid, start->gid, start->gid) < 0)
		child_fail(child, 125, "setgid(%u): %s", start->gid, strerror(errno));
	if (setresuid(start->uid, start->uid, start->uid) < 0)
		child_fail(child, 125, "setuid(%u): %s", start->uid, strerror(errno));
}

static void child_enter_workdir(const struct child *child)
{
	const char *workdir = child->c->workdir;

	if (workdir[0]) {
		if (chdir(workdir) < 0)
			child_fail(
				child, 125, "working directory %s: %s", workdir, strerror(errno));
	} else if (chdir(child->user.home) < 0 && chdir("/") < 0) {
		child_fail(child, 125, "cannot enter /: %s", strerror(errno));
	}
}

static void tell_error(const char *line)
{
	dprintf(STDERR_FILENO, "%s\n", line);
}

/* What the agent itself does as that user: one end of a copy. */
static _Noreturn void child_copy(const struct child *child)
{
	const char *path = child->c->argv[0];

	if (!path)
		child_fail(child, 125, "no path to copy");
	close(child->report);
	if (child->c->start.flags & AGENT_PUT)
		_exit(!tree_receive(STDIN_FILENO, path, tell_error));
	_exit(!tree_send(path, STDOUT_FILENO, tell_error));
}

static _Noreturn void child_exec(const struct child *child)
{
	char **argv = child->c->argv;
	const char *name = argv[0];

	environ = child->env;
	if (name) {
		execvp(name, argv);
	} else {
		/* A login shell on a terminal, so that it reads /etc/profile. */
		bool login = child->c->start.flags & AGENT_TTY;
		char bash[] = "-bash", sh[] = "-sh";

		execv("/bin/bash", (char *[]){login ? bash : bash + 1, NULL});
		name = "/bin/sh";
		execv(name, (char *[]){login ? sh : sh + 1, NULL});
	}
	if (errno == ENOENT || errno == ENOTDIR)
		child_fail(child, 127, "%s: not found", name);
	child_fail(child, 126, "%s: %s", name, strerror(errno));
}

static _Noreturn void child_main(const struct child *child)
{
	struct rlimit files = {FILES_SOFT, FILES_HARD};
	bool tty = child->c->start.flags & AGENT_TTY;
	sigset_t none;

	setsid();
	if (tty && ioctl(child->fd[0], TIOCSCTTY, 0) < 0)
		child_fail(child, 125, "no controlling terminal: %s", strerror(errno));
	/* fd are above 2: the agent's own standard streams are open. */
	for (int i = 0; i < 3; i++)
		if (dup2(child->fd[i], i) < 0)
			child_fail(child, 125, "dup2: %s", strerror(errno));
	setrlimit(RLIMIT_NOFILE, &files);
	child_become_user(child);
	child_enter_workdir(child);
	for (int i = 1; i < NSIG; i++)
		signal(i, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (child->c->start.flags & (AGENT_PUT | AGENT_GET))
		child_copy(child);
	child_exec(child);
}

static void set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static int open_pipes(struct child *child, struct streams *s)
{
	int p[3][2];
	int i;

	for (i = 0; i < 3; i++)
		if (pipe2(p[i], O_CLOEXEC) < 0)
			break;
	if (i < 3) {
		while (i--) {
			close(p[i][0]);
			close(p[i][1]);
		}
		return -1;
	}
	child->fd[0] = p[0][0];
	child->fd[1] = p[1][1];
	child->fd[2] = p[2][1];
	*s = (struct streams){.in = p[0][1], .out = p[1][0], .err = p[2][0], .slave = -1};
	set_nonblocking(s->in);
	set_nonblocking(s->out);
	set_nonblocking(s->err);
	return 0;
}

static int open_terminal(struct child *child, struct streams *s)
{
	const struct agent_start *start = &child->c->start;
	struct winsize w = {.ws_row = start->winsize.rows,
		.ws_col = start->winsize.cols,
		.ws_xpixel = start->winsize.xpixel,
		.ws_ypixel = start->winsize.ypixel};
	int unlock = 0, slave;
	int master = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (master < 0)
		return -1;
	if (ioctl(master, TIOCSPTLCK, &unlock) < 0 ||
		(slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC)) < 0) {
		close(master);
		return -1;
	}
	if (w.ws_row && w.ws_col)
		ioctl(master, TIOCSWINSZ, &w);
	if (geteuid() == 0 && fchown(slave, start->uid, (gid_t)-1) < 0)
		system_log("cannot give the terminal to user %u: %s", start->uid, strerror(errno));
	for (int i = 0; i < 3; i++)
		child->fd[i] = slave;
	/* Two descriptors, since either direction may end on its own. */
	*s = (struct streams){.in = dup(master), .out = master, .err = -1, .slave = slave};
	fcntl(s->in, F_SETFD, FD_CLOEXEC);
	return 0;
}

/* Waits for the exec. 0: done; -1: the child has said why not. */
static int await_exec(int report, struct failure *f)
{
	ssize_t n;

	do
		n = read(report, f, sizeof(*f));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return 0;
	if (n != sizeof(*f))
		failure_set(f, 125, "the command's process ended before it began");
	f->text[sizeof(f->text) - 1] = 0;
	return -1;
}

static void close_streams(struct streams *s)
{
	int fd[] = {s->in, s->out, s->err, s->slave};

	for (size_t i = 0; i < sizeof(fd) / sizeof(fd[0]); i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

pid_t command_spawn(const struct command *c, struct streams *s, struct failure *f)
{
	bool tty = c->start.flags & AGENT_TTY;
	struct child child = {.c = c};
	int report[2];
	pid_t pid;

	user_find(&child.user, c->start.uid, c->start.gid, "/etc/passwd", "/etc/group");
	child.env = user_environment(&child.user, c->env, tty);
	if (!child.env || pipe2(report, O_CLOEXEC) < 0)
		return failure_set(f, 125, "cannot run the command: %s", strerror(errno));
	if ((tty ? open_terminal(&child, s) : open_pipes(&child, s)) < 0) {
		close(report[0]);
		close(report[1]);
		return failure_set(f, 125, "no %s for the command: %s", tty ? "terminal" : "pipes",
			strerror(errno));
	}

	child.report = report[1];
	pid = fork();
	if (pid == 0)
		child_main(&child);
	close(report[1]);
	if (!tty)
		for (int i = 0; i < 3; i++)
			close(child.fd[i]);
	if (pid < 0)
		failure_set(f, 125, "cannot fork: %s", strerror(errno));
	if (pid < 0 || await_exec(report[0], f) < 0) {
		close_streams(s);
		pid = -1;
	}
	close(report[0]);
	return pid;
}
