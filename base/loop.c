/* SPDX-License-Identifier: MIT */
/* The monitor's event loop over epoll, and work that was put off to its next round. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/log.h"
#include "base/loop.h"

#define BATCH 64

struct source {
	int fd; /* -1: removed, waits to be freed */
	uint32_t events; /* 0: paused, and not in the epoll set */
	loop_fn *fn;
	void *arg;
	struct source *next; /* watched, or removed */
};

struct loop {
	int epoll;
	bool stopped;
	int value;
	struct source *watched; /* few enough to be looked through */
	struct source *dead; /* removed while events that name them may be in hand */
	struct loop_work *work, **work_tail; /* for the next round */
	struct loop_work *running; /* of this round */
};

struct loop *loop_create(void)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (!loop)
		return NULL;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0) {
		free(loop);
		return NULL;
	}
	loop->work_tail = &loop->work;
	return loop;
}

static void free_all(struct source **list)
{
	while (*list) {
		struct source *s = *list;

		*list = s->next;
		free(s);
	}
}

void loop_destroy(struct loop *loop)
{
	if (!loop)
		return;
	free_all(&loop->dead);
	free_all(&loop->watched);
	close(loop->epoll);
	free(loop);
}

/* Where the list leads to the source of fd, or its end. */
static struct source **find(struct loop *loop, int fd)
{
	struct source **at = &loop->watched;

	while (*at && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

static int control(struct loop *loop, int op, struct source *s, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = s};

	return epoll_ctl(loop->epoll, op, s->fd, &ev) < 0 ? -errno : 0;
}

int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *arg)
{
	if (fd < 0)
		return -EBADF;
	if (*find(loop, fd))
		return -EEXIST;
	struct source *s = malloc(sizeof(*s));
	if (!s)
		return -ENOMEM;
	*s = (struct source){.fd = fd, .events = events, .fn = fn, .arg = arg};

	/* Added even if it starts paused: the caller wants to know now that it can be watched. */
	int r = control(loop, EPOLL_CTL_ADD, s, events);
	if (r == 0 && events == 0)
		r = control(loop, EPOLL_CTL_DEL, s, 0);
	if (r < 0) {
		free(s);
		return r;
	}
	s->next = loop->watched;
	loop->watched = s;
	return 0;
}

int loop_change(struct loop *loop, int fd, uint32_t events)
{
	struct source *s = *find(loop, fd);
	int op = EPOLL_CTL_MOD;

	if (!s)
		return -ENOENT;
	if (s->events == events)
		return 0;
	/* epoll reports EPOLLHUP and EPOLLERR even with no events asked for; a paused fd must be
	 * out. */
	if (events == 0)
		op = EPOLL_CTL_DEL;
	else if (s->events == 0)
		op = EPOLL_CTL_ADD;
	int r = control(loop, op, s, events);
	if (r == 0)
		s->events = events;
	return r;
}

void loop_remove(struct loop *loop, int fd)
{
	struct source **at = find(loop, fd);
	struct source *s = *at;

	if (!s)
		return;
	if (s->events != 0)
		control(loop, EPOLL_CTL_DEL, s, 0);
	*at = s->next;
	s->fd = -1;
	s->next = loop->dead;
	loop->dead = s;
}

void loop_defer(struct loop *loop, struct loop_work *work)
{
	if (work->queued)
		return;
	work->queued = true;
	work->next = NULL;
	*loop->work_tail = work;
	loop->work_tail = &work->next;
}

void loop_cancel(struct loop *loop, struct loop_work *work)
{
	if (!work->queued)
		return;
	work->queued = false;
	for (struct loop_work **p = &loop->running; *p; p = &(*p)->next) {
		if (*p == work) {
			*p = work->next;
			return;
		}
	}
	for (struct loop_work **p = &loop->work; *p; p = &(*p)->next) {
		if (*p == work) {
			*p = work->next;
			if (!*p)
				loop->work_tail = p;
			return;
		}
	}
}

static void run_work(struct loop *loop)
{
	/* What is deferred from here on waits for the next round; what a stop left over comes
	 * first. */
	if (!loop->running) {
		loop->running = loop->work;
		loop->work = NULL;
		loop->work_tail = &loop->work;
	}
	while (loop->running && !loop->stopped) {
		struct loop_work *work = loop->running;

		loop->running = work->next;
		work->queued = false;
		work->fn(work->arg);
	}
}

static void dispatch(struct loop *loop, const struct epoll_event *ev, int count)
{
	for (int i = 0; i < count && !loop->stopped; i++) {
		struct source *s = ev[i].data.ptr;

		/* An earlier callback of this batch may have removed or paused it. */
		if (s->fd >= 0 && s->events != 0)
			s->fn(s->arg, ev[i].events);
	}
}

int loop_run(struct loop *loop)
{
	struct epoll_event ev[BATCH];

	while (!loop->stopped) {
		bool pending = loop->work || loop->running;
		int n = epoll_wait(loop->epoll, ev, BATCH, pending ? 0 : -1);

		if (n < 0 && errno != EINTR)
			log_bug("epoll_wait failed");
		dispatch(loop, ev, n);
		free_all(&loop->dead);
		run_work(loop);
	}
	free_all(&loop->dead);
	loop->stopped = false;
	return loop->value;
}

void loop_stop(struct loop *loop, int value)
{
	loop->stopped = true;
	loop->value = value;
}
