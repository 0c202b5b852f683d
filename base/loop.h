/* SPDX-License-Identifier: MIT */
/* The monitor's event loop: one thread, epoll, level-triggered. */
#ifndef BASE_LOOP_H
#define BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>

struct loop;

/* Called when fd is ready; events as epoll gives them. */
typedef void loop_fn(void *arg, uint32_t events);

/* NULL and errno on failure. */
struct loop *loop_create(void);
void loop_destroy(struct loop *loop);

/* Watches fd (not owned) for events (EPOLLIN, ...). 0 or -errno (-EPERM: a plain file, always
 * ready). */
int loop_add(struct loop *loop, int fd, uint32_t events, loop_fn *fn, void *arg);
/* Changes what is watched; events 0 pauses the source. */
int loop_change(struct loop *loop, int fd, uint32_t events);
/* Safe from within any callback; the source's callback is not called again. */
void loop_remove(struct loop *loop, int fd);

/* Dispatches until loop_stop(); returns its value. */
int loop_run(struct loop *loop);
/* Before loop_run(): it returns at once. */
void loop_stop(struct loop *loop, int value);

/*
 * Work that goes on later: whoever has more to do than one callback should take
 * defers the rest, so that no guest can keep the loop from its other sources.
 * Set fn and arg, leave the rest zero.
 */
struct loop_work {
	void (*fn)(void *arg);
	void *arg;
	struct loop_work *next;
	bool queued;
};

/* Calls work once, after the sources that are ready now. No effect if it is queued. */
void loop_defer(struct loop *loop, struct loop_work *work);
/* Forgets work if it is queued. */
void loop_cancel(struct loop *loop, struct loop_work *work);

#endif
