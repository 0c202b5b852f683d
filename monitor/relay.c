/* SPDX-License-Identifier: MIT */
/* Three socket pairs, a log, and clients that may be slow. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/stream.h"
#include "base/log.h"
#include "monitor/relay.h"

#define CLIENTS_MAX 8
/* A client that has as much to take yet makes the command wait, but only for so long. */
#define BACKLOG_MAX (256U << 10)
#define PATIENCE 10 /* seconds */
#define FLUSH_MS 1000
#define STATUS_MAX 255

struct client {
	struct relay *relay;
	struct stream stream;
	bool greeted; /* has spoken */
	size_t held; /* bytes of input that the guest has not taken */
	char input[STREAM_WINDOW];
};

struct output {
	struct relay *relay;
	int fd; /* our end */
	uint32_t type; /* STREAM_OUTPUT or STREAM_ERRORS */
};

struct relay {
	struct loop *loop;
	struct logfile *log;
	struct session *session;
	int input; /* our end of stdin */
	bool input_ended;
	int timer; /* runs while the outputs wait for a client */
	bool waiting;
	struct output output[2];
	struct client *client[CLIENTS_MAX];
};

/* ---- Output -------------------------------------------------------------------- */

static void set_waiting(struct relay *r, bool waiting)
{
	const struct itimerspec t = {.it_value.tv_sec = waiting ? PATIENCE : 0};

	if (r->waiting == waiting)
		return;
	r->waiting = waiting;
	timerfd_settime(r->timer, 0, &t, NULL);
	for (int i = 0; i < 2; i++)
		loop_change(r->loop, r->output[i].fd, waiting ? 0 : EPOLLIN);
}

static bool is_behind(const struct client *c)
{
	return c && c->stream.fd >= 0 && stream_backlog(&c->stream) > BACKLOG_MAX;
}

static void look_who_waits(struct relay *r)
{
	bool waiting = false;

	for (int i = 0; i < CLIENTS_MAX; i++)
		waiting = waiting || is_behind(r->client[i]);
	set_waiting(r, waiting);
}

/* One piece of output; false if there is none now. */
static bool pass_on(struct output *o)
{
	struct relay *r = o->relay;
	char data[STREAM_DATA_MAX];
	ssize_t n = recv(o->fd, data, sizeof(data), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	logfile_write(r->log, data, (size_t)n);
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (r->client[i] && r->client[i]->greeted)
			stream_send(&r->client[i]->stream, o->type, data, (size_t)n);
	return true;
}

static void output_ready(void *arg, uint32_t events)
{
	struct output *o = arg;

	(void)events;
	pass_on(o);
	look_who_waits(o->relay);
}

/* ---- Clients -------------------------------------------------------------------- */

static void forget_client(struct client *c)
{
	struct relay *r = c->relay;

	stream_close(&c->stream);
	look_who_waits(r);
}

static void client_gone(void *arg)
{
	forget_client(arg);
}

static void client_drained(void *arg)
{
	struct client *c = arg;

	look_who_waits(c->relay);
}

/* Gives the guest what it takes of the client's input, and the client as much credit. */
static bool push_input(struct client *c)
{
	struct stream_credit credit;
	ssize_t n = send(c->relay->input, c->input, c->held, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n <= 0 && errno == EAGAIN)
		return false;
	if (n <= 0) { /* the command reads no more */
		c->relay->input_ended = true;
		c->held = 0;
		return true;
	}
	c->held -= (size_t)n;
	memmove(c->input, c->input + n, c->held);
	credit.bytes = (uint32_t)n;
	stream_send(&c->stream, STREAM_CREDIT, &credit, sizeof(credit));
	return c->held == 0;
}

static void input_ready(void *arg, uint32_t events)
{
	struct relay *r = arg;
	bool more = false;

	(void)events;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = r->client[i];

		if (c && c->stream.fd >= 0 && c->held > 0)
			more = !push_input(c) || more;
	}
	loop_change(r->loop, r->input, more ? EPOLLOUT : 0);
}

static void take_input(struct client *c, const void *data, uint32_t len)
{
	struct relay *r = c->relay;

	/* More than it was granted: no client of ours. */
	if (len > sizeof(c->input) - c->held) {
		forget_client(c);
		return;
	}
	memcpy(c->input + c->held, data, len);
	c->held += len;
	if (r->input_ended)
		c->held = 0;
	else if (c->held > 0 && !push_input(c))
		loop_change(r->loop, r->input, EPOLLOUT);
}

static void end_input(struct relay *r)
{
	if (r->input_ended)
		return;
	r->input_ended = true;
	shutdown(r->input, SHUT_WR);
}

