/* SPDX-License-Identifier: MIT */
/* Messages in both directions over one socket. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/stream.h"

/* Messages handled before others of the loop get their turn. */
#define TURN 16

void stream_close(struct stream *s)
{
	if (s->fd < 0)
		return;
	loop_remove(s->loop, s->fd);
	close(s->fd);
	s->fd = -1;
	free(s->out);
	s->out = NULL;
	s->out_len = s->out_room = 0;
}

static void lose(struct stream *s)
{
	stream_close(s);
	s->gone(s->arg);
}

static void watch(struct stream *s)
{
	loop_change(s->loop, s->fd, (s->paused ? 0 : EPOLLIN) | (s->out_len ? EPOLLOUT : 0));
}

static bool write_out(struct stream *s)
{
	size_t done = 0;

	while (done < s->out_len) {
		ssize_t n = send(s->fd, s->out + done, s->out_len - done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	s->out_len -= done;
	memmove(s->out, s->out + done, s->out_len);
	return true;
}

/* 1: a message is there; 0: not yet; -1: nothing will come any more. */
static int read_message(struct stream *s)
{
	size_t want = sizeof(s->header);

	for (;;) {
		if (s->have >= sizeof(s->header)) {
			if (s->header.length > STREAM_DATA_MAX)
				return -1;
			want = sizeof(s->header) + s->header.length;
			if (s->have == want)
				return 1;
		}
		ssize_t n = recv(s->fd, s->in + s->have, want - s->have, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 && errno == EAGAIN ? 0 : -1;
		s->have += (size_t)n;
	}
}

static void ready(void *arg, uint32_t events)
{
	struct stream *s = arg;
	int r = 0;

	if (s->out_len && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP))) {
		if (!write_out(s)) {
			lose(s);
			return;
		}
		watch(s);
		if (!s->out_len && s->drained)
			s->drained(s->arg);
	}
	for (int i = 0; i < TURN && s->fd >= 0 && !s->paused; i++) {
		uint32_t length;

		r = read_message(s);
		if (r <= 0)
			break;
		length = s->header.length;
		s->in[sizeof(s->header) + length] = '\0';
		s->have = 0;
		s->message(s->arg, s->header.type, s->in + sizeof(s->header), length);
	}
	if (r < 0 && s->fd >= 0)
		lose(s);
}

int stream_open(struct stream *s, struct loop *loop, int fd)
{
	int flags = fcntl(fd, F_GETFL), r;

	s->loop = loop;
	s->fd = fd;
	s->have = s->out_len = s->out_room = 0;
	s->out = NULL;
	s->paused = false;
	r = flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0
		    ? -errno
		    : loop_add(loop, fd, EPOLLIN, ready, s);
	if (r < 0) {
		close(fd);
		s->fd = -1;
	}
	return r;
}

bool stream_send(struct stream *s, uint32_t type, const void *body, size_t len)
{
	struct agent_header header = {.type = type, .length = (uint32_t)len};
	size_t need = s->out_len + sizeof(header) + len;
	bool idle = s->out_len == 0;

	if (s->fd < 0)
		return false;
	if (need > s->out_room) {
		char *grown = realloc(s->out, 2 * need);

		if (!grown)
			return false;
		s->out = grown;
		s->out_room = 2 * need;
	}
	memcpy(s->out + s->out_len, &header, sizeof(header));
	if (len)
		memcpy(s->out + s->out_len + sizeof(header), body, len);
	s->out_len = need;
	/* An error shows when the socket is read. */
	if (idle)
		write_out(s);
	watch(s);
	return true;
}

size_t stream_backlog(const struct stream *s)
{
	return s->out_len;
}

void stream_pause(struct stream *s, bool pause)
{
	if (s->fd < 0 || s->paused == pause)
		return;
	s->paused = pause;
	watch(s);
}

void stream_flush(struct stream *s, int ms)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};

	while (s->fd >= 0 && s->out_len && poll(&p, 1, ms) > 0)
		if (!write_out(s))
			return;
}
