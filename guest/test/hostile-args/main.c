/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that makes the host system calls that a space has, in any order with arguments
 * made up: it may tear down its own machine, and no more than that.
 * Expected: the VM lives or ends.
 * Options: --cpus 2
 * Variants: seed=0..11
 */
#include "guest/test/lib/host.h"
#include "abi/space.h"

#define private ((const struct stub_private *)STUB_PRIVATE_ADDR)

static const uint64_t calls[] = {__NR_mmap, __NR_munmap, __NR_mprotect, __NR_pkey_mprotect,
	__NR_futex, __NR_write, __NR_read, __NR_pread64, __NR_timerfd_settime, __NR_fcntl,
	__NR_membarrier, __NR_sched_setaffinity, __NR_rt_sigreturn, __NR_restart_syscall,
	__NR_exit_group};
static uint64_t state;

static uint64_t random(void)
{
	return random_next(&state) >> 8;
}

static uint64_t address(void)
{
	static const uint64_t near[] = {0x10000, 0x10000000, LUCID_IMAGE_BASE, LUCID_WINDOW_END,
		LUCID_INFO_ADDR, LUCID_VCPU_ADDR, LUCID_DIRECT_BASE, LUCID_KERNEL_BASE,
		LUCID_KERNEL_END - 0x400000};
	uint64_t at = near[random() % (sizeof(near) / sizeof(near[0]))];

	return at + (random() % 512) * PAGE + (random() % 16 ? 0 : random() % PAGE);
}

/* With arguments that the list lets pass, or it would be over at the first. */
static void one(uint64_t nr)
{
	const uint64_t ram = info->ram_size / PAGE;

	switch (nr) {
	case __NR_mmap:
		host_call(nr, address(), (random() % 64) * PAGE, random() % 8,
			0x11 | (random() & 0x8000), 3, (random() % ram) * PAGE);
		break;
	case __NR_pread64:
		host_call(nr, 0, address(), random() % 65, 0, 0, 0);
		break;
	case __NR_futex:
		/* One that waits has to wait for something that is not there, or not for long. */
		host_call(nr, address(), random() & 1, 1, address(), 0, 0);
		break;
	case __NR_write:
		if (random() & 1)
			host_call(nr, 4, address(), 8, 0, 0, 0);
		else
			host_call(nr, 64 + random() % 64, address(), 1, 0, 0, 0);
		break;
	case __NR_read:
		host_call(nr, 64 + random() % 64, address(), random() % 4097, 0, 0, 0);
		break;
	case __NR_timerfd_settime:
		host_call(nr, 5, 0, address(), 0, 0, 0);
		break;
	case __NR_fcntl:
		host_call(nr, 64 + random() % 64, 8, private->pid, 0, 0, 0);
		break;
	case __NR_membarrier:
		host_call(nr, 2, random(), random(), 0, 0, 0);
		break;
	case __NR_sched_setaffinity:
		/* Killed where the machine may not choose its CPUs, so not at first. */
		if (random() % 50)
			break;
		host_call(nr, 0, random() % 4096, address(), 0, 0, 0);
		break;
	case __NR_rt_sigreturn:
	case __NR_exit_group:
		if (random() % 500)
			break;
		host_call(nr, random(), 0, 0, 0, 0, 0);
		break;
	case __NR_pkey_mprotect:
		if (!private->key_kernel)
			break;
		/* fall through */
	default:
		/* What it stands on goes soon enough. */
		host_call(nr, address(), (random() % 4) * PAGE, random() % 8, private->key_kernel,
			0, 0);
	}
}

void test_main(void)
{
	uint64_t n;

	state = RANDOM_SEED + cmdline_number("seed", 0) * 7919;
	for (n = 0; n < 20; n++)
		random();
	for (n = 0; n < 5000; n++) {
		one(calls[random() % (sizeof(calls) / sizeof(calls[0]))]);
		if (n % 100 == 0)
			report("%u calls", n);
	}
	report("lives on");
}
