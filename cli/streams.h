/* SPDX-License-Identifier: MIT */
/* Joins Lucid's own standard streams with those of a command on a stream (abi/agent.h). */
#ifndef CLI_STREAMS_H
#define CLI_STREAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

struct streams_config {
	const char *name; /* of the machine, for messages */
	bool tty; /* the other end is a terminal, and so is ours */
	bool no_input; /* leave stdin alone */
	bool attach; /* Ctrl-P Ctrl-Q, SIGTERM and SIGHUP leave the command running */
	uint32_t first; /* type of the message to begin with */
	const void *body;
	size_t len;
};

/* Whether the machine, as it tells of itself, speaks our version of streams; reports that it does
 * not. */
bool streams_understood(const char *name, const json_t *machine);

/* Takes over the connected socket. Returns the exit status; errors have been reported. */
int streams_run(int fd, const struct streams_config *config);

#endif
