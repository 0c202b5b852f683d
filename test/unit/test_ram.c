/* SPDX-License-Identifier: MIT */
/* Guest RAM: sealed, sparse, and never reached outside its bounds. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/rig.h"

#define MIB (1ULL << 20)

static void sizes_that_are_refused(void **state)
{
	struct ram ram;

	(void)state;
	assert_int_equal(ram_create(&ram, 0), -EINVAL);
	assert_int_equal(ram_create(&ram, 1), -EINVAL);
	assert_int_equal(ram_create(&ram, 3 * MIB), -EINVAL);
	assert_int_equal(ram_create(&ram, UINT64_MAX & ~(2 * MIB - 1)), -EINVAL);
	assert_true(ram_create(&ram, 1ULL << 62) < 0);
	/* Harmless after a failure. */
	ram_destroy(&ram);
}

static void size_is_sealed(void **state)
{
	const int seals = F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	struct ram ram;

	(void)state;
	assert_int_equal(ram_create(&ram, 4 * MIB), 0);
	assert_int_equal(fcntl(ram.fd, F_GET_SEALS) & seals, seals);
	assert_int_equal(ftruncate(ram.fd, 0), -1);
	assert_int_equal(ftruncate(ram.fd, 8 * MIB), -1);
	assert_int_equal(fcntl(ram.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_true(fcntl(ram.fd, F_GETFD) & FD_CLOEXEC);
	ram_destroy(&ram);
}

static void nothing_is_committed_before_touch(void **state)
{
	struct ram ram;
	struct stat st;

	(void)state;
	assert_int_equal(ram_create(&ram, 64ULL << 30), 0);
	assert_int_equal((uintptr_t)ram.base % (2 * MIB), 0);
	assert_int_equal(fstat(ram.fd, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(st.st_size, 64ULL << 30);
	ram_destroy(&ram);
}

static void spaces_can_execute_it(void **state)
{
	struct ram ram;

	(void)state;
	assert_int_equal(ram_create(&ram, 2 * MIB), 0);
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, ram.fd, 0);
	assert_true(p != MAP_FAILED);
	munmap(p, 4096);
	ram_destroy(&ram);
}

static void both_ends_are_guarded(void **state)
{
	struct ram ram;
	int fd[2];

	(void)state;
	assert_int_equal(ram_create(&ram, 2 * MIB), 0);
	assert_int_equal(pipe(fd), 0);
	assert_int_equal(write(fd[1], ram.base, 1), 1);
	assert_int_equal(write(fd[1], ram.base + ram.size - 1, 1), 1);
	assert_int_equal(write(fd[1], ram.base - 1, 1), -1);
	assert_int_equal(errno, EFAULT);
	assert_int_equal(write(fd[1], ram.base + ram.size, 1), -1);
	assert_int_equal(errno, EFAULT);
	close(fd[0]);
	close(fd[1]);
	ram_destroy(&ram);
}

static void ranges_end_where_ram_ends(void **state)
{
	struct ram ram;

	(void)state;
	assert_int_equal(ram_create(&ram, 2 * MIB), 0);
	const uint64_t size = ram.size;

	assert_ptr_equal(ram_range(&ram, 0, size), ram.base);
	assert_ptr_equal(ram_range(&ram, size - 1, 1), ram.base + size - 1);
	assert_non_null(ram_range(&ram, size, 0));
	assert_null(ram_range(&ram, size, 1));
	assert_null(ram_range(&ram, size - 1, 2));
	assert_null(ram_range(&ram, 1, size));
	assert_null(ram_range(&ram, size + 1, 0));
	/* Sums that wrap. */
	assert_null(ram_range(&ram, UINT64_MAX, 1));
	assert_null(ram_range(&ram, UINT64_MAX - 15, 32));
	assert_null(ram_range(&ram, 16, SIZE_MAX - 8));
	assert_null(ram_range(&ram, UINT64_MAX, SIZE_MAX));
	assert_null(ram_range(&ram, 0, SIZE_MAX));
	ram_destroy(&ram);
}

static void copies_are_whole_or_not_made(void **state)
{
	struct ram ram;
	char in[8] = "seventh", out[8];

	(void)state;
	assert_int_equal(ram_create(&ram, 2 * MIB), 0);
	assert_true(ram_write(&ram, ram.size - 8, in, 8));
	assert_true(ram_read(&ram, ram.size - 8, out, 8));
	assert_memory_equal(in, out, 8);

	memset(out, 'x', 8);
	assert_false(ram_read(&ram, ram.size - 7, out, 8));
	assert_memory_equal(out, "xxxxxxxx", 8);
	assert_false(ram_write(&ram, ram.size - 7, "yyyyyyyy", 8));
	assert_true(ram_read(&ram, ram.size - 8, out, 8));
	assert_memory_equal(in, out, 8);
	ram_destroy(&ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sizes_that_are_refused),
		cmocka_unit_test(size_is_sealed),
		cmocka_unit_test(nothing_is_committed_before_touch),
		cmocka_unit_test(spaces_can_execute_it),
		cmocka_unit_test(both_ends_are_guarded),
		cmocka_unit_test(ranges_end_where_ram_ends),
		cmocka_unit_test(copies_are_whole_or_not_made),
	};

	return cmocka_run_group_tests_name("ram", tests, NULL, NULL);
}
