/* SPDX-License-Identifier: MIT */
/* What the user hears when the host has no page for guest RAM. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/ram_fault.h"
#include "test/unit/rig.h"

#define PAGE 4096

/* Touches a byte that the host cannot provide, at offset from what is watched; its status. */
static int touch(long offset, char *said, size_t size)
{
	int fd = memfd_create("ram", 0), out[2], status;
	volatile char *map = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	struct ram ram = {.fd = fd, .base = (unsigned char *)map + 4 * PAGE, .size = 2 * PAGE};
	ssize_t n;
	pid_t child;

	assert_true(map != MAP_FAILED);
	assert_int_equal(pipe(out), 0);
	child = fork();
	if (child == 0) {
		log_set_fd(out[1]);
		ram_fault_watch(&ram);
		ram.base[offset] = 1; /* the file is empty */
		_exit(0);
	}
	close(out[1]);
	n = read(out[0], said, size - 1);
	said[n > 0 ? n : 0] = '\0';
	assert_int_equal(waitpid(child, &status, 0), child);
	close(out[0]);
	munmap((void *)map, 8 * PAGE);
	close(fd);
	return status;
}

static void in_ram(void **state)
{
	char said[256];
	int status;

	(void)state;
	status = touch(2 * PAGE - 1, said, sizeof(said));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_LUCID);
	assert_non_null(strstr(said, "no memory left"));
	assert_ptr_equal(strchr(said, '\n'), said + strlen(said) - 1);
}

static void elsewhere(void **state)
{
	char said[256];
	int status;

	(void)state;
	status = touch(2 * PAGE, said, sizeof(said));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGBUS);
	assert_string_equal(said, "");
	status = touch(-1, said, sizeof(said));
	assert_true(WIFSIGNALED(status));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_ram),
		cmocka_unit_test(elsewhere),
	};

	return cmocka_run_group_tests_name("ram_fault", tests, NULL, NULL);
}
