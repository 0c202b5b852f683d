/* SPDX-License-Identifier: MIT */
/*
 * More commands beside the first: each connection from the host is served by a process of its
 * own, so that none of them can keep process 1 from its duties, and what one leaves behind in
 * memory goes with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/vm_sockets.h>

#include "guest/agent/agent.h"

#define BACKLOG 64
#define CTRL_D 4
#define DISMISS_MS 3000
#define DISMISS_STEP_MS 20
#define FIRST_FD 3 /* after the standard streams */
/* What a terminal or pipe may still hold when its command has ended, and no more is waited for. */
#define LEFT_MAX ((size_t)256 * 1024)

struct exec {
	int conn; /* non-blocking */
	int signals;
	pid_t pid;
	bool exited, gone; /* gone: the host is */
	bool input_ended;
	int status;
	struct streams s;
	struct message message;
	size_t start, end; /* of input that the command has not taken */
	char input[STREAM_WINDOW];
};

/* ---- To the host -------------------------------------------------------------------- */

/* Waits for room: the host's end reads whatever else it does. */
static void send_all(struct exec *e, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0 && !e->gone) {
		ssize_t n = send(e->conn, at, len, MSG_NOSIGNAL);

		if (n > 0) {
			at += n;
			len -= n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = e->conn, .events = POLLOUT};

			poll(&p, 1, -1);
		} else if (errno != EINTR) {
			e->gone = true;
		}
	}
}

static void send_message(struct exec *e, uint32_t type, const void *body, size_t len)
{
	struct agent_header header = {.type = type, .length = len};

	send_all(e, &header, sizeof(header));
	send_all(e, body, len);
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

/* Reads once and sends it; how much. A stream that has ended is closed. */
static size_t pass_on(struct exec *e, int *fd, uint32_t type)
{
	char data[STREAM_DATA_MAX];
	ssize_t n = read(*fd, data, sizeof(data));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) { /* a terminal says EIO */
		close_fd(fd);
		return 0;
	}
	send_message(e, type, data, n);
	return n;
}

/* ---- Input --------------------------------------------------------------------------- */

static void end_input(struct exec *e)
{
	const char eof = CTRL_D;

	if (e->s.slave >= 0 && e->s.in >= 0 && write(e->s.in, &eof, 1) < 0)
		system_log("cannot end a terminal's input: %s", strerror(errno));
	else if (e->s.slave < 0)
		close_fd(&e->s.in);
}

static void push_input(struct exec *e)
{
	ssize_t n = write(e->s.in, e->input + e->start, e->end - e->start);
	struct stream_credit credit;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* nobody reads it any more: from now on it is dropped */
		close_fd(&e->s.in);
		n = e->end - e->start;
	}
	e->start += n;
	if (e->start == e->end)
		e->start = e->end = 0;
	credit.bytes = n;
	send_message(e, STREAM_CREDIT, &credit, sizeof(credit));
	if (e->end == 0 && e->input_ended)
		end_input(e);
}

static bool take_input(struct exec *e)
{
	size_t len = e->message.header.length;

	memmove(e->input, e->input + e->start, e->end - e->start);
	e->end -= e->start;
	e->start = 0;
	if (len > sizeof(e->input) - e->end)
		return false; /* more than it was granted */
	memcpy(e->input + e->end, e->message.body, len);
	e->end += len;
	if (e->end > 0)
		push_input(e);
	return true;
}

/* ---- Messages --------------------------------------------------------------------------- */

static void set_size(struct exec *e)
{
	struct agent_winsize size;
	struct winsize w = {0};

	if (e->s.slave < 0 || e->message.header.length != sizeof(size))
		return;
	memcpy(&size, e->message.body, sizeof(size));
	w.ws_row = size.rows;
	w.ws_col = size.cols;
	w.ws_xpixel = size.xpixel;
	w.ws_ypixel = size.ypixel;
	ioctl(e->s.slave, TIOCSWINSZ, &w);
}

static void send_signal(struct exec *e)
{
	struct agent_signal signal;
	pid_t group = 0;

	if (e->exited || e->message.header.length != sizeof(signal))
		return;
	memcpy(&signal, e->message.body, sizeof(signal));
	if (e->s.slave < 0 || ioctl(e->s.out, TIOCGPGRP, &group) < 0 || group <= 0)
		group = e->pid;
	kill(-group, (int)signal.signal);
}

static void close_stream(struct exec *e)
{
	struct agent_closed closed;

	if (e->message.header.length != sizeof(closed))
		return;
	memcpy(&closed, e->message.body, sizeof(closed));
	close_fd(closed.stream == 1 ? &e->s.out : &e->s.err);
}

static bool handle_message(struct exec *e)
{
	switch (e->message.header.type) {
	case STREAM_INPUT:
		return take_input(e);
	case STREAM_INPUT_END:
		e->input_ended = true;
		if (e->end == 0)
			end_input(e);
		return true;
	case AGENT_WINSIZE:
		set_size(e);
		return true;
	case AGENT_SIGNAL:
		send_signal(e);
		return true;
	case AGENT_CLOSED:
		close_stream(e);
		return true;
	default:
		return false;
	}
}

static void receive(struct exec *e)
{
	int r;

	while (!e->gone && (r = message_receive(&e->message, e->conn)) != 0) {
		if (r < 0 || !handle_message(e))
			e->gone = true;
		message_clear(&e->message);
	}
}

/* ---- The command ---------------------------------------------------------------------------- */

