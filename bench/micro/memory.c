/* SPDX-License-Identifier: MIT */
/* Anonymous memory: mapping, touching for the first time, unmapping. */
#include <stddef.h>
#include <sys/mman.h>

#include "bench/micro/micro.h"

#define KIB(n) ((size_t)(n) << 10)
#define MIB(n) ((size_t)(n) << 20)
#define PAGE KIB(4)

/* Unmapping is part of the price of every row here: what is put off until then is paid. */
static void cycle(size_t size, size_t stride)
{
	volatile char *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		die("mmap");
	if (stride)
		for (size_t at = 0; at < size; at += stride)
			p[at] = 1;
	if (munmap((void *)p, size) < 0)
		die("munmap");
}

static void run_mmap(unsigned long n)
{
	while (n--)
		cycle(KIB(64), 0);
}

static void run_mmap_touched(unsigned long n)
{
	while (n--)
		cycle(KIB(64), PAGE);
}

static void run_touch(unsigned long n)
{
	while (n--)
		cycle(MIB(16), PAGE);
}

static void run_strides(unsigned long n)
{
	while (n--)
		cycle(MIB(16), KIB(64));
}

static void run_mmap_1g(unsigned long n)
{
	while (n--)
		cycle(MIB(1024), 0);
}

static void run_touch_1g(unsigned long n)
{
	while (n--)
		cycle(MIB(1024), PAGE);
}

#define SPARSE_PAGES 64

static void run_sparse(unsigned long n)
{
	while (n--)
		cycle(MIB(2) * SPARSE_PAGES, MIB(2));
}

const struct row memory_rows[] = {
	{.name = "mmap_64k", .run = run_mmap},
	{.name = "mmap_64k_touched", .run = run_mmap_touched},
	{.name = "mmap_1g", .run = run_mmap_1g},
	{.name = "touch_16m", .per = MIB(16) / PAGE, .run = run_touch},
	{.name = "touch_64k", .per = MIB(16) / KIB(64), .run = run_strides},
	{.name = "touch_sparse", .per = SPARSE_PAGES, .run = run_sparse},
	{.name = "touch_1g", .per = MIB(1024) / PAGE, .run = run_touch_1g, .once = true},
	{0},
};
