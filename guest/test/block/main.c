/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the host makes 2 MiB of the direct map in one go; what it says is zero is so, and what
 * was there stays.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define BLOCK (2ull << 20)

/* Every page of the block at pa: what is at its start, with its number added if it is not zero. */
static void fill_with(uint64_t pa, uint64_t value)
{
	uint64_t off;

	for (off = 0; off < BLOCK; off += PAGE)
		*(volatile uint64_t *)direct(pa + off) = value + off;
}

static void holds(uint64_t pa, uint64_t value, bool counted)
{
	uint64_t off;

	for (off = 0; off < BLOCK; off += PAGE)
		check_eq(*(volatile uint64_t *)direct(pa + off), counted ? value + off : value);
}

void test_main(void)
{
	/* In the middle of RAM nobody has touched anything. */
	uint64_t pa = info->ram_size / 2 & ~(BLOCK - 1), map = (uint64_t)direct(0), n;

	/* Untouched blocks, whichever byte of them is named. */
	for (n = 0; n < 4; n++) {
		check_eq(hc_premap(map + pa + n * BLOCK + n * 8, 1), 1);
		holds(pa + n * BLOCK, 0, false);
		fill_with(pa + n * BLOCK, 0x5eed + n);
	}
	for (n = 0; n < 4; n++) {
		check_eq(hc_premap(map + pa + n * BLOCK, 1), 0);
		holds(pa + n * BLOCK, 0x5eed + n, true);
	}
	/* Of one of which a single page has been touched, its last, nothing is said. */
	*(volatile uint64_t *)direct(pa + 5 * BLOCK - PAGE) = 77;
	check_eq(hc_premap(map + pa + 4 * BLOCK, 1), 0);
	check_eq(*(volatile uint64_t *)direct(pa + 5 * BLOCK - PAGE), 77);
	/* The one behind it had nothing to do with that. */
	check_eq(hc_premap(map + pa + 5 * BLOCK, 1), 1);
	/* Beyond RAM there is nothing to make, to the end of the direct map. */
	check_eq(hc_premap(map + info->ram_size, 1), 0);
	check_eq(hc_premap(LUCID_KERNEL_BASE - PAGE, 1), 0);
}
