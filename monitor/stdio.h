/* SPDX-License-Identifier: MIT */
/*
 * Lucid's own standard streams, read and written without ever blocking the loop.
 *
 * O_NONBLOCK belongs to the open file description, which Lucid shares with its parent and
 * siblings, so it is never set on what was inherited. Instead, a pipe or terminal is opened anew
 * through /proc/self/fd, which makes a description of our own; a socket is used with
 * MSG_DONTWAIT; a plain file never blocks. Where opening anew is refused (a pipe made by another
 * user), poll() is asked before each operation, and at most PIPE_BUF bytes are written, which a
 * pipe that polls writable takes.
 */
#ifndef MONITOR_STDIO_H
#define MONITOR_STDIO_H

#include <stdbool.h>
#include <stddef.h>

#include "base/loop.h"

/*
 * Opens /dev/null in place of standard streams that are closed, lest another file take their
 * number and the guest's bytes. To be called before anything else is opened. 0 or -errno.
 */
int stdio_fill(void);

enum stdio_kind {
	STDIO_CLOSED,
	STDIO_FILE, /* always ready */
	STDIO_SOCKET,
	STDIO_OWN, /* a non-blocking description of our own */
	STDIO_SHARED, /* poll() first */
};

/* ---- Output ------------------------------------------------------------------ */

struct outlet {
	enum stdio_kind kind;
	struct loop *loop;
	int fd;
	bool watched; /* the loop knows fd */
	bool blocked; /* a write was short; ready() will come */
	int error; /* errno of the write that ended it, 0: none */
	void (*ready)(void *arg); /* writes will be taken again */
	void (*gone)(void *arg); /* a write failed; from now on bytes are dropped */
	void *arg;
};

/* Takes up fd; set ready, gone and arg first. A closed fd is an outlet that drops all. */
void outlet_open(struct outlet *o, struct loop *loop, int fd);
/* Writes or drops; how many bytes were taken. Fewer than len: wait for ready(). */
size_t outlet_write(struct outlet *o, const void *data, size_t len);
void outlet_close(struct outlet *o);

/* ---- Input ------------------------------------------------------------------- */

#define INLET_SIZE 65536

struct inlet {
	enum stdio_kind kind;
	struct loop *loop;
	int fd, original, null;
	bool watched, done;
	struct loop_work again;
	size_t (*give)(void *arg, const void *data, size_t len); /* how many were taken */
	void (*ended)(void *arg); /* end of file, or an error */
	void *arg;
	size_t start, end; /* read, but not given yet */
	char data[INLET_SIZE];
};

/* Takes up fd, reads nothing yet; set give, ended and arg first. */
void inlet_open(struct inlet *in, struct loop *loop, int fd);
/* Begins to read, or goes on after give() has taken less than it was given. */
void inlet_run(struct inlet *in);
/*
 * Reads no more. forsake: nobody will, so the descriptor itself is replaced by /dev/null; the
 * writer of a pipe then gets the SIGPIPE that the death of a local reader would have given it.
 */
void inlet_close(struct inlet *in, bool forsake);

#endif
