/* SPDX-License-Identifier: MIT */
/* Runs an external program, and gives up at a signal. */
#ifndef MONITOR_TOOL_H
#define MONITOR_TOOL_H

#include <signal.h>

/*
 * From tool_guard() to tool_unguard(), SIGINT, SIGTERM and SIGHUP wait, so that
 * what was begun can be removed. Then they do what they do.
 */
struct tool_guard {
	sigset_t old;
	int fd; /* readable once a signal waits */
};

int tool_guard(struct tool_guard *guard);
void tool_unguard(struct tool_guard *guard);

#define TOOL_LINE 256

/*
 * Runs argv[0], found in PATH, and waits for it. line gets the first line that it
 * wrote to stderr, or is empty. Returns its exit status (127: not found; 128 + signal), or
 * -EINTR after a guarded signal, or -errno. No process that it
 * started is left. The caller has no other children.
 */
int tool_run(struct tool_guard *guard, const char *const argv[], char line[TOOL_LINE]);

#endif
