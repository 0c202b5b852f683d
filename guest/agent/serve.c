/* SPDX-License-Identifier: MIT */
/* From START to the command's end: one loop that waits in poll(). */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define GRACE_MS 3000

struct server {
	int *port;
	int signals; /* signalfd */
	int execs; /* where connections for more commands arrive, or -1 */
	int slave;
	pid_t pid; /* of the command; 0: none */
	bool started, exited, released, over;
	int status; /* as waitpid() gives it */
	long kill_at; /* when grace ends; 0: no shutdown */
	struct message message;
	struct pump in, out, err;
	int (*before_run)(const struct command *c, struct failure *f);
};

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void signal_all(const struct server *s, int signal)
{
	/* Process 1 asks everybody; a test must not. */
	if (getpid() == 1)
		kill(-1, signal);
	else if (s->pid > 0)
		kill(-s->pid, signal);
}

static void begin_shutdown(struct server *s)
{
	if (s->kill_at)
		return;
	if (!s->pid || s->exited) {
		s->over = !s->exited;
		return;
	}
	s->kill_at = now_ms() + GRACE_MS;
	signal_all(s, SIGTERM);
	/* Shells on a terminal heed only this one. */
	if (s->slave >= 0)
		kill(-s->pid, SIGHUP);
	signal_all(s, SIGCONT);
}

static void fail(struct server *s, const struct failure *f)
{
	if (message_send_failure(s->port[PORT_CONTROL], f) < 0)
		system_log("%s", f->text);
	s->over = true;
}

static void start(struct server *s)
{
	struct streams streams = {-1, -1, -1, -1};
	struct failure f;
	struct command c;

	if (command_parse(&c, &s->message, &f) < 0) {
		fail(s, &f);
		return;
	}
	if (!s->before_run || s->before_run(&c, &f) == 0)
		s->pid = command_spawn(&c, &streams, &f);
	else
		s->pid = -1;
	if (s->pid < 0) {
		s->pid = 0;
		fail(s, &f);
	} else {
		s->started = true;
		s->slave = streams.slave;
		pump_init(&s->in, streams.slave >= 0 ? PUMP_TO_TTY : PUMP_TO_PIPE,
			s->port[PORT_STDIN], streams.in);
		pump_init(&s->out, PUMP_TO_PORT, streams.out, s->port[PORT_STDOUT]);
		pump_init(&s->err, PUMP_TO_PORT, streams.err, s->port[PORT_STDERR]);
		s->port[PORT_STDIN] = s->port[PORT_STDOUT] = s->port[PORT_STDERR] = -1;
		message_send(s->port[PORT_CONTROL], AGENT_STARTED, NULL, 0);
	}
	command_free(&c);
}

static void set_winsize(struct server *s)
{
	struct agent_winsize size;
	struct winsize w = {0};

	if (s->slave < 0 || s->message.header.length != sizeof(size))
		return;
	memcpy(&size, s->message.body, sizeof(size));
	w.ws_row = size.rows;
	w.ws_col = size.cols;
	w.ws_xpixel = size.xpixel;
	w.ws_ypixel = size.ypixel;
	ioctl(s->slave, TIOCSWINSZ, &w);
}

static void send_signal(struct server *s)
{
	struct agent_signal signal;
	pid_t group = 0;

	if (s->exited || s->message.header.length != sizeof(signal))
		return;
	memcpy(&signal, s->message.body, sizeof(signal));
	/* On a terminal, whatever is in the foreground. */
	if (s->out.from < 0 || s->slave < 0 || ioctl(s->out.from, TIOCGPGRP, &group) < 0 ||
		group <= 0)
		group = s->pid;
	kill(-group, (int)signal.signal);
}

static void close_stream(struct server *s)
{
	struct agent_closed closed;

	if (s->message.header.length != sizeof(closed))
		return;
	memcpy(&closed, s->message.body, sizeof(closed));
	if (s->slave >= 0) {
		/* The last descriptors of the terminal: its processes get a SIGHUP. */
		close(s->slave);
		s->slave = -1;
		pump_close(&s->in);
		pump_close(&s->out);
	} else {
		pump_close(closed.stream == 1 ? &s->out : &s->err);
	}
}

