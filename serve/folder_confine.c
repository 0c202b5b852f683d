/* SPDX-License-Identifier: MIT */
/*
 * What the server of a folder keeps: three capabilities if it is root, the folder
 * by Landlock where the host has it, and the system calls that it makes.
 */
#include <errno.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/allow.h"
#include "base/landlock.h"
#include "base/process.h"
#include "serve/folder.h"

#define ACCESS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Neither to execute, nor to make devices. */
#define ACCESS_WRITE                                                                               \
	(LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |                           \
		LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR |                     \
		LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK |                       \
		LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_SYM |                       \
		LANDLOCK_ACCESS_FS_REFER | LANDLOCK_ACCESS_FS_TRUNCATE)

/* Root's server acts for all users of the guest, and that is all that it has of root. */
#define CAPABILITIES (1U << CAP_CHOWN | 1U << CAP_DAC_OVERRIDE | 1U << CAP_FOWNER)

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
	/* Even a folder that is moved out of the tree while the guest knows it leads nowhere then.
	 */
	const struct landlock_place tree = {root, ACCESS_READ | (read_only ? 0 : ACCESS_WRITE)};
	int err = process_keep_capabilities(geteuid() == 0 ? CAPABILITIES : 0);

	process_limit();
	if (!err)
		err = process_hide();
	/* Landlock needs it, too. */
	if (!err && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		err = -errno;
	if (!err)
		err = landlock_files(&tree, 1);
	return err ? err : take_filter();
}
