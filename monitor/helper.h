/* SPDX-License-Identifier: MIT */
/*
 * Processes that serve a machine beside its monitor: passt, a switch, a disk or
 * folder server. They are started before the monitor takes its seccomp list, talk to it
 * over a socket, and end with it.
 */
#ifndef MONITOR_HELPER_H
#define MONITOR_HELPER_H

#include <stdbool.h>
#include <sys/types.h>

#define HELPERS_MAX 32
#define HELPER_LINE 1000

struct helpers {
	pid_t pid[HELPERS_MAX]; /* 0: none */
	pid_t last; /* the one that was started last */
};

/*
 * Starts argv[0], found in PATH, with fd as its descriptor 3 and /dev/null as its
 * standard streams. errors, unless NULL, gets the reading end of its stderr, which
 * does not block. wanted, unless NULL, is called with fd in the new process, to wait until
 * the program is needed; false ends the process instead. 0 or -errno.
 */
int helper_start(struct helpers *helpers, const char *const argv[], int fd, int *errors,
	bool (*wanted)(int fd));

/*
 * The same for a process that outlives this machine, as others use it too: nobody's
 * child, and on its own to end. 0 or -errno.
 */
int helper_detach(const char *const argv[], int fd);

/* Whether there is such a program in PATH. */
bool helper_exists(const char *name);

/* The last line that a helper has written to its stderr so far; "" if none. */
void helper_complaint(int errors, char line[HELPER_LINE]);

/* Whether a process is a helper still, and so nobody else's process id. */
bool helper_is(const struct helpers *helpers, pid_t pid);

/* A child has ended and was waited for: if it is a helper, it is one no more. */
void helper_forget(struct helpers *helpers, pid_t pid);

/* Ends all of them: kindly first, then not. */
void helpers_end(struct helpers *helpers);

#endif
