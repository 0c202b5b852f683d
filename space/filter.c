/* SPDX-License-Identifier: MIT */
/*
 * What a space may ask of the host. It runs whatever the guest wants, with the
 * stub's text in reach, so this list is the wall between guest and host: mappings
 * of this VM's RAM alone, sleeping, its own doorbell and timer.
 */
#define _GNU_SOURCE
#include "space/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "abi/space.h"

#define SECCOMP_SET_MODE_FILTER_VALUE 1

#define RULE(ctx, call, ...)                                                                       \
	do {                                                                                       \
		const struct scmp_arg_cmp args[] = {__VA_ARGS__};                                  \
		int rule_err = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(call),         \
			sizeof(args) / sizeof(args[0]), args);                                     \
		if (rule_err)                                                                      \
			return rule_err;                                                           \
	} while (0)

#define RULE_ANY(ctx, call)                                                                        \
	do {                                                                                       \
		int rule_err =                                                                     \
			seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(call), 0, NULL);      \
		if (rule_err)                                                                      \
			return rule_err;                                                           \
	} while (0)

/* All descriptors from STUB_FD_KICK on that can be a vCPU's. */
#define KICK_MASK ((scmp_datum_t) ~(LUCID_VCPUS - 1))
#define PROT_MASK ((scmp_datum_t) ~(PROT_READ | PROT_WRITE | PROT_EXEC))

/* Guest addresses: everything below the stub's own. */
static int allow_mappings(scmp_filter_ctx ctx)
{
	RULE(ctx, mmap, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0),
		SCMP_A3(SCMP_CMP_MASKED_EQ, (scmp_datum_t)~MAP_POPULATE, MAP_SHARED | MAP_FIXED),
		SCMP_A4(SCMP_CMP_EQ, STUB_FD_RAM));
	RULE(ctx, munmap, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE));
	RULE(ctx, mprotect, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0));
	RULE(ctx, pkey_mprotect, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0));
	return 0;
}

/* Kicks for other vCPUs: bytes into their FIFOs, and out again when they are full. */
static int allow_kicks(scmp_filter_ctx ctx)
{
	RULE(ctx, write, SCMP_A0(SCMP_CMP_MASKED_EQ, KICK_MASK, STUB_FD_KICK),
		SCMP_A2(SCMP_CMP_EQ, 1));
	RULE(ctx, read, SCMP_A0(SCMP_CMP_MASKED_EQ, KICK_MASK, STUB_FD_KICK));
	RULE(ctx, membarrier, SCMP_A0(SCMP_CMP_EQ, MEMBARRIER_CMD_GLOBAL_EXPEDITED));
	return 0;
}

/* Where the space itself may run, no other process. */
static int allow_places(scmp_filter_ctx ctx)
{
	RULE(ctx, sched_setaffinity, SCMP_A0(SCMP_CMP_EQ, 0));
	return 0;
}

static int allow_space(scmp_filter_ctx ctx, bool kicks, bool places)
{
	int err = allow_mappings(ctx);

	if (!err && kicks)
		err = allow_kicks(ctx);
	if (!err && places)
		err = allow_places(ctx);
	if (err)
		return err;
	RULE(ctx, futex, SCMP_A1(SCMP_CMP_EQ, FUTEX_WAIT));
	RULE(ctx, futex, SCMP_A1(SCMP_CMP_EQ, FUTEX_WAKE));
	RULE(ctx, write, SCMP_A0(SCMP_CMP_EQ, STUB_FD_DOORBELL), SCMP_A2(SCMP_CMP_EQ, 8));
	RULE(ctx, timerfd_settime, SCMP_A0(SCMP_CMP_EQ, STUB_FD_TIMER), SCMP_A1(SCMP_CMP_EQ, 0),
		SCMP_A3(SCMP_CMP_EQ, 0));
	RULE(ctx, pread64, SCMP_A0(SCMP_CMP_EQ, STUB_FD_SCHEDSTAT));
	RULE_ANY(ctx, rt_sigreturn);
	/* How the host goes on with a futex wait that SIGSTOP or a debugger broke into. */
	RULE_ANY(ctx, restart_syscall);
	RULE_ANY(ctx, exit_group);
	return 0;
}

