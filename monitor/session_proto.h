/* SPDX-License-Identifier: MIT */
/* The messages of abi/agent.h, as the host reads and writes them. */
#ifndef MONITOR_SESSION_PROTO_H
#define MONITOR_SESSION_PROTO_H

#include <stddef.h>
#include <stdint.h>

#include "abi/agent.h"
#include "monitor/vm.h"

/* One message from the guest, complete and of the length its type asks for. */
struct proto_message {
	uint32_t type;
	union {
		struct agent_hello hello;
		struct agent_exited exited;
		struct agent_error error;
	};
	char text[AGENT_GUEST_MAX + 1]; /* of AGENT_ERROR: printable, one line */
};

struct proto_parser {
	size_t have;
	unsigned char data[sizeof(struct agent_header) + AGENT_GUEST_MAX];
};

/*
 * Takes bytes of the control stream; *used tells how many. 1: *message has been filled in, the
 * rest of the bytes is for the next call; 0: more is needed; -EPROTO: no agent of this version
 * sends that, and the stream is not to be read on.
 */
int proto_parse(struct proto_parser *parser, const void *data, size_t len, size_t *used,
	struct proto_message *message);

/*
 * Makes the START message, header included, to be freed by the caller. NULL and errno on
 * failure; E2BIG: arguments and environment are longer than AGENT_HOST_MAX.
 */
void *proto_start(const struct vm_setup *setup, const struct agent_winsize *size, size_t *len);

#endif
