/* SPDX-License-Identifier: MIT */
/* The folder lies in another one that nobody should be able to reach: a way out is seen there. */
#include "fuzz/sandbox.h"

#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX (1 << 20)

static char top[PATH_MAX - 3], folder[PATH_MAX];

static void remove_top(void)
{
	rmdir(folder);
	rmdir(top);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_FSIZE, &limit) < 0)
		abort();
	limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
	if (setrlimit(RLIMIT_FSIZE, &limit) < 0)
		abort();
}

const char *sandbox_open(void)
{
	const char *dir = getenv("TMPDIR");

	if (snprintf(top, sizeof(top), "%s/lucid-fuzz-XXXXXX", dir ? dir : "/tmp") >=
			(int)sizeof(top) ||
		!mkdtemp(top))
		abort();
	snprintf(folder, sizeof(folder), "%s/in", top);
	if (mkdir(folder, 0755) < 0)
		abort();
	atexit(remove_top);
	return folder;
}

void sandbox_begin(void)
{
	/* libFuzzer has a handler, which it sets after the start. */
	signal(SIGXFSZ, SIG_IGN);
	limit_files(FILE_MAX);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type == FTW_DNR && chmod(path, 0700) < 0)
		return -1;
	return at->level > 0 ? remove(path) : 0;
}

void sandbox_end(void)
{
	struct stat st;

	limit_files(RLIM_INFINITY); /* libFuzzer's own may be long */
	/* Modes are the input's to change. */
	chmod(folder, 0755);
	nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	if (stat(top, &st) < 0 || st.st_nlink != 3 || stat(folder, &st) < 0)
		abort();
}
