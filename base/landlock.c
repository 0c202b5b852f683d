/* SPDX-License-Identifier: MIT */
#include "base/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

/* All that there is in each version of the host's interface; later ones are left alone. */
#define FILES_1 ((1ULL << 13) - 1)
#define NET_BOTH 3ULL
#define SCOPE_BOTH 3ULL

/* As of version 6; older hosts take the beginning of it. */
struct ruleset {
	uint64_t files, net, scoped;
};

static long version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

bool landlock_works(void)
{
	return version() >= 1;
}

/* The ruleset's descriptor, or -errno. */
static int create(const struct ruleset *rules, long host)
{
	size_t size = host < 4	 ? offsetof(struct ruleset, net)
		      : host < 6 ? offsetof(struct ruleset, scoped)
				 : sizeof(*rules);
	long fd = syscall(SYS_landlock_create_ruleset, rules, size, 0);

	return fd < 0 ? -errno : (int)fd;
}

static int take(int fd)
{
	int r = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;

	close(fd);
	return r;
}

int landlock_files(const struct landlock_place *place, unsigned places)
{
	struct ruleset rules = {.files = FILES_1};
	long host = version();
	int fd;

	if (host < 1)
		return 0;
	/* Without the first, no file could change its folder at all. */
	if (host >= 2)
		rules.files |= LANDLOCK_ACCESS_FS_REFER;
	if (host >= 3)
		rules.files |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (host >= 4)
		rules.net = NET_BOTH;
	if (host >= 5)
		rules.files |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
	fd = create(&rules, host);
	if (fd < 0)
		return fd;
	for (unsigned i = 0; i < places; i++) {
		struct landlock_path_beneath_attr rule = {
			.parent_fd = place[i].dir,
			.allowed_access = place[i].access & rules.files,
		};

		if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
			int err = -errno;

			close(fd);
			return err;
		}
	}
	return take(fd);
}

int landlock_scope(void)
{
	const struct ruleset rules = {.scoped = SCOPE_BOTH};
	long host = version();
	int fd;

	if (host < 6)
		return 0;
	fd = create(&rules, host);
	return fd < 0 ? fd : take(fd);
}
