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
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "abi/space.h"

#define ACTION(ctx, action, call, ...)                                                             \
	do {                                                                                       \
		const struct scmp_arg_cmp args[] = {__VA_ARGS__};                                  \
		int rule_err = seccomp_rule_add_array(                                             \
			ctx, action, SCMP_SYS(call), sizeof(args) / sizeof(args[0]), args);        \
		if (rule_err)                                                                      \
			return rule_err;                                                           \
	} while (0)

#define RULE(ctx, call, ...) ACTION(ctx, SCMP_ACT_ALLOW, call, __VA_ARGS__)

#define RULE_ANY(ctx, call)                                                                        \
	do {                                                                                       \
		int rule_err =                                                                     \
			seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, SCMP_SYS(call), 0, NULL);      \
		if (rule_err)                                                                      \
			return rule_err;                                                           \
	} while (0)

/* All descriptors from STUB_FD_KICK on that can be a vCPU's. */
#define KICK_MASK ((scmp_datum_t) ~(LUCID_VCPUS - 1))
#define DIRECT_MASK ((scmp_datum_t) ~(LUCID_KERNEL_BASE - LUCID_DIRECT_BASE - 1))
#define BLOCK_MAX (2ul << 20)
#define PROT_MASK ((scmp_datum_t) ~(PROT_READ | PROT_WRITE | PROT_EXEC))

/* Guest addresses: everything below the stub's own, and RAM as far as there is. */
static int allow_mappings(scmp_filter_ctx ctx, const struct filter_wants *wants)
{
	RULE(ctx, mmap, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0),
		SCMP_A3(SCMP_CMP_MASKED_EQ, (scmp_datum_t)~MAP_POPULATE, MAP_SHARED | MAP_FIXED),
		SCMP_A4(SCMP_CMP_EQ, STUB_FD_RAM), SCMP_A5(SCMP_CMP_LT, wants->ram_size));
	RULE(ctx, munmap, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE));
	RULE(ctx, mprotect, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0));
	/* RAM that it could as well touch. */
	RULE(ctx, madvise, SCMP_A0(SCMP_CMP_MASKED_EQ, DIRECT_MASK, LUCID_DIRECT_BASE),
		SCMP_A1(SCMP_CMP_LE, BLOCK_MAX), SCMP_A2(SCMP_CMP_EQ, MADV_POPULATE_WRITE));
	RULE(ctx, lseek, SCMP_A0(SCMP_CMP_EQ, STUB_FD_RAM), SCMP_A2(SCMP_CMP_EQ, SEEK_DATA));
	if (!wants->key)
		return 0;
	RULE(ctx, pkey_mprotect, SCMP_A0(SCMP_CMP_LT, LUCID_STUB_BASE),
		SCMP_A1(SCMP_CMP_LT, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0),
		SCMP_A3(SCMP_CMP_EQ, wants->key));
	return 0;
}

/* Kicks for other vCPUs: bytes into their FIFOs, and out again when they are full. */
static int allow_kicks(scmp_filter_ctx ctx)
{
	RULE(ctx, write, SCMP_A0(SCMP_CMP_MASKED_EQ, KICK_MASK, STUB_FD_KICK),
		SCMP_A2(SCMP_CMP_EQ, 1));
	RULE(ctx, read, SCMP_A0(SCMP_CMP_MASKED_EQ, KICK_MASK, STUB_FD_KICK),
		SCMP_A2(SCMP_CMP_LE, 4096));
	RULE(ctx, membarrier, SCMP_A0(SCMP_CMP_EQ, MEMBARRIER_CMD_GLOBAL_EXPEDITED));
	return 0;
}

/* Where the space itself may run, no other process. */
static int allow_places(scmp_filter_ctx ctx)
{
	RULE(ctx, sched_setaffinity, SCMP_A0(SCMP_CMP_EQ, 0));
	return 0;
}

