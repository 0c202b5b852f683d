/* SPDX-License-Identifier: MIT */
/* The twins' seccomp list, tried call by call in a child that it holds; and the spaces' part of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "abi/space.h"
#include "space/filter.h"

#define GUEST 0x10000000l /* a guest address */
#define RAM_SIZE (64l << 20)

static const struct filter_wants wants = {.ram_size = RAM_SIZE, .places = true, .twins = true};
static struct sock_filter program[400];
static struct sock_fprog prog = {.filter = program};

enum verdict {
	KILLED, /* also what the child is before its call */
	ASKED, /* its space is asked; here it has none, so the host says ENOSYS */
	PASSED,
};

/* What becomes of the call. The list lets no child exit: it tells by memory that is shared. */
static enum verdict try(long nr, long a, long b, long c, long d, long e, long f)
{
	volatile enum verdict *verdict =
		mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	enum verdict is;
	int status;
	pid_t pid;

	assert_ptr_not_equal((void *)verdict, MAP_FAILED);
	*verdict = KILLED;
	pid = fork();
	if (pid == 0) {
		long ret;

		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) != 0)
			_exit(2);
		ret = syscall(nr, a, b, c, d, e, f);
		*verdict = ret == -1 && errno == ENOSYS ? ASKED : PASSED;
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) || WEXITSTATUS(status) == 0);
	is = *verdict;
	munmap((void *)verdict, 4096);
	return is;
}

#define IS(verdict, ...) assert_int_equal(try(__VA_ARGS__), verdict)

static void take(int length)
{
	assert_true(length > 0);
	prog.len = (unsigned short)length;
}

static void test_memory(void **state)
{
	const long rw = PROT_READ | PROT_WRITE, fixed = MAP_SHARED | MAP_FIXED, half = 1l << 45;

	(void)state;
	take(filter_twin(program, STUB_TWIN_FILTER, &wants));
	IS(ASKED, SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM, 0);
	IS(ASKED, SYS_mmap, GUEST, half, rw | PROT_EXEC, fixed | MAP_POPULATE, STUB_FD_RAM, 0);
	IS(KILLED, SYS_mmap, GUEST, half + 1, rw, fixed, STUB_FD_RAM, 0);
	IS(KILLED, SYS_mmap, 2 * half, 4096, rw, fixed, STUB_FD_RAM, 0);
	IS(KILLED, SYS_mmap, STUB_TWIN_TEXT_ADDR, 4096, rw, fixed, STUB_FD_RAM, 0);
	IS(KILLED, SYS_mmap, GUEST, 4096, rw, fixed, STUB_FD_RAM, RAM_SIZE);
	IS(KILLED, SYS_mmap, GUEST, 4096, rw, fixed | MAP_ANONYMOUS, -1, 0);
	IS(KILLED, SYS_mmap, GUEST, 4096, rw, MAP_PRIVATE | MAP_FIXED, STUB_FD_RAM, 0);
	IS(PASSED, SYS_munmap, GUEST, 4096, 0, 0, 0, 0);
	IS(KILLED, SYS_munmap, GUEST, half + 1, 0, 0, 0, 0);
	IS(KILLED, SYS_munmap, 2 * half, 4096, 0, 0, 0, 0);
	IS(KILLED, SYS_munmap, STUB_TWIN_STACK_ADDR, 4096, 0, 0, 0, 0);
	IS(PASSED, SYS_mprotect, GUEST, 4096, PROT_READ, 0, 0, 0);
	IS(KILLED, SYS_mprotect, GUEST, 4096, rw, 0, 0, 0);
	IS(KILLED, SYS_mprotect, GUEST, 4096, PROT_READ | PROT_EXEC, 0, 0, 0);
	IS(KILLED, SYS_mprotect, GUEST, 4096, PROT_NONE, 0, 0, 0);
	IS(KILLED, SYS_mprotect, STUB_TWIN_ADDR, 4096, PROT_READ, 0, 0, 0);
}

static void test_everything_else(void **state)
{
	long nr;

	(void)state;
	take(filter_twin(program, STUB_TWIN_FILTER, &wants));
	IS(ASKED, STUB_TWIN_YIELD, 1, 2, 3, 4, 5, 6);
	IS(ASKED, SYS_sched_setaffinity, 0, 128, 0, 0, 0, 0);
	IS(KILLED, SYS_sched_setaffinity, 1, 128, 0, 0, 0, 0);
	for (nr = 0; nr < 470; nr++)
		if (nr != STUB_TWIN_YIELD && nr != SYS_sched_setaffinity && nr != SYS_munmap &&
			nr != 336 /* no call: the host answers before any list */ &&
			try(nr, 0, 0, 0, 0, 0, 0) != KILLED)
			fail_msg("system call %ld passes", nr);
}

static void test_no_places(void **state)
{
	const struct filter_wants less = {.ram_size = RAM_SIZE, .twins = true};

	(void)state;
	take(filter_twin(program, STUB_TWIN_FILTER, &less));
	IS(KILLED, SYS_sched_setaffinity, 0, 128, 0, 0, 0, 0);
}

/* Its own twin, by the descriptors that it puts there; none before, and no other call. */
static void test_space(void **state)
{
	struct filter_wants none = wants;

	(void)state;
	take(filter_space(program, 400, &wants));
	IS(PASSED, SYS_ioctl, STUB_FILTER_NOTIFY, SECCOMP_IOCTL_NOTIF_RECV, 0, 0, 0, 0);
	IS(PASSED, SYS_ioctl, STUB_FILTER_NOTIFY, SECCOMP_IOCTL_NOTIF_SEND, 0, 0, 0, 0);
	IS(KILLED, SYS_ioctl, STUB_FILTER_NOTIFY, SECCOMP_IOCTL_NOTIF_ADDFD, 0, 0, 0, 0);
	IS(KILLED, SYS_ioctl, STUB_FD_RAM, SECCOMP_IOCTL_NOTIF_SEND, 0, 0, 0, 0);
	IS(PASSED, SYS_pidfd_send_signal, STUB_FILTER_TWIN, STUB_KICK_SIGNAL, 0, 0, 0, 0);
	IS(KILLED, SYS_pidfd_send_signal, STUB_FILTER_TWIN, SIGKILL, 0, 0, 0, 0);
	IS(KILLED, SYS_pidfd_send_signal, STUB_FILTER_TWIN, STUB_KICK_SIGNAL, GUEST, 0, 0, 0);
	IS(KILLED, SYS_pidfd_send_signal, STUB_FD_RAM, STUB_KICK_SIGNAL, 0, 0, 0, 0);
	IS(KILLED, SYS_clone, CLONE_FILES | CLONE_PIDFD | STUB_TWIN_SIGNAL, 0, 0, 0, 0, 0);
	none.twins = false;
	take(filter_space(program, 400, &none));
	IS(KILLED, SYS_ioctl, STUB_FILTER_NOTIFY, SECCOMP_IOCTL_NOTIF_RECV, 0, 0, 0, 0);
	IS(KILLED, SYS_pidfd_send_signal, STUB_FILTER_TWIN, STUB_KICK_SIGNAL, 0, 0, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_everything_else),
		cmocka_unit_test(test_no_places),
		cmocka_unit_test(test_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
