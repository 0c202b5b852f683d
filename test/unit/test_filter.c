/* SPDX-License-Identifier: MIT */
/* The spaces' seccomp list, tried call by call in a child that it holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/space.h"
#include "space/filter.h"

#define GUEST 0x10000000l /* a guest address */
#define OWN_PID 0x5e1f5e1fl /* stands for the process id of the one that tries */

#define KEY 3
#define RAM_SIZE (64l << 20)

static const struct filter_wants wants = {
	.ram_size = RAM_SIZE, .key = KEY, .kicks = true, .places = true};
static struct sock_filter program[400];
static struct sock_fprog prog = {.filter = program};

static int set_up(void **state)
{
	int length = filter_space(program, 400, &wants);

	(void)state;
	assert_true(length > 0);
	prog.len = (unsigned short)length;
	return 0;
}

/* As a space does it. */
static void name_own_pid(void)
{
	unsigned i;

	for (i = 0; i < prog.len; i++)
		if (program[i].k == STUB_FILTER_PID)
			program[i].k = (unsigned)getpid();
}

/* Does the list let the call pass? Its result does not matter. */
static int allowed(long nr, long a, long b, long c, long d, long e, long f)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		c = c == OWN_PID ? getpid() : c;
		name_own_pid();
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
			_exit(2);
		syscall(nr, a, b, c, d, e, f);
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	/* One that may unmap what it runs on has been let pass, too. */
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		return 1;
	if (WIFEXITED(status))
		assert_int_equal(WEXITSTATUS(status), 0);
	else
		assert_int_equal(WTERMSIG(status), SIGSYS);
	return WIFEXITED(status);
}

#define ALLOWED(...) assert_true(allowed(__VA_ARGS__))
#define KILLED(...) assert_false(allowed(__VA_ARGS__))

static void test_mmap(void **state)
{
	const long rw = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED;

	(void)state;
	ALLOWED(SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM, 0);
	ALLOWED(SYS_mmap, GUEST, 4096, PROT_READ | PROT_EXEC, fixed | MAP_POPULATE, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM + 1, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed, -1, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, MAP_SHARED, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, MAP_PRIVATE | MAP_FIXED, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed | MAP_ANONYMOUS, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed | MAP_LOCKED, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw | PROT_GROWSDOWN, fixed, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, STUB_TEXT_ADDR, 4096, rw, fixed, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, LUCID_STUB_BASE, rw, fixed, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM | 1l << 32, 0);
	ALLOWED(SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM, RAM_SIZE - 4096);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM, RAM_SIZE);
	KILLED(SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM, -4096);
}

/* No range reaches into the stub, wherever it begins and however the sum is made. */
static void test_ends(void **state)
{
	const long rw = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED;
	const long end = LUCID_STUB_BASE, low = 1l << 32;

	(void)state;
	ALLOWED(SYS_mmap, end - 4096, 4096, rw, fixed, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, end - 4096, 4097, rw, fixed, STUB_FD_RAM, 0);
	KILLED(SYS_mmap, end - 4096, low, rw, fixed, STUB_FD_RAM, 0);
	ALLOWED(SYS_munmap, LUCID_KERNEL_BASE, end - LUCID_KERNEL_BASE, 0, 0, 0, 0);
	KILLED(SYS_munmap, LUCID_KERNEL_BASE, end - LUCID_KERNEL_BASE + 1, 0, 0, 0, 0);
	ALLOWED(SYS_munmap, low - 4096, end - low + 4096, 0, 0, 0, 0);
	KILLED(SYS_munmap, low - 4096, end - low + 8192, 0, 0, 0, 0);
	KILLED(SYS_munmap, end / 2, end / 2 + 4096, 0, 0, 0, 0);
	KILLED(SYS_munmap, end - 1, end - 1, 0, 0, 0, 0);
	KILLED(SYS_munmap, GUEST, -GUEST, 0, 0, 0, 0);
	KILLED(SYS_munmap, LONG_MIN, LONG_MIN, 0, 0, 0, 0);
	KILLED(SYS_mprotect, end - 4096, 8192, PROT_READ, 0, 0, 0);
	KILLED(SYS_pkey_mprotect, end - 4096, 8192, PROT_READ, KEY, 0, 0);
	ALLOWED(SYS_pkey_mprotect, end - 4096, 4096, PROT_READ, KEY, 0, 0);
}

