/* SPDX-License-Identifier: MIT */
/* Work that needs no kernel. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "bench/micro/micro.h"

#define STEPS 1000

static volatile uint64_t sink = 1;

/* Each step waits for the one before: the time of the core alone, not of memory. */
void run_cpu(unsigned long n)
{
	uint64_t x = sink;

	while (n--)
		for (int i = 0; i < STEPS; i++) {
			x ^= x >> 12;
			x ^= x << 25;
			x = (x ^ x >> 27) * 0x2545f4914f6cdd1d;
			if (x & 1)
				x += (uint64_t)i;
		}
	sink = x | 1;
}

#define COPY ((size_t)1 << 20)

static char *from, *to;

static void make_buffers(void)
{
	from = malloc(COPY);
	to = malloc(COPY);
	if (!from || !to)
		die("malloc");
	memset(from, 1, COPY);
	memset(to, 2, COPY);
}

static void run_memcpy(unsigned long n)
{
	while (n--) {
		memcpy(to, from, COPY);
		/* The copy has to be made each time. */
		__asm__ volatile("" ::"r"(to) : "memory");
	}
}

const struct row compute_rows[] = {
	{.name = "cpu", .run = run_cpu},
	{.name = "memcpy_1m", .setup = make_buffers, .run = run_memcpy},
	{0},
};
