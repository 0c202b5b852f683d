/* SPDX-License-Identifier: MIT */
#include "base/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where there is no /proc to tell, the first of so many are tried. */
#define TRIED 1024

static int *inherited;
static unsigned inherited_count;

static void note(int fd)
{
	int *grown = reallocarray(inherited, inherited_count + 1, sizeof(int));

	if (!grown)
		return;
	inherited = grown;
	inherited[inherited_count++] = fd;
}

void process_note_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	for (int fd = 3; !d && fd < TRIED; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			note(fd);
	while (d && (e = readdir(d))) {
		int fd = atoi(e->d_name);

		if (fd >= 3 && fd != dirfd(d))
			note(fd);
	}
	if (d)
		closedir(d);
}

void process_close_inherited(void)
{
	for (unsigned i = 0; i < inherited_count; i++)
		close(inherited[i]);
	free(inherited);
	inherited = NULL;
	inherited_count = 0;
}

int process_hide(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	return prctl(PR_SET_DUMPABLE, 0) < 0 ? -errno : 0;
}

int process_guard_speculation(void)
{
	static const unsigned long kinds[] = {PR_SPEC_STORE_BYPASS, PR_SPEC_INDIRECT_BRANCH};

	for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int now = prctl(PR_GET_SPECULATION_CTRL, kinds[i], 0, 0, 0);

		if (now < 0)
			return -EPERM;
		/* The CPU does not do it, or the host lets none do it. */
		if (now == PR_SPEC_NOT_AFFECTED ||
			(now & (PR_SPEC_DISABLE | PR_SPEC_FORCE_DISABLE)))
			continue;
		if (prctl(PR_SET_SPECULATION_CTRL, kinds[i], PR_SPEC_FORCE_DISABLE, 0, 0) < 0)
			return -EPERM;
	}
	return 0;
}

void process_forget_environment(void)
{
	for (char **e = environ; e && *e; e++)
		explicit_bzero(*e, strlen(*e));
	clearenv();
}

void process_limit(void)
{
	const struct rlimit none = {0, 0};

	setrlimit(RLIMIT_NPROC, &none);
	setrlimit(RLIMIT_MEMLOCK, &none);
	setrlimit(RLIMIT_MSGQUEUE, &none);
}

int process_keep_capabilities(uint32_t mask)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (syscall(SYS_capget, &header, data) < 0)
		return -errno;
	data[0].effective &= mask;
	data[0].permitted &= mask;
	data[0].inheritable = data[1].inheritable = 0;
	data[1].effective = data[1].permitted = 0;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}