static int allow_space(scmp_filter_ctx ctx, const struct filter_wants *wants)
{
	int err = allow_mappings(ctx, wants);

	if (!err && wants->kicks)
		err = allow_kicks(ctx);
	if (!err && wants->places)
		err = allow_places(ctx);
	if (err)
		return err;
	RULE(ctx, futex, SCMP_A1(SCMP_CMP_EQ, FUTEX_WAIT));
	RULE(ctx, futex, SCMP_A1(SCMP_CMP_EQ, FUTEX_WAKE), SCMP_A2(SCMP_CMP_EQ, 1));
	RULE(ctx, write, SCMP_A0(SCMP_CMP_EQ, STUB_FD_DOORBELL), SCMP_A2(SCMP_CMP_EQ, 8));
	RULE(ctx, timerfd_settime, SCMP_A0(SCMP_CMP_EQ, STUB_FD_TIMER), SCMP_A1(SCMP_CMP_EQ, 0),
		SCMP_A3(SCMP_CMP_EQ, 0));
	RULE(ctx, pread64, SCMP_A0(SCMP_CMP_EQ, STUB_FD_SCHEDSTAT), SCMP_A2(SCMP_CMP_LE, 64),
		SCMP_A3(SCMP_CMP_EQ, 0));
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
	RULE(ctx, pread64, SCMP_A0(SCMP_CMP_EQ, STUB_FD_SCHEDSTAT));
	RULE(ctx, close, SCMP_A0(SCMP_CMP_EQ, STUB_FD_ZYGOTE));
	RULE(ctx, clone, SCMP_A0(SCMP_CMP_EQ, CLONE_PARENT | SIGCHLD), SCMP_A1(SCMP_CMP_EQ, 0));
	RULE(ctx, prctl, SCMP_A0(SCMP_CMP_EQ, PR_SET_PDEATHSIG), SCMP_A1(SCMP_CMP_EQ, SIGKILL));
	RULE(ctx, prctl, SCMP_A0(SCMP_CMP_EQ, PR_SET_SYSCALL_USER_DISPATCH));
	RULE(ctx, seccomp, SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER), SCMP_A1(SCMP_CMP_EQ, 0));
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

/* What it takes to make a twin, and what the spaces' own list narrows to that one. */
static int allow_making_twins(scmp_filter_ctx ctx)
{
	RULE(ctx, mmap, SCMP_A0(SCMP_CMP_EQ, STUB_TWIN_ADDR),
		SCMP_A1(SCMP_CMP_EQ, STUB_TWIN_SIZE + STUB_TWIN_STACK_SIZE),
		SCMP_A2(SCMP_CMP_EQ, PROT_READ | PROT_WRITE),
		SCMP_A3(SCMP_CMP_EQ, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED));
	RULE(ctx, clone, SCMP_A0(SCMP_CMP_EQ, CLONE_FILES | CLONE_PIDFD | STUB_TWIN_SIGNAL),
		SCMP_A1(SCMP_CMP_EQ, 0));
	RULE_ANY(ctx, rt_sigaction);
	RULE_ANY(ctx, sigaltstack);
	RULE(ctx, mprotect, SCMP_A0(SCMP_CMP_GE, LUCID_STUB_BASE), SCMP_A2(SCMP_CMP_EQ, PROT_READ));
	RULE(ctx, seccomp, SCMP_A0(SCMP_CMP_EQ, SECCOMP_SET_MODE_FILTER),
		SCMP_A1(SCMP_CMP_EQ,
			SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV));
	RULE(ctx, ioctl, SCMP_A1(SCMP_CMP_EQ, SECCOMP_IOCTL_NOTIF_RECV));
	RULE(ctx, ioctl, SCMP_A1(SCMP_CMP_EQ, SECCOMP_IOCTL_NOTIF_SEND));
	RULE(ctx, pidfd_send_signal, SCMP_A1(SCMP_CMP_EQ, STUB_KICK_SIGNAL),
		SCMP_A2(SCMP_CMP_EQ, 0));
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

/* A space's own twin: its calls are looked at and answered, and it is interrupted. */
static int allow_twin(scmp_filter_ctx ctx)
{
	RULE(ctx, ioctl, SCMP_A0(SCMP_CMP_EQ, STUB_FILTER_NOTIFY),
		SCMP_A1(SCMP_CMP_EQ, SECCOMP_IOCTL_NOTIF_RECV));
	RULE(ctx, ioctl, SCMP_A0(SCMP_CMP_EQ, STUB_FILTER_NOTIFY),
		SCMP_A1(SCMP_CMP_EQ, SECCOMP_IOCTL_NOTIF_SEND));
	RULE(ctx, pidfd_send_signal, SCMP_A0(SCMP_CMP_EQ, STUB_FILTER_TWIN),
		SCMP_A1(SCMP_CMP_EQ, STUB_KICK_SIGNAL), SCMP_A2(SCMP_CMP_EQ, 0));
	return 0;
}

#define FIELD(field) ((unsigned)offsetof(struct seccomp_data, field))
#define LOW(n) (FIELD(args) + 8 * (n))
#define HIGH(n) (LOW(n) + 4)
#define END_HIGH ((unsigned)(LUCID_STUB_BASE >> 32))

/*
 * What libseccomp cannot say: address and length of a mapping, each below the stub, do not add up
 * to more than where it begins. Classic BPF has 32-bit words, so the carry is made by hand.
 */
static const struct sock_filter ends[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, FIELD(nr)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mmap, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_munmap, 2, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_mprotect, 1, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_pkey_mprotect, 0, 20),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW(0)),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, LOW(1)),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_STMT(BPF_ST, 0),
	BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 0, 2, 0),
	BPF_STMT(BPF_LD | BPF_IMM, 1),
	BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0),
	BPF_STMT(BPF_LD | BPF_IMM, 0),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH(0)),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_STMT(BPF_MISC | BPF_TAX, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, HIGH(1)),
	BPF_STMT(BPF_ALU | BPF_ADD | BPF_X, 0),
	BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, END_HIGH, 3, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, END_HIGH, 0, 3),
	BPF_STMT(BPF_LD | BPF_MEM, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};
