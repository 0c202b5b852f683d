/* SPDX-License-Identifier: MIT */
/* The signals that a session takes over from the process. */
#ifndef MONITOR_SESSION_SIGNALS_H
#define MONITOR_SESSION_SIGNALS_H

#include <signal.h>
#include <stdbool.h>

#include "base/loop.h"

struct session_signals {
	struct loop *loop;
	int fd; /* signalfd */
	sigset_t old_mask;
	struct sigaction old_pipe;
	void (*handle)(void *arg, int signal);
	void *arg;
};

/* Blocks the signals and hands each to handle() from the loop. 0 or -errno, with nothing changed.
 */
int session_signals_open(struct session_signals *s, struct loop *loop, bool tty,
	void (*handle)(void *arg, int signal), void *arg);

/* Undoes it; no effect if it was not opened. */
void session_signals_close(struct session_signals *s);

#endif
