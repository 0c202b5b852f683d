/* SPDX-License-Identifier: MIT */
/* Faults of other kinds than a first touch: on rights, and on pages of a file. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/micro/micro.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define PAGE KIB(4)

#define PROGRAM_PAGES 64
#define DENSE_PAGES 256
#define SPARSE_PAGES 64

static char *page;
static int file;
static size_t file_size;

/* The handler makes the write possible, and the next round impossible again. */
static void on_fault(int sig)
{
	(void)sig;
	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) < 0)
		_exit(1);
}

static void map_page(void)
{
	const struct sigaction action = {.sa_handler = on_fault};

	page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || sigaction(SIGSEGV, &action, NULL) < 0)
		die("mmap");
}

static void run_protection(unsigned long n)
{
	while (n--) {
		*(volatile char *)page = 1;
		if (mprotect(page, PAGE, PROT_READ) < 0)
			die("mprotect");
	}
}

/* This program's own file, which is in the page cache. */
static void open_program(void)
{
	struct stat st;

	file = open(micro_program, O_RDONLY);
	if (file < 0 || fstat(file, &st) < 0)
		die("open");
	file_size = PROGRAM_PAGES * PAGE;
	if ((size_t)st.st_size < file_size)
		die("the program is too small");
}

/* A file in memory that has a page at each stride. */
static void make_file(size_t size, size_t stride)
{
	file = memfd_create("micro", 0);
	file_size = size;
	if (file < 0 || ftruncate(file, (off_t)size) < 0)
		die("memfd");
	for (size_t at = 0; at < size; at += stride)
		if (pwrite(file, "", 1, (off_t)at) != 1)
			die("pwrite");
}

static void make_dense(void)
{
	make_file(DENSE_PAGES * KIB(64), PAGE);
}

static void make_sparse(void)
{
	make_file(SPARSE_PAGES * MIB(2), MIB(2));
}

static void close_file(void)
{
	close(file);
}

static void read_file(unsigned long n, size_t stride)
{
	while (n--) {
		volatile char *p = mmap(NULL, file_size, PROT_READ, MAP_PRIVATE, file, 0);

		if (p == MAP_FAILED)
			die("mmap");
		for (size_t at = 0; at < file_size; at += stride)
			(void)p[at];
		if (munmap((void *)p, file_size) < 0)
			die("munmap");
	}
}

static void run_file(unsigned long n)
{
	read_file(n, PAGE);
}

static void run_file_64k(unsigned long n)
{
	read_file(n, KIB(64));
}

static void run_file_sparse(unsigned long n)
{
	read_file(n, MIB(2));
}

const struct row fault_rows[] = {
	{.name = "prot_fault", .setup = map_page, .run = run_protection},
	{.name = "file_touch",
		.per = PROGRAM_PAGES,
		.setup = open_program,
		.run = run_file,
		.finish = close_file},
	{.name = "file_64k",
		.per = DENSE_PAGES,
		.setup = make_dense,
		.run = run_file_64k,
		.finish = close_file},
	{.name = "file_sparse",
		.per = SPARSE_PAGES,
		.setup = make_sparse,
		.run = run_file_sparse,
		.finish = close_file},
	{0},
};