#define ENDS (sizeof(ends) / sizeof(ends[0]))
_Static_assert((LUCID_STUB_BASE & 0xffffffff) == 0, "ends[] compares its high word alone");

int filter_space(struct sock_filter *program, size_t max, const struct filter_wants *wants)
{
	scmp_filter_ctx ctx = new_list();
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = allow_space(ctx, wants);
	if (!ret && wants->kicks)
		ret = allow_own(ctx);
	if (!ret && wants->twins)
		ret = allow_twin(ctx);
	if (!ret)
		ret = max > ENDS ? export(ctx, program + ENDS, max - ENDS) : -E2BIG;
	if (ret > 0) {
		memcpy(program, ends, sizeof(ends));
		ret += (int)ENDS;
	}
	seccomp_release(ctx);
	return ret;
}

/*
 * Whoever runs in a twin makes these calls at will. What gives it memory, or says that it
 * waits, stops it until its space has looked at it; what only takes memory from it, and
 * cannot reach the stub's, is its own affair.
 */
static int list_twin(scmp_filter_ctx ctx, const struct filter_wants *wants)
{
	ACTION(ctx, SCMP_ACT_NOTIFY, getppid); /* STUB_TWIN_YIELD */
	ACTION(ctx, SCMP_ACT_NOTIFY, mmap, SCMP_A0(SCMP_CMP_LT, STUB_TWIN_END),
		SCMP_A1(SCMP_CMP_LE, STUB_TWIN_END / 2), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_MASK, 0),
		SCMP_A3(SCMP_CMP_MASKED_EQ, (scmp_datum_t)~MAP_POPULATE, MAP_SHARED | MAP_FIXED),
		SCMP_A4(SCMP_CMP_EQ, STUB_FD_RAM), SCMP_A5(SCMP_CMP_LT, wants->ram_size));
	RULE(ctx, munmap, SCMP_A0(SCMP_CMP_LT, STUB_TWIN_END),
		SCMP_A1(SCMP_CMP_LE, STUB_TWIN_END / 2));
	RULE(ctx, mprotect, SCMP_A0(SCMP_CMP_LT, STUB_TWIN_END),
		SCMP_A1(SCMP_CMP_LE, STUB_TWIN_END / 2), SCMP_A2(SCMP_CMP_EQ, PROT_READ));
	if (wants->places)
		ACTION(ctx, SCMP_ACT_NOTIFY, sched_setaffinity, SCMP_A0(SCMP_CMP_EQ, 0));
	return 0;
}

int filter_twin(struct sock_filter *program, size_t max, const struct filter_wants *wants)
{
	scmp_filter_ctx ctx = new_list();
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = list_twin(ctx, wants);
	if (!ret)
		ret = export(ctx, program, max);
	seccomp_release(ctx);
	return ret;
}

int filter_zygote(const struct filter_wants *wants)
{
	scmp_filter_ctx ctx = new_list();
	int ret;

	if (!ctx)
		return -ENOMEM;
	ret = allow_space(ctx, wants);
	if (!ret)
		ret = allow_zygote(ctx, wants->kicks);
	if (!ret && wants->twins)
		ret = allow_making_twins(ctx);
	if (!ret)
		ret = seccomp_load(ctx);
	seccomp_release(ctx);
	return ret;
}