static void handle_message(struct server *s)
{
	uint32_t type = s->message.header.type;
	struct failure f;

	if (type == AGENT_START && !s->started) {
		start(s);
	} else if (type == AGENT_SHUTDOWN) {
		begin_shutdown(s);
	} else if (type == AGENT_DONE && s->exited) {
		s->released = true;
	} else if (!s->started || type == AGENT_START) {
		failure_set(&f, 125, "the agent got message %u before or after its time", type);
		fail(s, &f);
	} else if (type == AGENT_WINSIZE) {
		set_winsize(s);
	} else if (type == AGENT_SIGNAL) {
		send_signal(s);
	} else if (type == AGENT_CLOSED) {
		close_stream(s);
	} else {
		failure_set(&f, 125, "the agent does not know message %u", type);
		fail(s, &f);
	}
}

static void handle_control(struct server *s)
{
	int r;

	while (!s->over && (r = message_receive(&s->message, s->port[PORT_CONTROL])) != 0) {
		if (r < 0) {
			/* The monitor is gone, or speaks nonsense: nobody to talk to. */
			s->over = true;
			return;
		}
		handle_message(s);
		message_clear(&s->message);
	}
}

static void reap(struct server *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != s->pid || s->exited)
			continue;
		s->exited = true;
		s->status = status;
		pump_drain(&s->out);
		pump_drain(&s->err);
	}
}

static void handle_signals(struct server *s)
{
	struct signalfd_siginfo info;

	while (read(s->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(s);
		else
			begin_shutdown(s); /* what poweroff, halt and reboot send to process 1 */
	}
}

static void say_exited(struct server *s)
{
	struct agent_exited exited = {
		.stdout_bytes = s->out.total,
		.stderr_bytes = s->err.total,
	};

	if (WIFSIGNALED(s->status)) {
		exited.signal = WTERMSIG(s->status);
		exited.status = 128 + exited.signal;
	} else {
		exited.status = WEXITSTATUS(s->status);
	}
	message_send(s->port[PORT_CONTROL], AGENT_EXITED, &exited, sizeof(exited));
}

static int time_left(const struct server *s)
{
	long left = s->kill_at - now_ms();

	if (!s->kill_at || s->exited)
		return -1;
	return left > 0 ? (int)left : 0;
}

static void wait_and_handle(struct server *s)
{
	struct pollfd fds[9] = {
		{.fd = s->signals, .events = POLLIN},
		{.fd = s->port[PORT_CONTROL], .events = POLLIN},
		/* Only where there is a root to run them in. */
		[8] = {.fd = s->started && !s->exited ? s->execs : -1, .events = POLLIN},
	};

	pump_watch(&s->in, fds + 2);
	pump_watch(&s->out, fds + 4);
	pump_watch(&s->err, fds + 6);
	if (poll(fds, 9, time_left(s)) < 0)
		return; /* EINTR */
	if (s->kill_at && !s->exited && now_ms() >= s->kill_at) {
		signal_all(s, SIGKILL);
		s->kill_at = now_ms() + GRACE_MS;
	}
	if (fds[1].revents)
		handle_control(s);
	if (fds[0].revents)
		handle_signals(s);
	pump_run(&s->in, fds + 2);
	pump_run(&s->out, fds + 4);
	pump_run(&s->err, fds + 6);
	if (fds[8].revents)
		exec_accept(s->execs);
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGPWR);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void serve(int fd[PORT_COUNT], int (*before_run)(const struct command *c, struct failure *f))
{
	static struct server s;

	memset(&s, 0, sizeof(s));
	s.port = fd;
	s.slave = -1;
	s.before_run = before_run;
	s.signals = open_signals();
	s.execs = exec_listen();
	pump_init(&s.in, PUMP_TO_PIPE, -1, -1);
	pump_init(&s.out, PUMP_TO_PORT, -1, -1);
	pump_init(&s.err, PUMP_TO_PORT, -1, -1);

	while (!s.over && !(s.exited && pump_done(&s.out) && pump_done(&s.err)))
		wait_and_handle(&s);
	if (s.exited) {
		say_exited(&s);
		while (!s.over &&
			!s.released) /* what is in the ports' queues is still to be read */
			wait_and_handle(&s);
	}

	/*
	 * The ports stay open, or a close could overtake EXITED and look like the command's doing.
	 */
	message_clear(&s.message);
}
