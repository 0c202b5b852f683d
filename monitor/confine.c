/* SPDX-License-Identifier: MIT */
/*
 * What the monitor gives up, so that a bug in a device gives the guest little to work with. While
 * it sets the machine up: what none of it needs, its helpers neither. Once the machine runs: all
 * but a list of system calls with their arguments, files by path, capabilities, the environment,
 * and descriptors that it was started with.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/if_tun.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>

#include "api/rundir.h"
#include "base/allow.h"
#include "base/landlock.h"
#include "base/log.h"
#include "base/process.h"
#include "monitor/cgroup.h"
#include "monitor/machine.h"

#define TCGETS 0x5401
#define TCSETS 0x5402

/* ---- While it starts ------------------------------------------------------------- */

/* Doors of the host's kernel that a virtual machine has no use for. They fail with EPERM. */
static const int denied[] = {
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(process_madvise),
	SCMP_SYS(pidfd_getfd),
	SCMP_SYS(kcmp),
	SCMP_SYS(bpf),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(fanotify_init),
	SCMP_SYS(add_key),
	SCMP_SYS(request_key),
	SCMP_SYS(keyctl),
	SCMP_SYS(kexec_load),
	SCMP_SYS(kexec_file_load),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
	SCMP_SYS(delete_module),
	SCMP_SYS(reboot),
	SCMP_SYS(swapon),
	SCMP_SYS(swapoff),
	SCMP_SYS(acct),
	SCMP_SYS(quotactl),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(name_to_handle_at),
	SCMP_SYS(lookup_dcookie),
	SCMP_SYS(syslog),
	SCMP_SYS(settimeofday),
	SCMP_SYS(clock_settime),
	SCMP_SYS(clock_adjtime),
	SCMP_SYS(adjtimex),
	SCMP_SYS(sethostname),
	SCMP_SYS(setdomainname),
	SCMP_SYS(iopl),
	SCMP_SYS(ioperm),
	SCMP_SYS(modify_ldt),
	SCMP_SYS(personality),
	SCMP_SYS(vhangup),
	SCMP_SYS(move_pages),
	SCMP_SYS(migrate_pages),
	SCMP_SYS(fsopen),
	SCMP_SYS(fsmount),
	SCMP_SYS(open_tree),
	SCMP_SYS(move_mount),
	SCMP_SYS(mount_setattr),
};

static int report(const char *what, int err)
{
	log_error("%s: %s", what, strerror(-err));
	return -1;
}

int confine_start(void)
{
	scmp_filter_ctx list = seccomp_init(SCMP_ACT_ALLOW);
	int err = list ? 0 : -ENOMEM;

	for (size_t i = 0; i < sizeof(denied) / sizeof(denied[0]) && !err; i++)
		err = seccomp_rule_add(list, SCMP_ACT_ERRNO(EPERM), denied[i], 0);
	if (!err)
		err = allow_only(list);
	else if (list)
		seccomp_release(list);
	return err ? report("seccomp", err) : 0;
}

/* ---- While it runs ----------------------------------------------------------------- */

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
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	/* control socket, log */
	SCMP_SYS(accept4),
	SCMP_SYS(shutdown),
	SCMP_SYS(geteuid),
	SCMP_SYS(ftruncate),
	/* spaces */
	SCMP_SYS(futex),
	SCMP_SYS(wait4),
	SCMP_SYS(timer_settime),
	SCMP_SYS(timer_delete),
	/* the library and the end */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(madvise),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_nanosleep),
	SCMP_SYS(close),
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(unlink),
	SCMP_SYS(rmdir),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

/* One argument has to have one value. */
static const struct {
	int call;
	unsigned arg;
	scmp_datum_t is;
} exact[] = {
	/* Not TIOCSTI, by which a terminal's reader would take what we write for input. */
	{SCMP_SYS(ioctl), 1, TCGETS},
	{SCMP_SYS(ioctl), 1, TCSETS},
	{SCMP_SYS(ioctl), 1, TIOCGWINSZ},
	{SCMP_SYS(ioctl), 1, TUNSETOFFLOAD},
	{SCMP_SYS(ioctl), 1, BLKGETSIZE64},
	/* Not F_SETOWN and F_SETSIG, by which input signals others. */
	{SCMP_SYS(fcntl), 1, F_DUPFD},
	{SCMP_SYS(fcntl), 1, F_DUPFD_CLOEXEC},
	{SCMP_SYS(fcntl), 1, F_GETFL},
	{SCMP_SYS(fcntl), 1, F_SETFL},
	/* fstat(), as the library makes it */
	{SCMP_SYS(newfstatat), 3, AT_EMPTY_PATH},
	{SCMP_SYS(getsockopt), 1, SOL_SOCKET},
	{SCMP_SYS(timerfd_create), 0, CLOCK_MONOTONIC},
	/* To whom it is connected, no one else. */
	{SCMP_SYS(sendto), 4, 0},
	{SCMP_SYS(recvfrom), 4, 0},
	{SCMP_SYS(mremap), 3, MREMAP_MAYMOVE},
};

