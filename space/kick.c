/* SPDX-License-Identifier: MIT */
/*
 * What vCPUs kick each other by. No space may send signals, but each may write to a FIFO
 * and, when it is given the baton, make itself the owner of its vCPU's: the host tells the
 * owner of input by a signal. So a kick goes from vCPU to vCPU without the monitor.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "space/space.h"

/* A descriptor to read and write by, where pipe2() gives one for each. */
static int open_both_ways(int end)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", end);
	return open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
}

int kick_create(void)
{
	int ends[2], fd, err;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	fd = open_both_ways(ends[0]);
	err = fd < 0 ? -errno : 0;
	close(ends[0]);
	close(ends[1]);
	if (err)
		return err;
	/* Bytes that nobody reads are all it ever holds. */
	fcntl(fd, F_SETPIPE_SZ, 4096);
	if (fcntl(fd, F_SETSIG, STUB_KICK_SIGNAL) < 0 ||
		fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC) < 0) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}
