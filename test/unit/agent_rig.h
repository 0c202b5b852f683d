/* SPDX-License-Identifier: MIT */
/*
 * For test_agent.c: the monitor's side of an agent that runs in a child process, with sockets in
 * place of ports, and with everything but the mounts and the end.
 */
#ifndef TEST_UNIT_AGENT_RIG_H
#define TEST_UNIT_AGENT_RIG_H

/* What cmocka.h wants before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>
#include <sys/types.h>

#include "guest/agent/agent.h"
#include "monitor/session_proto.h"

#define TIMEOUT_MS 20000

struct guest {
	pid_t agent;
	int port[PORT_COUNT]; /* the monitor's ends */
	struct proto_parser parser;
	struct proto_message last;
	char *out, *err;
	size_t out_len, err_len;
};

void agent_start(struct guest *g);
/* Hangs up and waits for the agent's end. */
void agent_end(struct guest *g);
void hang_up(struct guest *g, int port);

/* Sends a message. */
void say(struct guest *g, uint32_t type, const void *body, size_t len);
void say_signal(struct guest *g, uint32_t n);
void start(struct guest *g, const struct vm_command *c);
/* Starts sh -c script. */
void start_script(struct guest *g, const char *script, bool tty);

/* Takes what a port has, after what is at to already; false: it has ended. */
bool take(struct guest *g, int port, char *to, size_t *len);
/* Waits for a message and collects output meanwhile, if it is to; 0: the agent has gone. */
uint32_t await(struct guest *g, bool collect);
/* What the message EXITED counted is all there. */
void collect_rest(struct guest *g);
/* The command ends with this status, and all its output is there. */
void await_exit(struct guest *g, uint32_t status);

#endif