static void client_message(void *arg, uint32_t type, const void *body, uint32_t len)
{
	struct client *c = arg;
	struct relay *r = c->relay;
	const struct agent_signal *signal = body;

	if (!c->greeted && type == AGENT_WINSIZE) {
		c->greeted = true;
		stream_send(&c->stream, AGENT_STARTED, NULL, 0);
	}
	if (c->greeted && type == STREAM_INPUT)
		take_input(c, body, len);
	else if (c->greeted && type == STREAM_INPUT_END)
		end_input(r);
	else if (type == AGENT_WINSIZE && len == sizeof(struct agent_winsize))
		session_resize(r->session, body);
	else if (c->greeted && type == AGENT_SIGNAL && len == sizeof(*signal) &&
		 signal->signal >= 1 && signal->signal <= 64)
		session_signal(r->session, (int)signal->signal);
	else if (!c->greeted || type != AGENT_CLOSED)
		forget_client(c);
}

int relay_attach(struct relay *r, int fd)
{
	struct client *c = NULL;
	int err;

	for (int i = 0; i < CLIENTS_MAX && !c; i++) {
		if (!r->client[i])
			r->client[i] = calloc(1, sizeof(*c));
		else if (r->client[i]->stream.fd >= 0)
			continue;
		c = r->client[i];
		if (!c)
			break;
		*c = (struct client){.relay = r};
		c->stream.fd = -1;
	}
	if (!c) {
		close(fd);
		return -EBUSY;
	}
	c->stream.message = client_message;
	c->stream.gone = client_gone;
	c->stream.drained = client_drained;
	c->stream.arg = c;
	err = stream_open(&c->stream, r->loop, fd);
	return err;
}

/* The patience with those who do not take their output is over. */
static void timer_ready(void *arg, uint32_t events)
{
	struct relay *r = arg;
	uint64_t count;

	(void)events;
	if (read(r->timer, &count, sizeof(count)) != sizeof(count))
		return;
	for (int i = 0; i < CLIENTS_MAX; i++)
		if (is_behind(r->client[i]))
			stream_close(&r->client[i]->stream);
	look_who_waits(r);
}

/* ---- Life ------------------------------------------------------------------------ */

/* A pair whose one end becomes a standard stream; the other one, or -1. */
static int replace(int stream)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -1;
	if (dup2(pair[1], stream) < 0) {
		close(pair[0]);
		pair[0] = -1;
	}
	close(pair[1]);
	return pair[0];
}

static int watch(struct relay *r)
{
	int err = loop_add(r->loop, r->input, 0, input_ready, r);

	for (int i = 0; i < 2 && err == 0; i++)
		err = loop_add(r->loop, r->output[i].fd, EPOLLIN, output_ready, &r->output[i]);
	return err ? err : loop_add(r->loop, r->timer, EPOLLIN, timer_ready, r);
}

struct relay *relay_create(struct loop *loop, struct logfile *log)
{
	struct relay *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return NULL;
	r->loop = loop;
	r->log = log;
	r->input = replace(STDIN_FILENO);
	for (int i = 0; i < 2; i++)
		r->output[i] = (struct output){.relay = r,
			.fd = replace(STDOUT_FILENO + i),
			.type = i == 0 ? STREAM_OUTPUT : STREAM_ERRORS};
	r->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	err = r->input < 0 || r->output[0].fd < 0 || r->output[1].fd < 0 || r->timer < 0 ? -errno
											 : watch(r);
	if (err == 0)
		return r;
	relay_destroy(r);
	errno = -err;
	return NULL;
}

void relay_join(struct relay *r, struct session *session)
{
	r->session = session;
}

void relay_end(struct relay *r, int status)
{
	struct agent_exited exited = {.status = (uint32_t)status & STATUS_MAX};

	for (int i = 0; i < 2; i++)
		while (pass_on(&r->output[i]))
			;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		struct client *c = r->client[i];

		if (!c || !c->greeted || c->stream.fd < 0)
			continue;
		stream_send(&c->stream, AGENT_EXITED, &exited, sizeof(exited));
		stream_flush(&c->stream, FLUSH_MS);
	}
}

static void close_watched(struct relay *r, int fd)
{
	if (fd < 0)
		return;
	loop_remove(r->loop, fd);
	close(fd);
}

void relay_destroy(struct relay *r)
{
	if (!r)
		return;
	for (int i = 0; i < CLIENTS_MAX; i++) {
		if (r->client[i])
			stream_close(&r->client[i]->stream);
		free(r->client[i]);
	}
	close_watched(r, r->input);
	close_watched(r, r->output[0].fd);
	close_watched(r, r->output[1].fd);
	close_watched(r, r->timer);
	free(r);
}
