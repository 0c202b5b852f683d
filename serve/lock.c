/* SPDX-License-Identifier: MIT */
/* A lock on a folder, for the moment in which a socket in it comes or goes. */
#include "serve/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#define TRIES 500 /* of 10 ms: whoever has the lock has it for a moment */

int lock_folder_of(const char *path)
{
	const struct timespec pause = {.tv_nsec = 10L * 1000 * 1000};
	char copy[PATH_MAX];
	int fd, tries = TRIES, error;

	if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
		return -ENAMETOOLONG;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		error = errno;
		if (error != EWOULDBLOCK || tries-- == 0) {
			close(fd);
			return -error;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}
