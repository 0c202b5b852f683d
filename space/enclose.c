/* SPDX-License-Identifier: MIT */
/*
 * What stands behind the seccomp lists of zygote and spaces, should one of them have a hole: no
 * capabilities, no files, no namespaces but its own, as far as the host grants them. None of it is
 * needed for the lists to hold, so a host that refuses some is no error.
 *
 * Not a network namespace of its own: to make one and to end it costs milliseconds a zygote, and
 * there is no call for sockets. Not one of process ids: whoever is first in it has to live longest,
 * and each space comes and goes by itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/landlock.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/log.h"
#include "base/process.h"
#include "space/zygote.h"

/* A root with nothing in it. Any folder serves to mount it on. */
static int take_empty_root(void)
{
	static const char at[] = "/proc";

	/* What root unmounts is not to be unmounted for all. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		mount("lucid", at, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			"size=4k,nr_inodes=1,mode=0555") < 0 ||
		chroot(at) < 0)
		return -errno;
	return chdir("/") < 0 ? -errno : 0;
}

static void note(const char *what, int err)
{
	if (err)
		log_info("spaces: %s: %s", what, strerror(-err));
}

void space_enclose(int proc)
{
	const struct landlock_place status = {proc, LANDLOCK_ACCESS_FS_READ_FILE};
	int err;

	err = unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0 ? -errno : take_empty_root();
	note("no empty root", err);
	/* In a namespace of its own it has all of them, there. */
	note("capabilities", process_keep_capabilities(0));
	note("Landlock", landlock_files(&status, proc < 0 ? 0 : 1));
}
