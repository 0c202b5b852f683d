/* SPDX-License-Identifier: MIT */
/*
 * Frames of machines on a switch, and machines that leave. The switch's own file is included: it
 * runs as a process that ends with its last machine, and what is of interest is inside.
 */
#include "serve/switch.c" // NOLINT

#include <stdlib.h>

#include "fuzz/input.h"

#define MACHINES 4

static struct network_switch net;
static int machine[MACHINES];

static void plug(unsigned i)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) < 0)
		abort();
	machine[i] = fd[0];
	net.port[i].fd = fd[1];
	net.ports++;
	if (loop_add(net.loop, fd[1], EPOLLIN, on_port, &net.port[i]) < 0)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	net.loop = loop_create();
	net.listener = -1;
	for (unsigned i = 0; i < PORTS_MAX; i++)
		net.port[i] = (struct port){.net = &net, .fd = -1};
	for (unsigned i = 0; i < MACHINES; i++)
		plug(i);
	return 0;
}

/* Nobody hears himself; takes what there is. */
static void listen_to_all(unsigned sender, const uint8_t *frame, size_t len)
{
	static uint8_t heard[FRAME_MAX + 1];

	for (unsigned i = 0; i < MACHINES; i++) {
		ssize_t n;

		while ((n = recv(machine[i], heard, sizeof(heard), 0)) > 0)
			if (i == sender || (size_t)n != len || memcmp(heard, frame, len) != 0)
				abort();
	}
}

static void step(struct input *in)
{
	static uint8_t frame[FRAME_MAX + 100];
	unsigned what = (unsigned)input_number(in, 1), i = what % MACHINES;
	size_t len;

	if (what / MACHINES % 8 == 0 && i > 0) { /* one stays, or the switch ends */
		close(machine[i]);
		on_port(&net.port[i], EPOLLIN);
		if (net.port[i].fd >= 0)
			abort();
		plug(i);
		return;
	}
	len = what & 0x80 ? input_number(in, 2) * 2 % sizeof(frame) : HEADER + input_number(in, 1);
	input_bytes(in, frame, len < 64 ? len : 64);
	if (len == 0 || send(machine[i], frame, len, 0) != (ssize_t)len)
		return;
	on_port(&net.port[i], EPOLLIN);
	listen_to_all(i, frame, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	memset(net.place, 0, sizeof(net.place));
	for (unsigned i = 0; i < 64 && in.left > 0; i++)
		step(&in);
	return 0;
}