static void test_blocks(void **state)
{
	const long at = LUCID_DIRECT_BASE, size = 2l << 20;

	(void)state;
	ALLOWED(SYS_madvise, at, size, MADV_POPULATE_WRITE, 0, 0, 0);
	ALLOWED(SYS_madvise, LUCID_KERNEL_BASE - size, size, MADV_POPULATE_WRITE, 0, 0, 0);
	KILLED(SYS_madvise, at, size + 4096, MADV_POPULATE_WRITE, 0, 0, 0);
	KILLED(SYS_madvise, at - size, size, MADV_POPULATE_WRITE, 0, 0, 0);
	KILLED(SYS_madvise, LUCID_KERNEL_BASE, size, MADV_POPULATE_WRITE, 0, 0, 0);
	KILLED(SYS_madvise, STUB_TEXT_ADDR, 4096, MADV_POPULATE_WRITE, 0, 0, 0);
	KILLED(SYS_madvise, at, size, MADV_DONTNEED, 0, 0, 0);
}

static void test_other_mappings(void **state)
{
	(void)state;
	ALLOWED(SYS_munmap, GUEST, 4096, 0, 0, 0, 0);
	KILLED(SYS_munmap, STUB_PRIVATE_ADDR, 4096, 0, 0, 0, 0);
	ALLOWED(SYS_mprotect, GUEST, 4096, PROT_READ, 0, 0, 0);
	KILLED(SYS_mprotect, STUB_PRIVATE_ADDR, 4096, PROT_READ | PROT_EXEC, 0, 0, 0);
	ALLOWED(SYS_pkey_mprotect, GUEST, 4096, PROT_READ, KEY, 0, 0);
	KILLED(SYS_pkey_mprotect, GUEST, 4096, PROT_READ, 0, 0, 0);
	KILLED(SYS_pkey_mprotect, GUEST, 4096, PROT_READ, KEY + 1, 0, 0);
	KILLED(SYS_pkey_mprotect, GUEST, 4096, PROT_READ, -1, 0, 0);
	KILLED(SYS_pkey_mprotect, STUB_STACK_ADDR, 4096, PROT_READ, KEY, 0, 0);
	KILLED(SYS_mremap, GUEST, 4096, 4096, 0, 0, 0);
	KILLED(SYS_madvise, GUEST, 4096, MADV_REMOVE, 0, 0, 0);
	ALLOWED(SYS_lseek, STUB_FD_RAM, 0, SEEK_DATA, 0, 0, 0);
	KILLED(SYS_lseek, STUB_FD_RAM, 0, SEEK_SET, 0, 0, 0);
	KILLED(SYS_lseek, STUB_FD_RAM + 1, 0, SEEK_DATA, 0, 0, 0);
	KILLED(SYS_remap_file_pages, GUEST, 4096, 0, 0, 0, 0);
	KILLED(SYS_brk, 0, 0, 0, 0, 0, 0);
}

static void test_sleep_and_signal(void **state)
{
	static unsigned word = 1;

	(void)state;
	ALLOWED(SYS_futex, (long)&word, FUTEX_WAIT, 0, 0, 0, 0);
	ALLOWED(SYS_futex, (long)&word, FUTEX_WAKE, 1, 0, 0, 0);
	KILLED(SYS_futex, (long)&word, FUTEX_WAKE, 2, 0, 0, 0);
	KILLED(SYS_futex, (long)&word, FUTEX_REQUEUE, 1, 0, 0, 0);
	KILLED(SYS_futex, (long)&word, FUTEX_WAIT | FUTEX_CLOCK_REALTIME, 0, 0, 0, 0);
	ALLOWED(SYS_write, STUB_FD_DOORBELL, 0, 8, 0, 0, 0);
	KILLED(SYS_write, STUB_FD_DOORBELL, 0, 9, 0, 0, 0);
	KILLED(SYS_write, 1, 0, 8, 0, 0, 0);
	KILLED(SYS_read, STUB_FD_DOORBELL, 0, 8, 0, 0, 0);
	ALLOWED(SYS_timerfd_settime, STUB_FD_TIMER, 0, 0, 0, 0, 0);
	KILLED(SYS_timerfd_settime, STUB_FD_DOORBELL, 0, 0, 0, 0, 0);
	KILLED(SYS_timerfd_settime, STUB_FD_TIMER, 0, 0, 4096, 0, 0);
	ALLOWED(SYS_pread64, STUB_FD_SCHEDSTAT, 0, 64, 0, 0, 0);
	KILLED(SYS_pread64, STUB_FD_RAM, 0, 64, 0, 0, 0);
	KILLED(SYS_pread64, STUB_FD_SCHEDSTAT, 0, 65, 0, 0, 0);
	KILLED(SYS_pread64, STUB_FD_SCHEDSTAT, 0, 64, 1, 0, 0);
	ALLOWED(SYS_sched_setaffinity, 0, 128, 0, 0, 0, 0);
	KILLED(SYS_sched_setaffinity, getppid(), 128, 0, 0, 0, 0);
	KILLED(SYS_kill, getppid(), 0, 0, 0, 0, 0);
	KILLED(SYS_tgkill, 1, 1, SIGKILL, 0, 0, 0);
}

