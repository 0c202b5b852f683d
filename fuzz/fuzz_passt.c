/* SPDX-License-Identifier: MIT */
/* The first frames of a guest, which passt is started for or not. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz/input.h"
#include "monitor/network.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		abort();
	/* With its end at once: what it would wait for does not come. */
	if (send(fd[0], data, size, MSG_DONTWAIT) != (ssize_t)size && size > 0)
		abort();
	shutdown(fd[0], SHUT_WR);
	passt_wanted(fd[1]);
	close(fd[0]);
	close(fd[1]);
	return 0;
}
