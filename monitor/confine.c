/* SPDX-License-Identifier: MIT */
/*
 * The monitor's own seccomp list: taken once the machine is set up, so that a bug
 * in a device gives the guest little to work with.
 */
#include <seccomp.h>
#include <sys/socket.h>

#include "base/allow.h"
#include "monitor/machine.h"

static const int allowed[] = {
	/* the loop, the guest's streams and disks */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(readv),
	SCMP_SYS(writev),
	SCMP_SYS(pread64),
	SCMP_SYS(pwrite64),
	SCMP_SYS(preadv),
	SCMP_SYS(pwritev),
	SCMP_SYS(preadv2),
	SCMP_SYS(pwritev2),
	SCMP_SYS(fdatasync),
	SCMP_SYS(flock),
	SCMP_SYS(fallocate),
	SCMP_SYS(io_uring_enter),
	SCMP_SYS(getrandom),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(ioctl),
	SCMP_SYS(fcntl),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(newfstatat),
	/* control socket, log */
	SCMP_SYS(accept4),
	SCMP_SYS(getsockopt),
	SCMP_SYS(shutdown),
	SCMP_SYS(geteuid),
	SCMP_SYS(ftruncate),
	/* spaces */
	SCMP_SYS(futex),
	SCMP_SYS(kill),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(wait4),
	SCMP_SYS(timer_create),
	SCMP_SYS(timer_settime),
	SCMP_SYS(timer_delete),
	/* the library and the end */
	SCMP_SYS(brk),
	SCMP_SYS(mmap),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(mprotect),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(tgkill),
	SCMP_SYS(unlink),
	SCMP_SYS(rmdir),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* Where the guest may connect to sockets of the host, and to such of one kind alone. */
static int allow_outward(scmp_filter_ctx list)
{
	int err = seccomp_rule_add(
		list, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	return err ? err : seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

int monitor_confine(const struct machine *m)
{
	scmp_filter_ctx list;
	int err = allow_list(&list, allowed, sizeof(allowed) / sizeof(allowed[0]));

	if (err)
		return err;
	err = allow_affinity(list);
	if (!err && m->config->vsock_outward)
		err = allow_outward(list);
	if (!err)
		return allow_only(list);
	seccomp_release(list);
	return err;
}