/* Waits for START and runs what it says. */
static bool start(struct exec *e)
{
	struct pollfd p = {.fd = e->conn, .events = POLLIN};
	struct command c;
	struct failure f;
	int r;

	while ((r = message_receive(&e->message, e->conn)) == 0)
		poll(&p, 1, -1);
	if (r < 0)
		return false;
	if (e->message.header.type != AGENT_START)
		failure_set(&f, 125, "the agent got message %u before its time",
			e->message.header.type);
	else if (command_parse(&c, &e->message, &f) == 0)
		e->pid = command_spawn(&c, &e->s, &f);
	if (e->pid <= 0) {
		send_message(e, AGENT_ERROR, &f, failure_size(&f));
		return false;
	}
	message_clear(&e->message);
	send_message(e, AGENT_STARTED, NULL, 0);
	return true;
}

static void reap(struct exec *e)
{
	struct signalfd_siginfo info;
	int status;

	while (read(e->signals, &info, sizeof(info)) == sizeof(info))
		;
	if (!e->exited && waitpid(e->pid, &status, WNOHANG) == e->pid) {
		e->exited = true;
		e->status = status;
	}
}

static void wait_and_handle(struct exec *e)
{
	struct pollfd fds[] = {
		{.fd = e->conn, .events = POLLIN},
		{.fd = e->signals, .events = POLLIN},
		{.fd = e->s.out, .events = POLLIN},
		{.fd = e->s.err, .events = POLLIN},
		/* With nothing to write, POLLERR tells that a pipe's reader has gone. */
		{.fd = e->end > 0 || e->s.slave < 0 ? e->s.in : -1,
			.events = e->end > 0 ? POLLOUT : 0},
	};

	if (poll(fds, 5, -1) < 0)
		return; /* EINTR */
	if (fds[4].revents & POLLOUT)
		push_input(e);
	else if (fds[4].revents & (POLLERR | POLLHUP | POLLNVAL))
		close_fd(&e->s.in);
	if (fds[2].revents)
		pass_on(e, &e->s.out, STREAM_OUTPUT);
	if (fds[3].revents)
		pass_on(e, &e->s.err, STREAM_ERRORS);
	if (fds[0].revents)
		receive(e);
	if (fds[1].revents)
		reap(e);
}

/* The command has ended; processes that it left behind may write on, but not for us. */
static void finish(struct exec *e)
{
	struct agent_exited exited = {0};
	size_t left = LEFT_MAX, n;

	while (e->s.out >= 0 && left > 0 && (n = pass_on(e, &e->s.out, STREAM_OUTPUT)) > 0)
		left -= n < left ? n : left;
	left = LEFT_MAX;
	while (e->s.err >= 0 && left > 0 && (n = pass_on(e, &e->s.err, STREAM_ERRORS)) > 0)
		left -= n < left ? n : left;
	if (WIFSIGNALED(e->status)) {
		exited.signal = WTERMSIG(e->status);
		exited.status = 128 + exited.signal;
	} else {
		exited.status = WEXITSTATUS(e->status);
	}
	send_message(e, AGENT_EXITED, &exited, sizeof(exited));
}

/*
 * The host is gone: SIGHUP, as on a terminal that is gone. What the command still writes is
 * dropped for a while, or SIGPIPE would be what it gets to see.
 */
static void dismiss(struct exec *e)
{
	struct pollfd p = {.fd = e->signals, .events = POLLIN};

	kill(-e->pid, SIGHUP);
	for (int i = 0; i < DISMISS_MS / DISMISS_STEP_MS && !e->exited; i++) {
		if (poll(&p, 1, DISMISS_STEP_MS) > 0)
			reap(e);
		while (e->s.out >= 0 && pass_on(e, &e->s.out, STREAM_OUTPUT) > 0)
			;
		while (e->s.err >= 0 && pass_on(e, &e->s.err, STREAM_ERRORS) > 0)
			;
	}
}

static int open_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

void exec_serve(int conn)
{
	static struct exec e;

	memset(&e, 0, sizeof(e));
	e.s = (struct streams){-1, -1, -1, -1};
	e.conn = conn;
	e.signals = open_signals();
	fcntl(conn, F_SETFL, fcntl(conn, F_GETFL) | O_NONBLOCK);
	if (e.signals < 0 || !start(&e))
		return;
	while (!e.exited && !e.gone)
		wait_and_handle(&e);
	if (e.exited)
		finish(&e);
	else
		dismiss(&e);
}

/* ---- In process 1 ------------------------------------------------------------------------------
 */

int exec_listen(void)
{
	struct sockaddr_vm address = {
		.svm_family = AF_VSOCK,
		.svm_port = AGENT_VSOCK_PORT,
		.svm_cid = VMADDR_CID_ANY,
	};
	int fd = socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd, BACKLOG) < 0) {
		system_log("no commands from the host: %s", strerror(errno));
		close(fd);
		return -1;
	}
	return fd;
}

void exec_accept(int listener)
{
	struct sockaddr_vm peer;
	socklen_t len = sizeof(peer);
	int conn = accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC);
	pid_t pid;

	if (conn < 0)
		return;
	/* Programs of the guest may connect to it as well, and are not to get root by it. */
	pid = peer.svm_cid == VMADDR_CID_HOST ? fork() : -1;
	if (pid == 0) {
		/* Nothing of process 1: an end that it closes is to be closed. */
		if (dup2(conn, FIRST_FD) != FIRST_FD || close_range(FIRST_FD + 1, ~0U, 0) < 0 ||
			fcntl(FIRST_FD, F_SETFD, FD_CLOEXEC) < 0)
			_exit(EXIT_FAILURE);
		setsid();
		exec_serve(FIRST_FD);
		_exit(0);
	}
	if (pid < 0 && peer.svm_cid == VMADDR_CID_HOST)
		system_log("cannot fork for a command: %s", strerror(errno));
	close(conn);
}
