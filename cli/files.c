/* SPDX-License-Identifier: MIT */
/* Finds what comes with Lucid from where its executable lies. */
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/files.h"

static const char *const places[] = {"build", "../lib/lucid"};

int files_find(const char *name, char *path, size_t size)
{
	char exe[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	const char *dir;

	if (n < 0) {
		log_error("cannot read /proc/self/exe: %s; mount /proc", strerror(errno));
		return -1;
	}
	exe[n] = '\0';
	dir = dirname(exe);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		int len = snprintf(path, size, "%s/%s/%s", dir, places[i], name);

		if (len > 0 && (size_t)len < size && access(path, R_OK) == 0)
			return 0;
	}
	log_error("%s is missing beside %s; `make run` builds it, `make install` installs it", name,
		dir);
	return -1;
}
