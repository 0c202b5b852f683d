/* SPDX-License-Identifier: MIT */
/*
 * Landlock, as far as the host's kernel has it: what a process may do to files, whatever
 * descriptors and paths it gets hold of.
 */
#ifndef BASE_LANDLOCK_H
#define BASE_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>

/* Of later versions than Debian 12's headers. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#ifndef LANDLOCK_ACCESS_FS_IOCTL_DEV
#define LANDLOCK_ACCESS_FS_IOCTL_DEV (1ULL << 15)
#endif

/* Does the host have it? Where it has not, the functions below do nothing, and succeed. */
bool landlock_works(void);

/* A file, or everything below a folder: dir, a descriptor, and what may be done there:
 * LANDLOCK_ACCESS_FS_*. */
struct landlock_place {
	int dir;
	uint64_t access;
};

/*
 * From now on the process may open, make and remove files at these places alone, and no TCP
 * sockets. What is open stays so. With no_new_privs. 0 or -errno.
 */
int landlock_files(const struct landlock_place *place, unsigned places);

/*
 * From now on the process and those that it starts may signal and trace each other, and connect
 * to abstract sockets of each other, and of no one else. Nor do they link or move files from one
 * folder to another. Linux 6.12; with no_new_privs. 0 or -errno.
 */
int landlock_scope(void);

#endif
