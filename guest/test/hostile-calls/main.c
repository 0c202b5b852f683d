/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that makes every host system call there is, and some that there are not, with
 * arguments made up: by syscall, int $0x80, sysenter and the vsyscall page. Each that is not on
 * the list ends its space and nothing else. The kernel says that user mode ran, so that the
 * monitor makes the space again, and goes on with the next.
 * Expected: success.
 * Options: --timeout 100
 */
#include <asm/unistd.h>

#include "guest/test/lib/test.h"

/* Those of the list, which hostile-args makes. */
static const uint64_t listed[] = {__NR_read, __NR_write, __NR_mmap, __NR_mprotect, __NR_munmap,
	__NR_rt_sigreturn, __NR_pread64, __NR_futex, __NR_fcntl, __NR_sched_setaffinity,
	__NR_restart_syscall, __NR_exit_group, __NR_timerfd_settime, __NR_membarrier,
	__NR_pkey_mprotect};
/* Linux 6.14 and later answer these two (uretprobe, uprobe) themselves, before any list. */
#define PROBES 335
#define CALLS 480
#define X32 0x40000000ull

BLOB(stop, "ud2");

static void *back[5];
static uint64_t ended, trapped_itself, state = RANDOM_SEED;

static uint64_t random(void)
{
	static const uint64_t odd[] = {0, 1, 3, 4, ~0ull, 4096, LUCID_DIRECT_BASE, LUCID_STUB_BASE,
		LUCID_IMAGE_BASE, 0x7fffffffffff, 1ull << 63};

	random_next(&state);
	return state % 3 ? odd[(state >> 8) % (sizeof(odd) / sizeof(odd[0]))] : state >> 16;
}

static bool on_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (frame->cs == LUCID_USER_CS && vector == LUCID_VEC_GP)
		ended++;
	else
		trapped_itself++;
	vcpu->mode = LUCID_MODE_KERNEL;
	__builtin_longjmp(back, 1);
}

static void by_syscall(uint64_t nr)
{
	register uint64_t r10 __asm__("r10") = random(), r8 __asm__("r8") = random(),
			      r9 __asm__("r9") = random();
	uint64_t a = random(), b = random(), c = random();

	__asm__ volatile("syscall"
			 : "+a"(nr), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8), "+r"(r9)
			 :
			 : "rcx", "r11", "memory");
}

static void by_int80(uint64_t nr)
{
	uint64_t a = random(), b = random(), c = random();

	__asm__ volatile("int $0x80" : "+a"(nr), "+c"(a), "+S"(b), "+d"(c) : : "memory", "rdi");
}

static void by_sysenter(uint64_t nr)
{
	static uint64_t stack[64];
	uint64_t a = random();

	/* The host reads an argument from the stack, by ebp, before it looks at the list. */
	__asm__ volatile("push %%rbp\n\tmov %2, %%rbp\n\tsysenter\n\tpop %%rbp"
			 : "+a"(nr), "+D"(a)
			 : "r"(&stack[32])
			 : "rcx", "rdx", "rsi", "r11", "memory");
}

static void by_vsyscall(uint64_t nr)
{
	((void (*)(uint64_t, uint64_t))(0xffffffffff600000 + nr * 0x400))(random(), random());
}

/* One call, after which the monitor has to believe that user mode ran. */
static void try(const char *how, void (*call)(uint64_t nr), uint64_t nr)
{
	uint64_t before = ended + trapped_itself;

	if (__builtin_setjmp(back) == 0) {
		vcpu->mode = LUCID_MODE_USER;
		call(nr);
		vcpu->mode = LUCID_MODE_KERNEL;
	}
	if (ended + trapped_itself == before)
		failure("%s %x passes", how, nr);
}

static bool is_listed(uint64_t nr)
{
	unsigned i;

	for (i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
		if (listed[i] == nr)
			return true;
	return nr == PROBES || nr == PROBES + 1;
}

void test_main(void)
{
	static const uint64_t beyond[] = {~0ull, ~0ull - 1, 1ull << 31, 0x7fffffff, 1ull << 32,
		1ull << 63, X32, X32 - 1, X32 | 512, X32 | 547, 1000, 0xffff, 0x10027};
	uint64_t nr;
	unsigned i;

	user_space(stop, BLOB_SIZE(stop), 0);
	user_blob(stop);
	trap_hook = on_trap;
	for (nr = 0; nr < CALLS; nr++) {
		if (!is_listed(nr))
			try("system call", by_syscall, nr);
		if (nr != PROBES && nr != PROBES + 1)
			try("x32 call", by_syscall, nr | X32);
	}
	for (i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++)
		try("system call", by_syscall, beyond[i]);
	report("%u spaces ended, %u faults", ended, trapped_itself);
	check(ended > 900);
	for (nr = 0; nr < CALLS; nr += 3) {
		try("int 80", by_int80, nr);
		try("sysenter", by_sysenter, nr);
	}
	for (nr = 0; nr < 3; nr++)
		try("vsyscall", by_vsyscall, nr);
	trap_hook = NULL;
	report("%u spaces ended, %u faults", ended, trapped_itself);
}
