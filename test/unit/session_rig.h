/* SPDX-License-Identifier: MIT */
/*
 * For test_session.c: a process that is Lucid but for the machine. The console device is
 * sockets, and the guest is the agent run natively, or a function that plays a hostile one.
 */
#ifndef TEST_UNIT_SESSION_RIG_H
#define TEST_UNIT_SESSION_RIG_H

#include <sys/types.h>

#include "guest/agent/agent.h"
#include "monitor/vm.h"

struct rig_case {
	const char *script; /* run by sh -c; NULL: an interactive shell */
	bool tty;
	void (*guest)(int fd[PORT_COUNT]); /* NULL: the agent */
	uid_t uid; /* of the Lucid process, 0: as it is */
};

/*
 * Starts it with these standard streams, -1 for closed ones; its process id. It exits with the
 * status of the session; 200 and up are the rig's own troubles.
 */
pid_t rig_start(const struct rig_case *c, int in, int out, int err);

/* Ends of the process: its exit status, or -1 if a signal ended it. */
int rig_wait(pid_t pid);

/* For guests: the message HELLO, and any other. */
void rig_hello(int fd[PORT_COUNT], uint32_t version);

#endif
