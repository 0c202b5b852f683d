/* SPDX-License-Identifier: MIT */
/* A further command in a running machine, over vsock. */
#ifndef CLI_EXEC_H
#define CLI_EXEC_H

#include <stdint.h>

#include "monitor/vm.h"

/*
 * A connection to the agent of a machine, by Firecracker's convention; blocking. -1 after a
 * reported error.
 */
int exec_connect(const char *name);

/*
 * Takes over the connection, and runs the command in the machine with Lucid's own standard streams.
 * flags: AGENT_PUT and AGENT_GET, or 0. Returns the exit status; errors have been reported.
 */
int exec_run(
	int fd, const char *name, const struct vm_command *command, uint32_t flags, bool no_input);

#endif
