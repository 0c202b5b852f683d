/* SPDX-License-Identifier: MIT */
/* Token buckets on the clock, and a timer for when debts are paid. */
#include "device/throttle.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL
#define HOLDS_NS (SECOND / 10)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* A rate times a time in ns is tokens in billionths; beyond an hour there is nothing to gain. */
static int64_t earned(const struct bucket *b, uint64_t ns)
{
	__int128 n = (__int128)b->rate * (int64_t)(ns < 3600 * SECOND ? ns : 3600 * SECOND);

	return n < INT64_MAX / 2 ? (int64_t)n : INT64_MAX / 2;
}

static void fill(struct bucket *b, uint64_t ns)
{
	int64_t full = earned(b, HOLDS_NS), more = earned(b, ns);

	/* At least one operation's worth, whatever the rate. */
	if (full < SECOND)
		full = SECOND;
	b->tokens = b->tokens > full - more ? full : b->tokens + more;
}

static void pay(struct bucket *b, uint64_t tokens)
{
	__int128 left = (__int128)b->tokens - (__int128)tokens * SECOND;

	if (b->rate)
		b->tokens = left > INT64_MIN / 2 ? (int64_t)left : INT64_MIN / 2;
}

/* Until the bucket is out of debt, in ns. */
static uint64_t wait_of(const struct bucket *b)
{
	return b->tokens >= 0 ? 0 : (uint64_t)-b->tokens / b->rate + 1;
}

bool throttle_may(struct throttle *t)
{
	uint64_t now, wait, other;

	if (t->timer < 0)
		return true;
	now = now_ns();
	fill(&t->operations, now - t->then);
	fill(&t->bytes, now - t->then);
	t->then = now;
	wait = wait_of(&t->operations);
	other = wait_of(&t->bytes);
	if (other > wait)
		wait = other;
	if (wait == 0)
		return true;
	const struct itimerspec spec = {
		.it_value = {(time_t)(wait / SECOND), (long)(wait % SECOND)}};
	timerfd_settime(t->timer, 0, &spec, NULL);
	return false;
}

void throttle_pay(struct throttle *t, uint64_t bytes)
{
	pay(&t->operations, 1);
	pay(&t->bytes, bytes);
}

static void on_timer(void *arg, uint32_t events)
{
	struct throttle *t = arg;
	uint64_t count;

	(void)events;
	if (read(t->timer, &count, sizeof(count)) == sizeof(count))
		t->ready(t->arg);
}

int throttle_init(struct throttle *t, struct loop *loop, uint64_t iops, uint64_t bandwidth,
	void (*ready)(void *arg), void *arg)
{
	int r;

	*t = (struct throttle){
		.operations.rate = iops,
		.bytes.rate = bandwidth,
		.then = now_ns(),
		.loop = loop,
		.timer = -1,
		.ready = ready,
		.arg = arg,
	};
	if (!iops && !bandwidth)
		return 0;
	t->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->timer < 0)
		return -errno;
	r = loop_add(loop, t->timer, EPOLLIN, on_timer, t);
	if (r < 0)
		throttle_fini(t);
	return r;
}

void throttle_fini(struct throttle *t)
{
	if (t->timer < 0)
		return;
	loop_remove(t->loop, t->timer);
	close(t->timer);
	t->timer = -1;
}
