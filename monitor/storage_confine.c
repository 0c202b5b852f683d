/* SPDX-License-Identifier: MIT */
/*
 * What qemu-storage-daemon keeps, taken before it is started: the image by Landlock, where the
 * host has it, no capability but the one to open files as their owner could, and a list of
 * system calls. It is a program of others, so a call that is not on its list fails and does not
 * end it: it may ask for what it can do without.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/allow.h"
#include "base/landlock.h"
#include "base/process.h"
#include "monitor/disks.h"

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define PLACES 8

struct places {
	struct landlock_place at[PLACES];
	unsigned count;
};

/* What is not there needs no permission. 0 or -errno. */
static int add_place(struct places *p, const char *path, uint64_t access)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	p->at[p->count++] = (struct landlock_place){fd, access};
	return 0;
}

/* What a program needs to start, and the image; with what that lies on, which is in its folder. */
static int add_places(struct places *p, const struct storage *s)
{
	static const char *const parts[] = {"/usr", "/lib", "/lib64"};
	uint64_t image = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_IOCTL_DEV;
	char folder[PATH_MAX];
	int r = 0;

	if (!s->disk->read_only)
		image |= LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && r == 0; i++)
		r = add_place(p, parts[i], READ | LANDLOCK_ACCESS_FS_EXECUTE);
	if (r == 0)
		r = add_place(p, "/etc/ld.so.cache", LANDLOCK_ACCESS_FS_READ_FILE);
	if (r == 0)
		r = add_place(p, "/dev/null",
			LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE);
	if (r == 0)
		r = add_place(p, s->disk->path, image);
	if (r == 0 && s->backing) {
		snprintf(folder, sizeof(folder), "%s", s->disk->path);
		r = add_place(p, dirname(folder), LANDLOCK_ACCESS_FS_READ_FILE);
	}
	return r;
}

static int take_landlock(const struct storage *s)
{
	struct places p = {.count = 0};
	int r;

	/* An older host: then no image may name another file, which could be any. */
	if (!landlock_works())
		return s->backing ? -ENOSYS : 0;
	r = add_places(&p, s);
	if (r == 0)
		r = landlock_files(p.at, p.count);
	while (p.count > 0)
		close(p.at[--p.count].dir);
	return r;
}

/*
 * Root's server opens what root may open, and that is all that it has of root: also of the
 * bounding set, which is what root gets when it executes something.
 */
static int drop_capabilities(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (cap != CAP_DAC_OVERRIDE)
			prctl(PR_CAPBSET_DROP, cap, 0, 0,
				0); /* fails where there is nothing to drop */
	return process_keep_capabilities(1U << CAP_DAC_OVERRIDE);
}

static const int allowed[] = {
	/* the image */
	SCMP_SYS(openat),
	SCMP_SYS(open),
	SCMP_SYS(close),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(fsync),
	SCMP_SYS(fdatasync),
	SCMP_SYS(fallocate),
	SCMP_SYS(ftruncate),
	SCMP_SYS(lseek),
	SCMP_SYS(fcntl),
	SCMP_SYS(ioctl),
	SCMP_SYS(fstat),
	SCMP_SYS(stat),
	SCMP_SYS(lstat),
	SCMP_SYS(newfstatat),
	SCMP_SYS(statx),
	SCMP_SYS(statfs),
	SCMP_SYS(fstatfs),
	SCMP_SYS(access),
	SCMP_SYS(readlink),
	SCMP_SYS(getcwd),
	SCMP_SYS(fadvise64),
	SCMP_SYS(sync_file_range),
	SCMP_SYS(copy_file_range),
	/* its socket */
	SCMP_SYS(listen),
	SCMP_SYS(accept4),
	SCMP_SYS(accept),
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(shutdown),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	/* its loop and threads */
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(epoll_create1),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(eventfd2),
	SCMP_SYS(pipe2),
	SCMP_SYS(signalfd4),
	SCMP_SYS(futex),
	SCMP_SYS(membarrier),
	SCMP_SYS(clone),
	SCMP_SYS(clone3),
	SCMP_SYS(set_robust_list),
	SCMP_SYS(set_tid_address),
	SCMP_SYS(rseq),
	SCMP_SYS(sched_yield),
	SCMP_SYS(sched_getaffinity),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(nanosleep),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigtimedwait),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(tgkill),
	/* memory, the libraries, the start and the end */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(mprotect),
	SCMP_SYS(madvise),
	SCMP_SYS(execve),
	SCMP_SYS(arch_prctl),
	SCMP_SYS(prctl),
	SCMP_SYS(prlimit64),
	SCMP_SYS(getrlimit),
	SCMP_SYS(getrandom),
	SCMP_SYS(sysinfo),
	SCMP_SYS(uname),
	SCMP_SYS(getpid),
	SCMP_SYS(getppid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(getgid),
	SCMP_SYS(getegid),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static int take_filter(void)
{
	scmp_filter_ctx list = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int err = list ? 0 : -ENOMEM;

	/* What the C library tries first and does without. */
	if (!err)
		err = seccomp_rule_add(list, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(openat2), 0);
	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]) && !err; i++)
		err = seccomp_rule_add(list, SCMP_ACT_ALLOW, allowed[i], 0);
	if (!err)
		return allow_only(list);
	if (list)
		seccomp_release(list);
	return err;
}

bool storage_confine(const struct storage *s)
{
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && drop_capabilities() == 0 &&
	       take_landlock(s) == 0 && take_filter() == 0;
}
