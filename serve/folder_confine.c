/* SPDX-License-Identifier: MIT */
/*
 * What the server of a folder keeps: three capabilities if it is root, the folder
 * by Landlock where the host has it, and the system calls that it makes.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/allow.h"
#include "serve/folder.h"

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_WRITE                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                     \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                       \
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM)
#define ACCESS_NEVER                                                                               \
	(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK)
/* Of later versions than Debian 12's headers: moving between folders, changing sizes. */
#define ACCESS_REFER (1ULL << 13)
#define ACCESS_TRUNCATE (1ULL << 14)

/* Even a folder that is moved out of the tree while the guest knows it leads nowhere then. */
static int take_landlock(int root, bool read_only)
{
	struct landlock_ruleset_attr ruleset = {
		.handled_access_fs = ACCESS_READ | ACCESS_WRITE | ACCESS_NEVER};
	struct landlock_path_beneath_attr rule = {.parent_fd = root};
	long version =
		syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int fd, r = 0;

	if (version < 1)
		return 0; /* an older host: openat2() and the list have to do */
	/* Without the first, no file could change its folder at all. */
	if (version >= 2)
		ruleset.handled_access_fs |= ACCESS_REFER;
	if (version >= 3)
		ruleset.handled_access_fs |= ACCESS_TRUNCATE;
	rule.allowed_access = ACCESS_READ;
	if (!read_only)
		rule.allowed_access |= ruleset.handled_access_fs & ~(uint64_t)ACCESS_NEVER;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_add_rule, fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ||
		syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Root's server acts for all users of the guest, and that is all that it has of root. */
static int drop_capabilities(void)
{
	const uint32_t keep = 1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{0}};

	if (geteuid() == 0) {
		if (syscall(SYS_capget, &header, data) < 0)
			return -errno;
		data[0].effective &= keep;
		data[0].permitted &= keep;
	}
	data[0].inheritable = data[1].inheritable = 0;
	data[1].effective = data[1].permitted = 0;
	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

static int take_filter(void)
{
	static const int allowed[] = {
		SCMP_SYS(recvfrom),
		SCMP_SYS(sendto),
		SCMP_SYS(openat),
		SCMP_SYS(openat2),
		SCMP_SYS(close),
		SCMP_SYS(fstat),
		SCMP_SYS(newfstatat),
		SCMP_SYS(fstatfs),
		SCMP_SYS(readlinkat),
		SCMP_SYS(getdents64),
		SCMP_SYS(lseek),
		SCMP_SYS(preadv),
		SCMP_SYS(pwritev),
		SCMP_SYS(copy_file_range),
		SCMP_SYS(ftruncate),
		SCMP_SYS(fallocate),
		SCMP_SYS(fsync),
		SCMP_SYS(fdatasync),
		SCMP_SYS(syncfs),
		SCMP_SYS(mkdirat),
		SCMP_SYS(mknodat),
		SCMP_SYS(symlinkat),
		SCMP_SYS(linkat),
		SCMP_SYS(unlinkat),
		SCMP_SYS(renameat),
		SCMP_SYS(renameat2),
		SCMP_SYS(fchmodat),
		SCMP_SYS(fchownat),
		SCMP_SYS(utimensat),
		SCMP_SYS(brk),
		SCMP_SYS(mmap),
		SCMP_SYS(munmap),
		SCMP_SYS(mremap),
		SCMP_SYS(write),
		SCMP_SYS(exit_group),
	};
	scmp_filter_ctx list;
	int err = allow_list(&list, allowed, sizeof(allowed) / sizeof(allowed[0]));

	if (err)
		return err;
	err = allow_affinity(list);
	if (!err)
		return allow_only(list);
	seccomp_release(list);
	return err;
}

int folder_confine(int root, bool read_only)
{
	int err = drop_capabilities();

	/* Landlock needs it, too. */
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	if (!err)
		err = take_landlock(root, read_only);
	return err ? err : take_filter();
}
