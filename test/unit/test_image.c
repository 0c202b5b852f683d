/* SPDX-License-Identifier: MIT */
/* Root images: detection by content, and whether a change of the source is noticed. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/image.h"
#include "monitor/image_state.h"

/* A file of that size with the bytes at the offset; what detection makes of it, or -1. */
static int detect(size_t size, size_t offset, const void *bytes, size_t n)
{
	int fd = memfd_create("image", 0), null = open("/dev/null", O_WRONLY);
	int old = dup(STDERR_FILENO), ret;
	enum image_kind kind;

	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	assert_int_equal(pwrite(fd, bytes, n, (off_t)offset), n);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	dup2(null, STDERR_FILENO);
	ret = image_detect(fd, "image", &kind);
	dup2(old, STDERR_FILENO);
	close(old);
	close(null);
	close(fd);
	return ret == 0 ? (int)kind : -1;
}

static void put32(unsigned char *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(value >> 8 * i);
}

static void archives(void **state)
{
	(void)state;
	assert_int_equal(detect(10240, 257,
				 "ustar\0"
				 "00",
				 8),
		IMAGE_TAR);
	assert_int_equal(detect(10240, 257, "ustar  ", 8), IMAGE_TAR);
	assert_int_equal(detect(100, 0, "\x1f\x8b\x08", 3), IMAGE_TAR);
	assert_int_equal(detect(100, 0, "\x28\xb5\x2f\xfd", 4), IMAGE_TAR);
	assert_int_equal(detect(100, 0,
				 "\xfd"
				 "7zXZ",
				 6),
		IMAGE_TAR);
}

static void neither(void **state)
{
	(void)state;
	assert_int_equal(detect(0, 0, "", 0), -1);
	assert_int_equal(detect(1, 0, "\x1f", 1), -1);
	assert_int_equal(detect(4096, 0, "hello", 5), -1);
	assert_int_equal(detect(10240, 256, "ustar", 5), -1);
	/* A magic number in a file too short to hold the superblock. */
	assert_int_equal(detect(2000, 1024 + 0x38, "\x53\xef", 2), -1);
}

static int detect_ext4(uint32_t blocks, uint32_t log_block_size, uint32_t blocks_hi, size_t size)
{
	unsigned char super[1024] = {0};

	put32(super + 0x04, blocks);
	put32(super + 0x18, log_block_size);
	put32(super + 0x60, blocks_hi ? 0x80 : 0);
	put32(super + 0x150, blocks_hi);
	super[0x38] = 0x53;
	super[0x39] = 0xef;
	return detect(size, 1024, super, sizeof(super));
}

static void ext4(void **state)
{
	(void)state;
	assert_int_equal(detect_ext4(16, 2, 0, 65536), IMAGE_EXT4);
	assert_int_equal(detect_ext4(17, 2, 0, 65536), -1);
	assert_int_equal(detect_ext4(64, 0, 0, 65536), IMAGE_EXT4);
	assert_int_equal(detect_ext4(65, 0, 0, 65536), -1);
	assert_int_equal(detect_ext4(16, 2, 1, 65536), -1);
	/* Sizes that overflow or make no sense. */
	assert_int_equal(detect_ext4(~0U, 6, ~0U, 65536), -1);
	assert_int_equal(detect_ext4(1, 70, 0, 65536), -1);
}

static void ext4_recovery(void **state)
{
	int fd = memfd_create("image", 0);

	(void)state;
	assert_int_equal(ftruncate(fd, 4096), 0);
	assert_false(image_needs_recovery(fd));
	assert_int_equal(pwrite(fd, "\x44", 1, 1024 + 0x60), 1);
	assert_true(image_needs_recovery(fd));
	close(fd);
}

static int detect_erofs(uint32_t blocks, unsigned char bits, size_t size)
{
	unsigned char super[128] = {0};

	memcpy(super, "\xe2\xe1\xf5\xe0", 4);
	super[12] = bits;
	put32(super + 36, blocks);
	return detect(size, 1024, super, sizeof(super));
}

static void erofs(void **state)
{
	(void)state;
	assert_int_equal(detect_erofs(16, 12, 65536), IMAGE_EROFS);
	assert_int_equal(detect_erofs(17, 12, 65536), -1);
	assert_int_equal(detect_erofs(~0U, 12, 65536), -1);
	assert_int_equal(detect_erofs(1, 200, 65536), -1);
}

static uint64_t state_of(const char *dir, const char *cache)
{
	struct image_state s;
	uint64_t hash;

	assert_int_equal(image_state_take(&s, dir, IMAGE_DIR, cache), 0);
	hash = s.hash;
	image_state_free(&s);
	return hash;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void changes_are_noticed(void **state)
{
	char dir[] = "/tmp/lucid-test-XXXXXX", file[64], other[64], cache[64], inside[64];
	struct timespec times[2] = {{0}};
	uint64_t before, after;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof(file), "%s/file", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	snprintf(cache, sizeof(cache), "%s/cache", dir);
	snprintf(inside, sizeof(inside), "%s/cache/inside", dir);
	write_file(file, "one");
	mkdir(cache, 0700);
	before = state_of(dir, cache);
	assert_int_equal(state_of(dir, cache), before);

	/* The cache is no part of it. */
	write_file(inside, "x");
	assert_int_equal(state_of(dir, cache), before);

	/* Same size, and the modification time set back: the change time tells. */
	stat(file, &st);
	usleep(20000);
	write_file(file, "two");
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	utimensat(AT_FDCWD, file, times, 0);
	after = state_of(dir, cache);
	assert_int_not_equal(after, before);

	rename(file, other);
	before = after;
	after = state_of(dir, cache);
	assert_int_not_equal(after, before);

	chmod(other, 0600);
	before = after;
	after = state_of(dir, cache);
	assert_int_not_equal(after, before);

	unlink(inside);
	rmdir(cache);
	unlink(other);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(archives),
		cmocka_unit_test(neither),
		cmocka_unit_test(ext4),
		cmocka_unit_test(ext4_recovery),
		cmocka_unit_test(erofs),
		cmocka_unit_test(changes_are_noticed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
