/* SPDX-License-Identifier: MIT */
/* The client: non-blocking sockets, and a deadline for all of them. */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "api/client.h"
#include "api/rundir.h"

#define TIMEOUT_MS 5000
#define HEAD_MAX 1024
#define NO_ANSWER "%s does not answer; `lucid kill %s` ends it"

__attribute__((format(printf, 2, 3))) static int fail(char error[256], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(error, 256, fmt, ap);
	va_end(ap);
	return -1;
}

#define STUCK (-2)

/*
 * A connected socket, or -1, or STUCK. Connecting to a Unix socket waits only for room in its
 * queue.
 */
static int connect_to(const char *name, const char *file, int flags, char error[256])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int dir = rundir_enter(name), fd, r;
	bool stuck;

	if (dir < 0 && errno == ENOENT)
		return fail(error, "no machine named %s is running; see `lucid ps`", name);
	if (dir < 0)
		return fail(error, "%s: %s; see XDG_RUNTIME_DIR", name, strerror(errno));
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir, file);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
	r = fd < 0 ? -1 : connect(fd, (const struct sockaddr *)&address, sizeof(address));
	stuck = r < 0 && errno == EAGAIN;
	if (r < 0 && (errno == ENOENT || errno == ECONNREFUSED))
		fail(error, "%s is starting or ending; try again", name);
	else if (stuck)
		fail(error, NO_ANSWER, name, name);
	else if (r < 0)
		fail(error, "%s: %s; see XDG_RUNTIME_DIR", name, strerror(errno));
	close(dir);
	if (r < 0 && fd >= 0)
		close(fd);
	if (r < 0)
		return stuck ? STUCK : -1;
	return fd;
}

int api_connect(const char *name, const char *file, char error[256])
{
	int fd = connect_to(name, file, 0, error);

	return fd < 0 ? -1 : fd;
}

static void call_begin(struct api_call *c, const char *method, const char *path, const char *body)
{
	c->status = 0;
	c->json = NULL;
	c->text = NULL;
	c->error[0] = '\0';
	c->stuck = c->strange = false;
	c->out_done = 0;
	c->out = NULL;
	http_init(&c->message, HTTP_RESPONSE, HTTP_BODY_MAX);
	c->fd = connect_to(c->name, RUNDIR_CONTROL, SOCK_NONBLOCK, c->error);
	c->stuck = c->fd == STUCK;
	if (c->fd < 0)
		return;
	c->out = http_request(method, path, body, &c->out_len);
	if (!c->out) {
		fail(c->error, "out of memory");
		close(c->fd);
		c->fd = -1;
	}
}

static void take_answer(struct api_call *c, const struct http_message *m)
{
	c->status = (int)m->parser.status_code;
	c->text = strdup(m->body ? m->body : "");
	c->json = json_loadb(m->body ? m->body : "", m->body_len, 0, NULL);
	if (c->status / 100 != 2) {
		const char *text = json_string_value(json_object_get(c->json, "error"));

		fail(c->error, "%s: %s", c->name, text ? text : "refused");
	}
}

/* Takes the answer apart; the connection has done its duty. */
static void call_end(struct api_call *c)
{
	const struct http_message *m = &c->message;

	if (m->complete)
		take_answer(c, m);
	if (c->strange)
		fail(c->error, "%s gives an answer that is none; is it of another version?",
			c->name);
	else if (!m->complete && !c->error[0])
		fail(c->error, "%s is starting or ending; try again", c->name);
	http_clear(&c->message);
	free(c->out);
	c->out = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void call_ready(struct api_call *c)
{
	char data[16384];
	size_t used;
	ssize_t n;

	if (c->out_done < c->out_len) {
		n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done, MSG_NOSIGNAL);
		if (n > 0)
			c->out_done += (size_t)n;
		if (n > 0 || errno == EAGAIN || errno == EINTR)
			return;
	}
	n = recv(c->fd, data, sizeof(data), 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0 && !http_feed(&c->message, data, (size_t)n, &used))
		c->strange = true;
	if (n < 0 || c->strange)
		n = 0;
	if (n == 0 || c->message.complete)
		call_end(c);
}

static long now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* One round of waiting; how many calls are still open. */
static size_t wait_once(struct api_call *calls, size_t count, struct pollfd *fds, int ms)
{
	size_t open = 0;

	for (size_t i = 0; i < count; i++) {
		bool sending = calls[i].out_done < calls[i].out_len;

		fds[i] = (struct pollfd){.fd = calls[i].fd, .events = sending ? POLLOUT : POLLIN};
		open += calls[i].fd >= 0;
	}
	if (open == 0 || poll(fds, count, ms) < 0)
		return open;
	for (size_t i = 0; i < count; i++)
		if (fds[i].fd >= 0 && fds[i].revents)
			call_ready(&calls[i]);
	return open;
}

void api_calls(struct api_call *calls, size_t count, const char *method, const char *path,
	const json_t *body, int timeout_ms)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct pollfd *fds = calloc(count ? count : 1, sizeof(*fds));
	long deadline = now_ms() + timeout_ms, left = timeout_ms;

	for (size_t i = 0; i < count; i++)
		call_begin(&calls[i], method, path, text);
	while (fds && left >= 0 && wait_once(calls, count, fds, (int)left) > 0)
		left = deadline - now_ms();
	for (size_t i = 0; i < count; i++) {
		if (calls[i].fd < 0)
			continue;
		calls[i].stuck = true;
		fail(calls[i].error, NO_ANSWER, calls[i].name, calls[i].name);
		call_end(&calls[i]);
	}
	free(fds);
	free(text);
}

bool api_call(struct api_call *call, const char *name, const char *method, const char *path,
	const json_t *body)
{
	call->name = name;
	api_calls(call, 1, method, path, body, TIMEOUT_MS);
	return call->status / 100 == 2;
}

void api_call_clear(struct api_call *c)
{
	json_decref(c->json);
	free(c->text);
	c->json = NULL;
	c->text = NULL;
}

/* The server sends nothing behind its answer until the client has spoken: see api/client.h. */
static int read_head(int fd, char head[HEAD_MAX])
{
	size_t len = 0;

	while (len < HEAD_MAX - 1) {
		ssize_t n = recv(fd, head + len, HEAD_MAX - 1 - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		len += (size_t)n;
		head[len] = '\0';
		if (strstr(head, "\r\n\r\n"))
			return 0;
	}
	return -1;
}

int api_upgrade(const char *name, const char *path, char error[256])
{
	const struct timeval limit = {.tv_sec = TIMEOUT_MS / 1000}, none = {0};
	char request[512], head[HEAD_MAX] = "";
	int n = snprintf(request, sizeof(request),
		"POST %s HTTP/1.1\r\nHost: lucid\r\nConnection: Upgrade\r\n"
		"Upgrade: lucid-stream\r\nContent-Length: 0\r\n\r\n",
		path);
	int fd = connect_to(name, RUNDIR_CONTROL, 0, error);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n || read_head(fd, head) < 0) {
		fail(error, NO_ANSWER, name, name);
	} else if (strncmp(head, "HTTP/1.1 101 ", 13) != 0) {
		const char *body = strstr(head, "\r\n\r\n") + 4;
		json_t *json = json_loads(body, 0, NULL);
		const char *text = json_string_value(json_object_get(json, "error"));

		fail(error, "%s: %s", name, text ? text : "refused");
		json_decref(json);
	} else {
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
		return fd;
	}
	close(fd);
	return -1;
}
