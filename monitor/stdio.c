/* SPDX-License-Identifier: MIT */
/* Lucid's own standard streams, without blocking and without changing shared descriptions. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/stdio.h"

/* Reads of a plain file before others get their turn. */
#define INLET_ROUNDS 16

int stdio_fill(void)
{
	int fd;

	do {
		fd = open("/dev/null", O_RDWR);
		if (fd < 0)
			return -errno;
	} while (fd <= STDERR_FILENO);
	close(fd);
	return 0;
}

/* What fd is; *own becomes a description of our own if there can be one, else fd. */
static enum stdio_kind classify(int fd, int flags, int *own)
{
	char path[32];
	struct stat st;

	*own = fd;
	if (fstat(fd, &st) < 0)
		return STDIO_CLOSED;
	if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode) || S_ISDIR(st.st_mode))
		return STDIO_FILE;
	if (S_ISSOCK(st.st_mode))
		return STDIO_SOCKET;
	/* To open another kind of device may do something. */
	if (!S_ISFIFO(st.st_mode) && !isatty(fd))
		return STDIO_SHARED;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*own = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (*own >= 0)
		return STDIO_OWN;
	*own = fd;
	return STDIO_SHARED;
}

static void close_own(enum stdio_kind kind, int fd)
{
	if (kind == STDIO_OWN)
		close(fd);
}

static bool polls(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	/* Errors count: the operation will tell which. */
	return poll(&p, 1, 0) > 0;
}

/* ---- Output ------------------------------------------------------------------ */

static void outlet_ready(void *arg, uint32_t events)
{
	struct outlet *o = arg;

	(void)events;
	o->blocked = false;
	loop_change(o->loop, o->fd, 0);
	o->ready(o->arg);
}

void outlet_open(struct outlet *o, struct loop *loop, int fd)
{
	o->loop = loop;
	o->watched = o->blocked = false;
	o->error = 0;
	o->kind = classify(fd, O_WRONLY, &o->fd);
	if (o->kind == STDIO_CLOSED || o->kind == STDIO_FILE)
		return;
	if (loop_add(loop, o->fd, 0, outlet_ready, o) == 0) {
		o->watched = true;
	} else {
		/* A device without poll(), such as /dev/null: it does not block either. */
		close_own(o->kind, o->fd);
		o->fd = fd;
		o->kind = STDIO_FILE;
	}
}

void outlet_close(struct outlet *o)
{
	if (o->watched)
		loop_remove(o->loop, o->fd);
	close_own(o->kind, o->fd);
	o->kind = STDIO_CLOSED;
	o->watched = o->blocked = false;
}

static ssize_t write_some(const struct outlet *o, const void *data, size_t len)
{
	switch (o->kind) {
	case STDIO_SOCKET:
		return send(o->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
	case STDIO_SHARED:
		if (!polls(o->fd, POLLOUT)) {
			errno = EAGAIN;
			return -1;
		}
		return write(o->fd, data, len < PIPE_BUF ? len : PIPE_BUF);
	default:
		return write(o->fd, data, len);
	}
}

size_t outlet_write(struct outlet *o, const void *data, size_t len)
{
	const char *bytes = data;
	size_t done = 0;

	if (o->blocked)
		return 0;
	while (done < len && o->kind != STDIO_CLOSED) {
		ssize_t n = write_some(o, bytes + done, len - done);

		if (n > 0) {
			done += n;
		} else if (n < 0 && errno == EAGAIN && o->watched) {
			o->blocked = true;
			loop_change(o->loop, o->fd, EPOLLOUT);
			return done;
		} else if (n == 0 || errno != EINTR) {
			o->error = n == 0 ? EIO : errno;
			outlet_close(o);
			o->gone(o->arg);
		}
	}
	return len;
}

/* ---- Input ------------------------------------------------------------------- */

static void inlet_ready(void *arg, uint32_t events);

static void inlet_again(void *arg)
{
	inlet_run(arg);
}

void inlet_open(struct inlet *in, struct loop *loop, int fd)
{
	in->loop = loop;
	in->original = fd;
	in->again = (struct loop_work){.fn = inlet_again, .arg = in};
	in->start = in->end = 0;
	in->done = in->watched = false;
	in->kind = classify(fd, O_RDONLY, &in->fd);
	/* Opened now: later, in the monitor's seccomp filter, nothing is. */
	in->null = in->kind == STDIO_CLOSED ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (in->kind == STDIO_CLOSED || in->kind == STDIO_FILE)
		return;
	if (loop_add(loop, in->fd, 0, inlet_ready, in) == 0) {
		in->watched = true;
	} else {
		close_own(in->kind, in->fd);
		in->fd = fd;
		in->kind = STDIO_FILE;
	}
}

void inlet_close(struct inlet *in, bool forsake)
{
	loop_cancel(in->loop, &in->again);
	if (in->watched)
		loop_remove(in->loop, in->fd);
	close_own(in->kind, in->fd);
	in->watched = false;
	in->done = true;
	if (forsake && in->null >= 0) {
		/* The lowest free number: the one just closed. dup2() is not among our system
		 * calls. */
		close(in->original);
		fcntl(in->null, F_DUPFD, in->original);
	}
	if (in->null >= 0)
		close(in->null);
	in->null = -1;
	in->kind = STDIO_CLOSED;
}

static ssize_t read_some(struct inlet *in)
{
	if (in->kind == STDIO_SOCKET)
		return recv(in->fd, in->data, sizeof(in->data), MSG_DONTWAIT);
	if (in->kind == STDIO_SHARED && !polls(in->fd, POLLIN)) {
		errno = EAGAIN;
		return -1;
	}
	return read(in->fd, in->data, sizeof(in->data));
}

/* Gives what was read. true: all of it was taken. */
static bool give_all(struct inlet *in)
{
	in->start += in->give(in->arg, in->data + in->start, in->end - in->start);
	return in->start == in->end;
}

static void watch(struct inlet *in, bool on)
{
	if (in->watched)
		loop_change(in->loop, in->fd, on ? EPOLLIN : 0);
}

static void inlet_ready(void *arg, uint32_t events)
{
	(void)events;
	inlet_run(arg);
}

void inlet_run(struct inlet *in)
{
	if (in->done)
		return;
	for (int round = 0; round < INLET_ROUNDS; round++) {
		ssize_t n;

		if (in->start < in->end && !give_all(in)) {
			watch(in, false);
			return;
		}
		n = in->kind == STDIO_CLOSED ? 0 : read_some(in);
		if (n > 0) {
			in->start = 0;
			in->end = n;
		} else if (n < 0 && errno == EAGAIN && in->watched) {
			watch(in, true);
			return;
		} else if (n == 0 || errno != EINTR) {
			inlet_close(in, false);
			in->ended(in->arg);
			return;
		}
	}
	/* Others have their turn first. */
	watch(in, false);
	loop_defer(in->loop, &in->again);
}
