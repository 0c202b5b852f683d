/* SPDX-License-Identifier: MIT */
/* The monitor of one agent. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test/unit/agent_rig.h"

#define OUTPUT_MAX (4 << 20)

/* The agent's log is the kernel's; here it is not. */
void system_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

void agent_start(struct guest *g)
{
	int fd[PORT_COUNT];

	memset(g, 0, sizeof(*g));
	for (int i = 0; i < PORT_COUNT; i++) {
		int pair[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		g->port[i] = pair[0];
		fd[i] = pair[1];
		fcntl(fd[i], F_SETFL, O_NONBLOCK);
	}
	g->agent = fork();
	assert_true(g->agent >= 0);
	if (g->agent == 0) {
		for (int i = 0; i < PORT_COUNT; i++)
			close(g->port[i]);
		serve(fd, NULL);
		_exit(0);
	}
	for (int i = 0; i < PORT_COUNT; i++)
		close(fd[i]);
	g->out = calloc(1, OUTPUT_MAX + 1);
	g->err = calloc(1, OUTPUT_MAX + 1);
}

void agent_end(struct guest *g)
{
	int status;

	for (int i = 0; i < PORT_COUNT; i++)
		if (g->port[i] >= 0)
			close(g->port[i]);
	assert_int_equal(waitpid(g->agent, &status, 0), g->agent);
	assert_int_equal(status, 0);
	free(g->out);
	free(g->err);
}

void hang_up(struct guest *g, int port)
{
	close(g->port[port]);
	g->port[port] = -1;
}

void say(struct guest *g, uint32_t type, const void *body, size_t len)
{
	struct agent_header header = {type, len};

	assert_int_equal(write(g->port[PORT_CONTROL], &header, sizeof(header)), sizeof(header));
	if (len)
		assert_int_equal(write(g->port[PORT_CONTROL], body, len), len);
}

void say_signal(struct guest *g, uint32_t n)
{
	struct agent_signal body = {n};

	say(g, AGENT_SIGNAL, &body, sizeof(body));
}

void start(struct guest *g, const struct vm_command *c)
{
	struct agent_winsize size = {33, 99, 0, 0};
	size_t len;
	void *data = proto_start(
		&(struct vm_setup){.command = c, .root = VM_ROOT_INITRD, .fstype = NULL}, &size,
		&len);

	assert_non_null(data);
	assert_int_equal(write(g->port[PORT_CONTROL], data, len), len);
	free(data);
}

void start_script(struct guest *g, const char *script, bool tty)
{
	char *argv[] = {"sh", "-c", (char *)script, NULL};
	struct vm_command c = {.argv = argv, .uid = getuid(), .gid = getgid(), .tty = tty};

	start(g, &c);
}

bool take(struct guest *g, int port, char *to, size_t *len)
{
	ssize_t n = read(g->port[port], to + *len, OUTPUT_MAX - *len);

	if (n <= 0)
		return false;
	*len += n;
	return true;
}

static bool take_control(struct guest *g)
{
	unsigned char byte;
	size_t used;

	/* By bytes, so that nothing beyond the message is taken. */
	while (read(g->port[PORT_CONTROL], &byte, 1) == 1) {
		int r = proto_parse(&g->parser, &byte, 1, &used, &g->last);

		assert_true(r >= 0);
		if (r > 0)
			return true;
	}
	g->last.type = 0; /* the agent has gone */
	return false;
}

uint32_t await(struct guest *g, bool collect)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = g->port[PORT_CONTROL], .events = POLLIN},
			{.fd = collect ? g->port[PORT_STDOUT] : -1, .events = POLLIN},
			{.fd = collect ? g->port[PORT_STDERR] : -1, .events = POLLIN},
		};

		assert_true(poll(fds, 3, TIMEOUT_MS) > 0);
		if (fds[1].revents && !take(g, PORT_STDOUT, g->out, &g->out_len))
			hang_up(g, PORT_STDOUT);
		if (fds[2].revents && !take(g, PORT_STDERR, g->err, &g->err_len))
			hang_up(g, PORT_STDERR);
		if (fds[0].revents) {
			take_control(g);
			return g->last.type;
		}
	}
}

void collect_rest(struct guest *g)
{
	while (g->out_len < g->last.exited.stdout_bytes)
		assert_true(take(g, PORT_STDOUT, g->out, &g->out_len));
	while (g->err_len < g->last.exited.stderr_bytes)
		assert_true(take(g, PORT_STDERR, g->err, &g->err_len));
	assert_int_equal(g->out_len, g->last.exited.stdout_bytes);
	assert_int_equal(g->err_len, g->last.exited.stderr_bytes);
}

void await_exit(struct guest *g, uint32_t status)
{
	assert_int_equal(await(g, true), AGENT_EXITED);
	assert_int_equal(g->last.exited.status, status);
	collect_rest(g);
}
