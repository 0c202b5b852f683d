/* SPDX-License-Identifier: MIT */
/* Connections of a control socket. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include "api/http.h"
#include "api/server.h"
#include "base/log.h"

#define CONNECTIONS_MAX 32
#define BODY_MAX 65536
#define PATIENCE 10 /* seconds for a request and its answer */
#define CHUNK 4096
/* Of a connection that is answered: what it sends still is read and dropped, up to here. */
#define LINGER_MAX (1U << 20)

struct connection {
	struct api_server *server;
	int fd; /* -1: free */
	unsigned age; /* seconds */
	bool answered;
	size_t dropped; /* bytes read after the answer */
	struct http_message message;
	char *out;
	size_t out_len, out_done;
	void (*upgrade)(void *arg, int fd);
};

struct api_server {
	struct loop *loop;
	int listener, timer;
	bool full; /* the listener is paused */
	const struct api_route *routes;
	void *arg;
	struct connection connection[CONNECTIONS_MAX];
};

/* ---- Answers -------------------------------------------------------------------- */

void api_refuse(struct api_reply *reply, int status, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	json_decref(reply->json);
	reply->status = status;
	reply->json = json_pack("{s:s}", "error", text);
}

static const struct api_route *find_route(
	const struct api_server *s, const struct http_message *m, struct api_reply *reply)
{
	const char *method = http_method_str((enum http_method)m->parser.method);
	size_t len = strcspn(m->path, "?");
	bool known = false;

	for (const struct api_route *r = s->routes; r->method; r++) {
		if (strlen(r->path) != len || memcmp(r->path, m->path, len) != 0)
			continue;
		if (strcmp(r->method, method) == 0)
			return r;
		known = true;
	}
	if (known)
		api_refuse(reply, 405, "%s is not for %.*s", method, (int)len, m->path);
	else
		api_refuse(reply, 404, "there is no %.*s in this version", (int)len, m->path);
	return NULL;
}

static void dispatch(struct connection *c, struct api_reply *reply)
{
	const struct http_message *m = &c->message;
	const struct api_route *route = find_route(c->server, m, reply);
	json_error_t error;
	json_t *body = NULL;

	if (!route)
		return;
	if (m->body_len > 0) {
		body = json_loadb(m->body, m->body_len, JSON_REJECT_DUPLICATES, &error);
		if (!json_is_object(body)) {
			api_refuse(reply, 400, "the body is no JSON object");
			json_decref(body);
			return;
		}
	}
	route->handle(c->server->arg, body, reply);
	json_decref(body);
}

static void set_answer(struct connection *c, const struct api_reply *reply)
{
	static const char upgrade[] = "HTTP/1.1 101 Switching Protocols\r\n"
				      "Connection: Upgrade\r\nUpgrade: lucid-stream\r\n\r\n";
	char *text = reply->json ? json_dumps(reply->json, JSON_COMPACT) : NULL;

	if (reply->status == 101) {
		c->out = strdup(upgrade);
		c->out_len = c->out ? sizeof(upgrade) - 1 : 0;
		c->upgrade = reply->upgrade;
	} else if (reply->text) {
		c->out = http_response(
			reply->status, "text/plain; version=0.0.4", reply->text, &c->out_len);
	} else {
		c->out = http_response(
			reply->status, "application/json", text ? text : "{}", &c->out_len);
	}
	free(text);
}

/* ---- Connections ------------------------------------------------------------------ */

static void set_timer(struct api_server *s, bool on)
{
	const struct itimerspec t = {.it_value.tv_sec = on, .it_interval.tv_sec = on};

	timerfd_settime(s->timer, 0, &t, NULL);
}

/* Forgets the connection; its socket has been closed or given away. */
static void forget(struct connection *c)
{
	struct api_server *s = c->server;
	bool idle = true;

	http_clear(&c->message);
	free(c->out);
	*c = (struct connection){.server = s, .fd = -1};
	if (s->full) {
		s->full = false;
		loop_change(s->loop, s->listener, EPOLLIN);
	}
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		idle = idle && s->connection[i].fd < 0;
	if (idle)
		set_timer(s, false);
}

static void drop(struct connection *c)
{
	loop_remove(c->server->loop, c->fd);
	close(c->fd);
	forget(c);
}

static void finish(struct connection *c)
{
	struct api_server *s = c->server;
	void (*upgrade)(void *arg, int fd) = c->upgrade;
	int fd = c->fd;

	if (upgrade) {
		loop_remove(s->loop, fd);
		forget(c);
		upgrade(s->arg, fd);
		return;
	}
	/* To close with bytes unread would throw away the answer as well: wait for the peer. */
	shutdown(fd, SHUT_WR);
	loop_change(s->loop, fd, EPOLLIN);
}

