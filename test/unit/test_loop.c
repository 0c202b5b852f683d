/* SPDX-License-Identifier: MIT */
/* The event loop: sources that come and go while it runs, and work put off. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test/unit/rig.h"

static struct loop *loop;
static int a, b; /* eventfds, readable */
static unsigned calls_a, calls_b, rounds;
static struct loop_work work, other;

static int setup(void **state)
{
	(void)state;
	loop = loop_create();
	a = eventfd(1, EFD_CLOEXEC);
	b = eventfd(1, EFD_CLOEXEC);
	calls_a = calls_b = rounds = 0;
	memset(&work, 0, sizeof(work));
	memset(&other, 0, sizeof(other));
	return loop && a >= 0 && b >= 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	loop_destroy(loop);
	close(a);
	close(b);
	return 0;
}

static void stop_with_7(void *arg, uint32_t events)
{
	(void)arg;
	assert_true(events & EPOLLIN);
	loop_stop(loop, 7);
}

static void stops_with_the_value(void **state)
{
	(void)state;
	assert_int_equal(loop_add(loop, a, EPOLLIN, stop_with_7, NULL), 0);
	assert_int_equal(loop_run(loop), 7);
	assert_int_equal(loop_run(loop), 7);
	loop_stop(loop, 3);
	assert_int_equal(loop_run(loop), 3);
}

static void bad_sources(void **state)
{
	FILE *file = tmpfile();

	(void)state;
	assert_int_equal(loop_add(loop, -1, EPOLLIN, stop_with_7, NULL), -EBADF);
	assert_int_equal(loop_add(loop, fileno(file), EPOLLIN, stop_with_7, NULL), -EPERM);
	assert_int_equal(loop_add(loop, fileno(file), 0, stop_with_7, NULL), -EPERM);
	assert_int_equal(loop_add(loop, a, EPOLLIN, stop_with_7, NULL), 0);
	assert_int_equal(loop_add(loop, a, EPOLLIN, stop_with_7, NULL), -EEXIST);
	assert_int_equal(loop_change(loop, b, EPOLLIN), -ENOENT);
	assert_int_equal(loop_change(loop, 100000, EPOLLIN), -ENOENT);
	loop_remove(loop, b);
	loop_remove(loop, -1);
	fclose(file);
}

static void remove_both(void *arg, uint32_t events)
{
	(void)events;
	++*(unsigned *)arg;
	loop_remove(loop, a);
	loop_remove(loop, b);
}

static void count_and_stop(void *arg)
{
	(void)arg;
	if (++rounds < 5)
		loop_defer(loop, &work);
	else
		loop_stop(loop, 0);
}

/* Both are ready, in one batch: whichever comes first removes the other. */
static void removed_sources_are_not_called(void **state)
{
	(void)state;
	loop_add(loop, a, EPOLLIN, remove_both, &calls_a);
	loop_add(loop, b, EPOLLIN, remove_both, &calls_b);
	work.fn = count_and_stop;
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(calls_a + calls_b, 1);
}

static void count_call(void *arg, uint32_t events)
{
	(void)events;
	++*(unsigned *)arg;
}

static void replace_b(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	if (calls_a++ > 0)
		return;
	uint64_t value;
	assert_int_equal(read(b, &value, sizeof(value)), sizeof(value));
	loop_remove(loop, b);
	assert_int_equal(loop_add(loop, b, EPOLLIN, count_call, &calls_b), 0);
}

/* An event of the old source at this descriptor is not the new one's. */
static void a_new_source_gets_no_old_events(void **state)
{
	(void)state;
	loop_add(loop, a, EPOLLIN, replace_b, NULL);
	loop_add(loop, b, EPOLLIN, replace_b, NULL);
	work.fn = count_and_stop;
	loop_defer(loop, &work);
	loop_run(loop);
	assert_true(calls_a >= 5);
	assert_int_equal(calls_b, 0);
}

/* epoll itself would report the hang-up even with no events asked for. */
static void a_paused_source_is_silent(void **state)
{
	int fd[2];

	(void)state;
	assert_int_equal(pipe(fd), 0);
	close(fd[1]);
	assert_int_equal(loop_add(loop, fd[0], 0, count_call, &calls_a), 0);
	work.fn = count_and_stop;
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(calls_a, 0);

	assert_int_equal(loop_change(loop, fd[0], EPOLLIN), 0);
	rounds = 0;
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(calls_a, 5);

	assert_int_equal(loop_change(loop, fd[0], 0), 0);
	rounds = 0;
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(calls_a, 5);
	loop_remove(loop, fd[0]);
	close(fd[0]);
}

/* Work that always puts itself off again lets sources have their turn each time. */
static void work_and_sources_take_turns(void **state)
{
	(void)state;
	loop_add(loop, a, EPOLLIN, count_call, &calls_a);
	work.fn = count_and_stop;
	loop_defer(loop, &work);
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(rounds, 5);
	assert_int_equal(calls_a, 5);
}

static void cancel_other(void *arg)
{
	(void)arg;
	loop_cancel(loop, &other);
	loop_stop(loop, 0);
}

static void fail_if_run(void *arg)
{
	(void)arg;
	fail();
}

static void count_other(void *arg)
{
	++*(unsigned *)arg;
}

static void cancelled_work_is_not_done(void **state)
{
	(void)state;
	/* In the round that runs. */
	work.fn = cancel_other;
	other.fn = fail_if_run;
	loop_defer(loop, &work);
	loop_defer(loop, &other);
	loop_run(loop);

	/* The last of the waiting ones: what is deferred next must not hang on it. */
	loop_defer(loop, &work);
	loop_defer(loop, &other);
	loop_cancel(loop, &other);
	loop_cancel(loop, &other);
	other.fn = count_other;
	other.arg = &calls_b;
	loop_cancel(loop, &work);
	work.fn = count_and_stop;
	loop_defer(loop, &other);
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(calls_b, 1);
}

/* What a stop left undone is done when the loop runs again. */
static void work_survives_a_stop(void **state)
{
	(void)state;
	work.fn = count_and_stop;
	rounds = 4;
	other.fn = count_other;
	other.arg = &calls_b;
	loop_defer(loop, &work);
	loop_defer(loop, &other);
	loop_run(loop);
	assert_int_equal(calls_b, 0);
	rounds = 3;
	loop_defer(loop, &work);
	loop_run(loop);
	assert_int_equal(calls_b, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(stops_with_the_value),
		TEST(bad_sources),
		TEST(removed_sources_are_not_called),
		TEST(a_new_source_gets_no_old_events),
		TEST(a_paused_source_is_silent),
		TEST(work_and_sources_take_turns),
		TEST(cancelled_work_is_not_done),
		TEST(work_survives_a_stop),
	};

	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
