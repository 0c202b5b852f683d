/* SPDX-License-Identifier: MIT */
/*
 * Random operations on a file, each checked against a copy in memory: reads and
 * writes through descriptors and through shared mappings, truncation both ways, holes,
 * closing and opening again. fsx FILE COUNT SEED; the other file keeps the final
 * contents, so that the host can compare: fsx writes them to FILE.expected.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SIZE_MAX_ (512 * 1024)

static unsigned char model[SIZE_MAX_], buffer[SIZE_MAX_];
static size_t size;
static int fd;
static const char *path;
static unsigned step;

static void fail(const char *what)
{
	printf("step %u: %s: %s\n", step, what, strerror(errno));
	exit(1);
}

static void compare(const char *what, const unsigned char *got, size_t at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (got[i] == model[at + i])
			continue;
		printf("step %u: %s: byte %zu of %zu is %u, not %u\n", step, what, at + i, size,
			got[i], model[at + i]);
		exit(1);
	}
}

static void fill(unsigned char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (unsigned char)(random() >> 4);
}

/* The model grows with zeros. */
static void extend(size_t to)
{
	if (to > size)
		size = to;
}

static void do_write(size_t at, size_t len)
{
	fill(buffer, len);
	for (size_t done = 0; done < len;) {
		ssize_t n = pwrite(fd, buffer + done, len - done, (off_t)(at + done));

		if (n <= 0)
			fail("pwrite");
		done += (size_t)n;
	}
	memcpy(model + at, buffer, len);
	extend(at + len);
}

static void do_read(size_t at, size_t len)
{
	size_t want = at >= size ? 0 : len < size - at ? len : size - at, done = 0;

	while (done < len) {
		ssize_t n = pread(fd, buffer + done, len - done, (off_t)(at + done));

		if (n < 0)
			fail("pread");
		if (n == 0)
			break;
		done += (size_t)n;
	}
	if (done != want)
		fail("a read of a wrong length");
	compare("read", buffer, at, want);
}

static void do_map(size_t at, size_t len, int write)
{
	size_t start = at & ~4095UL;
	unsigned char *p;

	if (at >= size)
		return;
	if (len > size - at)
		len = size - at;
	p = mmap(NULL, at - start + len, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd,
		(off_t)start);
	if (p == MAP_FAILED)
		fail("mmap");
	compare("mapping", p + (at - start), at, len);
	if (write) {
		fill(model + at, len);
		memcpy(p + (at - start), model + at, len);
		if (random() % 2 && msync(p, at - start + len, MS_SYNC) < 0)
			fail("msync");
	}
	munmap(p, at - start + len);
}

static void do_truncate(size_t to)
{
	if (ftruncate(fd, (off_t)to) < 0)
		fail("ftruncate");
	if (to < size)
		memset(model + to, 0, size - to);
	size = to;
}

static void do_punch(size_t at, size_t len)
{
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len) < 0) {
		if (errno == EOPNOTSUPP)
			return;
		fail("fallocate");
	}
	memset(model + at, 0, len);
}

static void do_reopen(void)
{
	if (random() % 2 && fsync(fd) < 0)
		fail("fsync");
	close(fd);
	fd = open(path, O_RDWR);
	if (fd < 0)
		fail("open");
	if (lseek(fd, 0, SEEK_END) != (off_t)size)
		fail("a wrong size");
}

int main(int argc, char **argv)
{
	unsigned count = argc > 2 ? (unsigned)atoi(argv[2]) : 1000;
	char expected[4096];

	path = argv[1];
	srandom(argc > 3 ? (unsigned)atoi(argv[3]) : 1);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		fail("open");
	for (step = 0; step < count; step++) {
		size_t at = (size_t)random() % (SIZE_MAX_ - 1), len;

		len = (size_t)random() % (random() % 4 ? 9000 : 100000) + 1;
		if (len > SIZE_MAX_ - at)
			len = SIZE_MAX_ - at;
		switch (random() % 10) {
		case 0:
		case 1:
		case 2:
			do_write(at, len);
			break;
		case 3:
		case 4:
			do_read(at, len);
			break;
		case 5:
			do_map(at, len, 0);
			break;
		case 6:
		case 7:
			do_map(at, len, 1);
			break;
		case 8:
			if (random() % 2)
				do_truncate(at);
			else
				do_punch(at, len);
			break;
		default:
			do_reopen();
		}
	}
	snprintf(expected, sizeof(expected), "%s.expected", path);
	close(fd);
	fd = open(expected, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, model, size) != (ssize_t)size)
		fail("expected");
	close(fd);
	puts("sound");
	return 0;
}
