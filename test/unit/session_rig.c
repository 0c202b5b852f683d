/* SPDX-License-Identifier: MIT */
/* A Lucid process without a machine: the console device is sockets, the guest a process. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/loop.h"
#include "device/console.h"
#include "monitor/session.h"
#include "monitor/stdio.h"
#include "test/unit/session_rig.h"

#define TROUBLE 200
#define GUEST_FD 100
#define LIMIT_SECONDS 30

void system_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

/* ---- The console device, as device/console.h tells ---------------------------------- */

struct port {
	struct console_port user;
	struct console *console;
	int fd;
	bool paused, starved, ended;
	size_t start, end; /* bytes that were not taken */
	char data[20000];
	struct loop_work resume;
};

struct console {
	struct loop *loop;
	unsigned count;
	struct port port[8];
};

static struct {
	struct session *session;
	struct loop *loop;
	const struct rig_case *test;
	pid_t guest;
	int status;
	bool ended, stopped;
} lucid;

static void machine_stopped(void)
{
	lucid.stopped = true;
	session_machine_stopped(lucid.session);
}

static void watch(struct port *p)
{
	uint32_t in = p->paused || p->ended ? 0 : EPOLLIN;

	loop_change(p->console->loop, p->fd, in | (p->starved ? (uint32_t)EPOLLOUT : 0));
}

static void port_output(struct port *p)
{
	ssize_t n;

	if (p->start == p->end) {
		n = read(p->fd, p->data, sizeof(p->data));
		if (n < 0 && errno == EAGAIN)
			return;
		p->start = 0;
		p->end = n > 0 ? n : 0;
		if (n <= 0) {
			p->ended = true;
			if (p->user.opened)
				p->user.opened(p->user.arg, false);
			if (p == &p->console->port[PORT_CONTROL])
				machine_stopped();
			return;
		}
	}
	p->start += p->user.output(p->user.arg, p->data + p->start, p->end - p->start);
	p->paused = p->start < p->end;
}

static void port_event(void *arg, uint32_t events)
{
	struct port *p = arg;

	if (events & EPOLLOUT && p->starved) {
		p->starved = false;
		if (p->user.writable)
			p->user.writable(p->user.arg);
	}
	if (events & ~(uint32_t)EPOLLOUT && !p->paused && !p->ended)
		port_output(p);
	watch(p);
}

static void port_resume(void *arg)
{
	struct port *p = arg;

	p->paused = false;
	if (p->start < p->end)
		port_output(p);
	watch(p);
}

static void port_opened(void *arg)
{
	struct port *p = arg;

	p->resume.fn = port_resume;
	if (p->user.opened)
		p->user.opened(p->user.arg, true);
}

static _Noreturn void run_guest(int fd[PORT_COUNT])
{
	int null = open("/dev/null", O_RDWR);

	for (int i = 0; i < 3; i++)
		dup2(null, i);
	for (int i = 0; i < PORT_COUNT; i++)
		fd[i] = fcntl(fd[i], F_DUPFD_CLOEXEC, GUEST_FD);
	close_range(3, GUEST_FD - 1, 0);
	close_range(GUEST_FD + PORT_COUNT, ~0U, 0);
	if (lucid.test->guest) {
		lucid.test->guest(fd);
	} else {
		rig_hello(fd, AGENT_VERSION);
		serve(fd, NULL);
	}
	_exit(0);
}

struct console *console_create(struct bus *bus, const struct console_port *ports, unsigned count)
{
	struct console *console = calloc(1, sizeof(*console));
	int fd[8];

	console->loop = bus->loop;
	console->count = count;
	for (unsigned i = 0; i < count; i++) {
		struct port *p = &console->port[i];
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
			_exit(TROUBLE);
		p->user = ports[i];
		p->console = console;
		p->fd = pair[0];
		fd[i] = pair[1];
		p->resume = (struct loop_work){.fn = port_opened, .arg = p};
		loop_add(bus->loop, p->fd, EPOLLIN, port_event, p);
		loop_defer(bus->loop, &p->resume);
	}
	lucid.guest = fork();
	if (lucid.guest == 0)
		run_guest(fd);
	for (unsigned i = 0; i < count; i++)
		close(fd[i]);
	return console;
}

size_t console_send(struct console *console, unsigned port, const void *data, size_t len)
{
	struct port *p = &console->port[port];
	ssize_t n = send(p->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		n = 0;
	p->starved = (size_t)n < len && !p->ended;
	watch(p);
	return n;
}

void console_resume(struct console *console, unsigned port)
{
	loop_defer(console->loop, &console->port[port].resume);
}

void console_hangup(struct console *console, unsigned port)
{
	shutdown(console->port[port].fd, SHUT_WR);
}

/* ---- The process ------------------------------------------------------------------------ */

static void on_end(void *arg, enum session_end why, int status)
{
	(void)arg;
	lucid.status = status;
	lucid.ended = true;
	if (why == SESSION_KILLED || lucid.stopped)
		loop_stop(lucid.loop, 0);
	/* Else the guest ends by itself. */
}

/* A machine's end takes what runs in it along; of this one that is left to the host. */
static void end_guest(void)
{
	FILE *children;
	int pid;

	kill(lucid.guest, SIGKILL);
	waitpid(lucid.guest, NULL, 0);
	while ((children = fopen("/proc/thread-self/children", "r"))) {
		bool any = false;

		for (; fscanf(children, "%d", &pid) == 1; any = true) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		fclose(children);
		if (!any)
			break;
	}
}

static int lucid_main(const struct rig_case *c)
{
	char *argv[] = {"sh", "-c", (char *)c->script, NULL};
	struct bus bus = {0};
	struct vm_command command = {
		.argv = c->script ? argv : NULL,
		.uid = getuid(),
		.gid = getgid(),
		.tty = c->tty,
	};

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	lucid.test = c;
	lucid.status = TROUBLE + 1;
	lucid.loop = bus.loop = loop_create();
	lucid.session = session_create(&bus, lucid.loop,
		&(struct vm_setup){.command = &command, .root = VM_ROOT_INITRD}, on_end, NULL);
	if (!lucid.session)
		return TROUBLE + 2;
	loop_run(lucid.loop);
	session_destroy(lucid.session);
	end_guest();
	return lucid.ended ? lucid.status : TROUBLE + 3;
}

pid_t rig_start(const struct rig_case *c, int in, int out, int err)
{
	int fd[] = {in, out, err};
	pid_t pid = fork();

	if (pid)
		return pid;
	setsid(); /* a terminal on stdin becomes this process's own */
	alarm(LIMIT_SECONDS);
	signal(SIGPIPE, SIG_DFL);
	for (int i = 0; i < 3; i++) {
		if (fd[i] >= 0)
			fd[i] = fcntl(fd[i], F_DUPFD, GUEST_FD);
		close(i);
	}
	for (int i = 0; i < 3; i++)
		if (fd[i] >= 0)
			dup2(fd[i], i);
	close_range(3, ~0U, 0);
	if (stdio_fill() < 0)
		_exit(TROUBLE + 5);
	if (c->uid && (setgroups(0, NULL) < 0 || setgid(c->uid) < 0 || setuid(c->uid) < 0))
		_exit(TROUBLE + 4);
	_exit(lucid_main(c));
}

int rig_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

void rig_hello(int fd[PORT_COUNT], uint32_t version)
{
	struct agent_hello hello = {AGENT_MAGIC, version};

	message_send(fd[PORT_CONTROL], AGENT_HELLO, &hello, sizeof(hello));
}
