/* SPDX-License-Identifier: MIT */
/*
 * A pump moves bytes from one stream to another, and holds a bufferful at most: while the taker
 * does not take, the source is not read, and whoever writes into it waits.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "guest/agent/agent.h"

#define CTRL_D 4

/* What a terminal may still hold when its command ends; FIONREAD does not count all of it. */
#define TTY_HOLDS ((size_t)128 * 1024)

void pump_init(struct pump *p, enum pump_kind kind, int from, int to)
{
	memset(p, 0, offsetof(struct pump, data));
	p->kind = kind;
	p->from = from;
	p->to = to;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void pump_close(struct pump *p)
{
	p->start = p->end = 0;
	close_fd(&p->to);
	close_fd(&p->from);
}

static void source_ended(struct pump *p)
{
	close_fd(&p->from);
	if (p->kind == PUMP_TO_TTY)
		p->data[p->end++] = CTRL_D;
	else if (p->kind == PUMP_TO_PIPE)
		close_fd(&p->to);
}

void pump_watch(const struct pump *p, struct pollfd *fds)
{
	bool full = p->end > p->start;

	fds[0] = (struct pollfd){.fd = full ? -1 : p->from, .events = POLLIN};
	/*
	 * With nothing to write, a pipe is still watched: POLLERR tells that its reader has gone.
	 * A port is not: it reports a hang-up for as long as there is one.
	 */
	fds[1] = (struct pollfd){
		.fd = full || p->kind == PUMP_TO_PIPE ? p->to : -1, .events = full ? POLLOUT : 0};
}

static void fill(struct pump *p)
{
	size_t room = sizeof(p->data);
	ssize_t n;

	if (p->draining && room > p->limit)
		room = p->limit;
	do
		n = room ? read(p->from, p->data, room) : 0;
	while (n < 0 && errno == EINTR);

	p->start = p->end = 0;
	if (n > 0) {
		p->end = n;
		p->limit -= p->draining ? n : 0;
	} else if (n == 0 || errno != EAGAIN || p->draining) {
		source_ended(p);
	}
}

static void drain(struct pump *p)
{
	ssize_t n;

	do
		n = write(p->to, p->data + p->start, p->end - p->start);
	while (n < 0 && errno == EINTR);

	if (n > 0) {
		p->start += n;
		p->total += n;
	} else if (n < 0 && errno != EAGAIN) {
		pump_close(p);
	}
}

void pump_run(struct pump *p, const struct pollfd *fds)
{
	bool readable = fds[0].revents;

	if (fds[1].revents & (POLLERR | POLLHUP | POLLNVAL) && !(fds[1].revents & POLLOUT)) {
		pump_close(p);
		return;
	}
	if (p->end > p->start && fds[1].revents & POLLOUT)
		drain(p);
	while (p->from >= 0 && p->end == p->start && (p->draining || readable)) {
		fill(p);
		readable = false;
		/* Most often there is room at once. */
		if (p->end > p->start)
			drain(p);
	}
}

void pump_drain(struct pump *p)
{
	int n = 0;

	if (p->draining)
		return;
	p->draining = true;
	/* A bound, lest a process that stayed behind and writes for ever keeps the guest up. */
	p->limit = TTY_HOLDS;
	if (!isatty(p->from) && ioctl(p->from, FIONREAD, &n) == 0)
		p->limit = n;
}

bool pump_done(const struct pump *p)
{
	return p->from < 0 && p->end == p->start;
}
