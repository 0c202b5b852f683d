/* SPDX-License-Identifier: MIT */
/* Faults of other kinds than a first touch: on rights, and on pages of a file. */
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/micro/micro.h"

#define PAGE 4096ul

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
static void open_file(void)
{
	struct stat st;

	file = open(micro_program, O_RDONLY);
	if (file < 0 || fstat(file, &st) < 0)
		die("open");
	file_size = 64 * PAGE;
	if ((size_t)st.st_size < file_size)
		die("the program is too small");
}

static void run_file(unsigned long n)
{
	while (n--) {
		volatile char *p = mmap(NULL, file_size, PROT_READ, MAP_PRIVATE, file, 0);

		if (p == MAP_FAILED)
			die("mmap");
		for (size_t at = 0; at < file_size; at += PAGE)
			(void)p[at];
		if (munmap((void *)p, file_size) < 0)
			die("munmap");
	}
}

const struct row fault_rows[] = {
	{.name = "prot_fault", .setup = map_page, .run = run_protection},
	{.name = "file_touch", .per = 64, .setup = open_file, .run = run_file},
	{0},
};