static void send_answer(struct connection *c)
{
	while (c->out_done < c->out_len) {
		ssize_t n = send(c->fd, c->out + c->out_done, c->out_len - c->out_done,
			MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			loop_change(c->server->loop, c->fd, EPOLLOUT);
			return;
		}
		if (n < 0) {
			drop(c);
			return;
		}
		c->out_done += (size_t)n;
	}
	finish(c);
}

static void answer(struct connection *c, struct api_reply *reply)
{
	c->answered = true;
	set_answer(c, reply);
	json_decref(reply->json);
	free(reply->text);
	if (c->out)
		send_answer(c);
	else
		drop(c); /* no memory */
}

static void receive(struct connection *c)
{
	struct api_reply reply = {.status = 200};
	char data[CHUNK];
	ssize_t n = recv(c->fd, data, sizeof(data), MSG_DONTWAIT);
	size_t used;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		drop(c);
		return;
	}
	if (c->answered) {
		c->dropped += (size_t)n;
		if (c->dropped > LINGER_MAX)
			drop(c);
		return;
	}
	if (!http_feed(&c->message, data, (size_t)n, &used)) {
		if (c->message.too_long)
			api_refuse(&reply, 413, "the request is too long");
		else
			api_refuse(&reply, 400, "that is no HTTP request");
	} else if (c->message.complete) {
		dispatch(c, &reply);
	} else {
		return;
	}
	answer(c, &reply);
}

static void connection_ready(void *arg, uint32_t events)
{
	struct connection *c = arg;

	if (c->answered && (events & EPOLLOUT))
		send_answer(c);
	else
		receive(c);
}

bool api_peer_allowed(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == geteuid() || peer.uid == 0);
}

static struct connection *free_connection(struct api_server *s)
{
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (s->connection[i].fd < 0)
			return &s->connection[i];
	return NULL;
}

static void listener_ready(void *arg, uint32_t events)
{
	struct api_server *s = arg;
	struct connection *c = free_connection(s);
	int fd;

	(void)events;
	if (!c) {
		s->full = true;
		loop_change(s->loop, s->listener, 0);
		return;
	}
	fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	if (!api_peer_allowed(fd) || loop_add(s->loop, fd, EPOLLIN, connection_ready, c) < 0) {
		close(fd);
		return;
	}
	c->fd = fd;
	http_init(&c->message, HTTP_REQUEST, BODY_MAX);
	set_timer(s, true);
}

static void timer_ready(void *arg, uint32_t events)
{
	struct api_server *s = arg;
	uint64_t count;

	(void)events;
	if (read(s->timer, &count, sizeof(count)) != sizeof(count))
		return;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (s->connection[i].fd >= 0 && ++s->connection[i].age > PATIENCE)
			drop(&s->connection[i]);
}

/* ---- The server ---------------------------------------------------------------------- */

/* By way of the directory's descriptor: its whole path may be longer than an address holds. */
int api_listen(int dir, const char *file)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

	if (fd < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", dir, file);
	unlink(address.sun_path);
	mode_t mask = umask(0177);

	r = bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0 && listen(fd, 64) < 0)
		r = -errno;
	if (r < 0)
		close(fd);
	return r < 0 ? r : fd;
}

struct api_server *api_server_create(
	struct loop *loop, int listener, const struct api_route *routes, void *arg)
{
	struct api_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s) {
		close(listener);
		return NULL;
	}
	*s = (struct api_server){.loop = loop, .listener = listener, .routes = routes, .arg = arg};
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		s->connection[i] = (struct connection){.server = s, .fd = -1};
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = s->timer < 0 ? -errno : loop_add(loop, s->timer, EPOLLIN, timer_ready, s);
	if (r == 0)
		r = loop_add(loop, listener, EPOLLIN, listener_ready, s);
	if (r < 0) {
		api_server_destroy(s);
		errno = -r;
		return NULL;
	}
	return s;
}

void api_server_destroy(struct api_server *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < CONNECTIONS_MAX; i++)
		if (s->connection[i].fd >= 0)
			drop(&s->connection[i]);
	loop_remove(s->loop, s->listener);
	close(s->listener);
	if (s->timer >= 0) {
		loop_remove(s->loop, s->timer);
		close(s->timer);
	}
	free(s);
}