/* Whoever owned a FIFO in another's name could send that one signals. */
static void test_kicks(void **state)
{
	const long last = STUB_FD_KICK + LUCID_VCPUS - 1;

	(void)state;
	ALLOWED(SYS_write, STUB_FD_KICK, 0, 1, 0, 0, 0);
	ALLOWED(SYS_write, last, 0, 1, 0, 0, 0);
	KILLED(SYS_write, last + 1, 0, 1, 0, 0, 0);
	KILLED(SYS_write, STUB_FD_KICK - 1, 0, 1, 0, 0, 0);
	KILLED(SYS_write, STUB_FD_KICK, 0, 2, 0, 0, 0);
	ALLOWED(SYS_read, STUB_FD_KICK, 0, 1, 0, 0, 0);
	KILLED(SYS_read, last + 1, 0, 1, 0, 0, 0);
	KILLED(SYS_read, STUB_FD_KICK, 0, 4097, 0, 0, 0);
	ALLOWED(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0, 0, 0, 0);
	KILLED(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETOWN, getpid(), 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETOWN, getppid(), 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETOWN, STUB_FILTER_PID, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETOWN, 0, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETOWN_EX, 0, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETSIG, SIGKILL, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETFL, 0, 0, 0, 0);
	ALLOWED(SYS_fcntl, STUB_FD_KICK, F_SETOWN, OWN_PID, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_RAM, F_SETOWN, OWN_PID, 0, 0, 0);
}

/* A machine with one vCPU has nobody to kick, and one that is pinned no place to choose. */
static void test_no_kicks(void **state)
{
	const struct filter_wants less = {.ram_size = RAM_SIZE};
	int length = filter_space(program, 400, &less);

	(void)state;
	assert_true(length > 0);
	prog.len = (unsigned short)length;
	KILLED(SYS_sched_setaffinity, 0, 128, 0, 0, 0, 0);
	KILLED(SYS_write, STUB_FD_KICK, 0, 1, 0, 0, 0);
	KILLED(SYS_fcntl, STUB_FD_KICK, F_SETOWN, OWN_PID, 0, 0, 0);
	KILLED(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0, 0, 0, 0);
	KILLED(SYS_pkey_mprotect, GUEST, 4096, PROT_READ, 0, 0, 0);
	KILLED(SYS_pkey_mprotect, GUEST, 4096, PROT_READ, KEY, 0, 0);
}

/* All the rest, by number; those that the list knows with arguments have had their turn. */
static void test_everything_else(void **state)
{
	static const long known[] = {SYS_mmap, SYS_munmap, SYS_mprotect, SYS_pkey_mprotect,
		SYS_futex, SYS_write, SYS_read, SYS_fcntl, SYS_membarrier, SYS_pread64,
		SYS_sched_setaffinity, SYS_timerfd_settime, SYS_rt_sigreturn, SYS_restart_syscall,
		336 /* no call: the kernel itself answers before any list */, SYS_exit_group};
	long nr;
	unsigned i;

	(void)state;
	for (nr = 0; nr < 470; nr++) {
		for (i = 0; i < sizeof(known) / sizeof(known[0]); i++)
			if (nr == known[i])
				break;
		if (i == sizeof(known) / sizeof(known[0]) && allowed(nr, 0, 0, 0, 0, 0, 0))
			fail_msg("system call %ld passes", nr);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mmap),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_other_mappings),
		cmocka_unit_test(test_sleep_and_signal),
		cmocka_unit_test(test_kicks),
		cmocka_unit_test(test_everything_else),
		cmocka_unit_test(test_no_kicks),
	};

	return cmocka_run_group_tests(tests, set_up, NULL);
}
