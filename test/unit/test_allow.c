/* SPDX-License-Identifier: MIT */
/* Lists of system calls: what is on one goes on, all else is the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/allow.h"

static int try_call(void (*call)(void))
{
	/* After the first of them, what the library frees the list with. */
	static const int calls[] = {SCMP_SYS(getppid), SCMP_SYS(prctl), SCMP_SYS(brk),
		SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(exit_group)};
	scmp_filter_ctx list;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		if (allow_list(&list, calls, sizeof(calls) / sizeof(calls[0])) < 0 ||
			seccomp_rule_add(list, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				SCMP_A0(SCMP_CMP_EQ, AF_UNIX)) < 0 ||
			allow_only(list) < 0)
			_exit(2);
		call();
		syscall(SYS_exit_group, 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

static void listed(void)
{
	syscall(SYS_getppid);
}

static void not_listed(void)
{
	syscall(SYS_getuid);
}

static void added(void)
{
	syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0);
}

static void added_with_another_argument(void)
{
	syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
}

static void wants_no_new_privs(void)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		syscall(SYS_exit_group, 3);
}

static void test_calls(void **state)
{
	(void)state;
	assert_int_equal(try_call(listed), 0);
	assert_int_equal(try_call(not_listed), SIGSYS);
	assert_int_equal(try_call(added), 0);
	assert_int_equal(try_call(added_with_another_argument), SIGSYS);
	assert_int_equal(try_call(wants_no_new_privs), 0);
}

static void test_no_such_call(void **state)
{
	const int calls[] = {SCMP_SYS(getppid), __NR_SCMP_ERROR};
	scmp_filter_ctx list = NULL;

	(void)state;
	assert_int_equal(allow_list(&list, calls, 2), -EINVAL);
	assert_null(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_no_such_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