static int add_exact(scmp_filter_ctx list)
{
	int err = 0;

	for (size_t i = 0; i < sizeof(exact) / sizeof(exact[0]) && !err; i++)
		err = seccomp_rule_add(list, SCMP_ACT_ALLOW, exact[i].call, 1,
			SCMP_CMP(exact[i].arg, SCMP_CMP_EQ, exact[i].is));
	return err;
}

/* Memory is never executable. */
static int add_memory(scmp_filter_ctx list)
{
	const struct scmp_arg_cmp data = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	int err = seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, data);

	return err ? err : seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, data);
}

/*
 * Signals to single processes: kicks, and the end of spaces and helpers. Which processes, Landlock
 * says. Timers are on the CPU time of processes, whose numbers are negative. abort() is for itself.
 */
static int add_signals(scmp_filter_ctx list)
{
	static const int signals[] = {STUB_KICK_SIGNAL, SIGKILL, SIGTERM};
	int err = 0;

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && !err; i++)
		err = seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(kill), 2,
			SCMP_A0(SCMP_CMP_LE, INT_MAX),
			SCMP_A1(SCMP_CMP_EQ, (scmp_datum_t)signals[i]));
	if (!err)
		err = seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(timer_create), 1,
			SCMP_A0(SCMP_CMP_MASKED_EQ, 0x80000007, 0x80000002));
	if (!err)
		err = seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 2,
			SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid()),
			SCMP_A2(SCMP_CMP_EQ, SIGABRT));
	return err;
}

/* Where the guest may connect to sockets of the host, and to such of one kind alone. */
static int add_outward(scmp_filter_ctx list)
{
	int err = seccomp_rule_add(
		list, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1, SCMP_A0(SCMP_CMP_EQ, AF_UNIX));

	return err ? err : seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(connect), 0);
}

static int take_list(const struct machine *m)
{
	scmp_filter_ctx list;
	int err = allow_list(&list, allowed, sizeof(allowed) / sizeof(allowed[0]));

	if (err)
		return err;
	err = add_exact(list);
	if (!err)
		err = add_memory(list);
	if (!err)
		err = add_signals(list);
	if (!err)
		err = allow_affinity(list);
	if (!err && m->config->vsock_outward)
		err = add_outward(list);
	if (!err)
		return allow_only(list);
	seccomp_release(list);
	return err;
}

/* By path it only removes: its own folder's files, that folder and the one above, its cgroup. */
static int take_files(const struct machine *m)
{
	const struct rundir_claim *claim = m->config->claim;
	struct landlock_place place[3];
	unsigned places = 0;
	char path[PATH_MAX];
	int base = -1, err;

	if (cgroup_parent() >= 0)
		place[places++] =
			(struct landlock_place){cgroup_parent(), LANDLOCK_ACCESS_FS_REMOVE_DIR};
	if (claim) {
		snprintf(path, sizeof(path), "%s/../..", claim->path);
		base = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (base < 0)
			return -errno;
		place[places++] = (struct landlock_place){base, LANDLOCK_ACCESS_FS_REMOVE_DIR};
		place[places++] =
			(struct landlock_place){claim->dir, LANDLOCK_ACCESS_FS_REMOVE_FILE};
	}
	err = landlock_files(place, places);
	if (base >= 0)
		close(base);
	return err;
}

int confine_run(const struct machine *m)
{
	int err;

	process_close_inherited();
	process_forget_environment();
	/* passt is another user's process when it has dropped root. */
	err = process_keep_capabilities(1U << CAP_KILL);
	if (err)
		return report("capabilities", err);
	err = take_files(m);
	if (err)
		return report("Landlock", err);
	err = take_list(m);
	return err ? report("seccomp", err) : 0;
}