/* What the zygote, and a space before it takes its own list, needs besides. */
static int allow_zygote(scmp_filter_ctx ctx, bool kicks)
{
	RULE(ctx, munmap, SCMP_A0(SCMP_CMP_GE, LUCID_STUB_BASE));
	RULE(ctx, read, SCMP_A0(SCMP_CMP_EQ, STUB_FD_ZYGOTE));
	RULE(ctx, write, SCMP_A0(SCMP_CMP_EQ, STUB_FD_ZYGOTE));
	RULE(ctx, close, SCMP_A0(SCMP_CMP_LT, 3));
	RULE(ctx, close, SCMP_A0(SCMP_CMP_EQ, STUB_FD_ZYGOTE));
	RULE(ctx, clone, SCMP_A0(SCMP_CMP_EQ, CLONE_PARENT | SIGCHLD));
	RULE(ctx, prctl, SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG), SCMP_A1(SCMP_CMP_EQ, SIGKILL));
	RULE(ctx, prctl, SCMP_A0(SCMP_CMP_EQ, PR_SET_SYSCALL_USER_DISPATCH));
	RULE(ctx, seccomp, SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER_VALUE),
		SCMP_A1(SCMP_CMP_EQ, 0));
	RULE_ANY(ctx, getppid);
	RULE_ANY(ctx, getpid);
	RULE(ctx, close, SCMP_A0(SCMP_CMP_EQ, STUB_FD_PROC));
	RULE(ctx, openat, SCMP_A0(SCMP_CMP_EQ, STUB_FD_PROC), SCMP_A2(SCMP_CMP_EQ, O_RDONLY));
	if (!kicks)
		return 0;
	RULE(ctx, fcntl, SCMP_A0(SCMP_CMP_MASKED_EQ, KICK_MASK, STUB_FD_KICK),
		SCMP_A1(SCMP_CMP_EQ, F_SETOWN));
	RULE(ctx, membarrier, SCMP_A0(SCMP_CMP_EQ, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED));
	return 0;
}

/* Everything else, other architectures' calls included, kills the process. */
static scmp_filter_ctx new_list(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);

	if (ctx && seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS)) {
		seccomp_release(ctx);
		return NULL;
	}
	return ctx;
}

/* libseccomp hands its program out through a descriptor. */
static int export(scmp_filter_ctx ctx, struct sock_filter *program, size_t max)
{
	int fd = memfd_create("lucid-filter", MFD_CLOEXEC);
	ssize_t got;
	int err;

	if (fd < 0)
		return -errno;
	err = seccomp_export_bpf(ctx, fd);
	if (!err) {
		got = pread(fd, program, max * sizeof(*program), 0);
		if (got <= 0 || got == (ssize_t)(max * sizeof(*program)))
			err = -E2BIG;
		else
			err = (int)(got / (ssize_t)sizeof(*program));
	}
	close(fd);
	return err;
}

/* Whoever owns a FIFO gets its kicks: a space may take them itself, and send them nowhere else. */
static int allow_own(scmp_filter_ctx ctx)
{
	RULE(ctx, fcntl, SCMP_A0(SCMP_CMP_MASKED_EQ, KICK_MASK, STUB_FD_KICK),
		SCMP_A1(SCMP_CMP_EQ, F_SETOWN), SCMP_A2(SCMP_CMP_EQ, STUB_FILTER_PID));
	return 0;
}

int filter_space(struct sock_filter *program, size_t max, bool kicks, bool places)
{
	scmp_filter_ctx ctx = new_list();
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = allow_space(ctx, kicks, places);
	if (!ret && kicks)
		ret = allow_own(ctx);
	if (!ret)
		ret = export(ctx, program, max);
	seccomp_release(ctx);
	return ret;
}

int filter_zygote(bool kicks, bool places)
{
	scmp_filter_ctx ctx = new_list();
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = allow_space(ctx, kicks, places);
	if (!ret)
		ret = allow_zygote(ctx, kicks);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret;
}
