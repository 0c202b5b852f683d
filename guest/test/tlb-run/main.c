/* SPDX-License-Identifier: MIT */
/*
 * Purpose: one fill takes the whole contiguous run of pages with the same rights around the
 * fault, and no page more.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull

static uint64_t cr3;

static void touch(uint64_t va, uint64_t fills, uint64_t pages)
{
	uint64_t f = vcpu->count_fill, p = vcpu->count_fill_pages;

	(void)peek(va);
	if (vcpu->count_fill - f != fills || vcpu->count_fill_pages - p != pages)
		failure("%x: %u fills of %u pages, not %u of %u", va, vcpu->count_fill - f,
			vcpu->count_fill_pages - p, fills, pages);
}

static void map_run(uint64_t va, uint64_t pa, unsigned n, uint64_t bits)
{
	unsigned i;

	for (i = 0; i < n; i++)
		map_page(cr3, va + i * PAGE, pa + i * PAGE, bits);
}

void test_main(void)
{
	uint64_t pa = pages_alloc(512), seen;
	unsigned i;

	cr3 = space_new();
	hc_set_cr3(cr3);
	/* A run from its middle, and all of it is there afterwards. */
	map_run(AT, pa, 64, PTE_USER);
	touch(AT + 20 * PAGE, 1, 64);
	for (i = 0; i < 64; i++)
		touch(AT + i * PAGE, 0, 0);
	/* A whole table; the next one is none of it. */
	map_run(AT + 0x400000, pa, 512, PTE_USER);
	map_run(AT + 0x600000, pa, 1, PTE_USER);
	touch(AT + 0x400000 + 256 * PAGE, 1, 512);
	touch(AT + 0x600000, 1, 1);
	/* Broken by a hole, by another address, by other rights on each side. */
	map_run(AT + 0x800000, pa, 100, PTE_USER);
	*pte_of(cr3, AT + 0x800000 + 10 * PAGE) = 0;
	*pte_of(cr3, AT + 0x800000 + 20 * PAGE) += PAGE;
	*pte_of(cr3, AT + 0x800000 + 30 * PAGE) &= ~PTE_U;
	*pte_of(cr3, AT + 0x800000 + 40 * PAGE) |= PTE_NX;
	*pte_of(cr3, AT + 0x800000 + 50 * PAGE) |= PTE_D;
	touch(AT + 0x800000 + 5 * PAGE, 1, 10);
	touch(AT + 0x800000 + 15 * PAGE, 1, 9);
	touch(AT + 0x800000 + 20 * PAGE, 1, 1);
	touch(AT + 0x800000 + 25 * PAGE, 1, 9);
	touch(AT + 0x800000 + 30 * PAGE, 1, 1);
	touch(AT + 0x800000 + 39 * PAGE, 1, 9);
	touch(AT + 0x800000 + 40 * PAGE, 1, 1);
	touch(AT + 0x800000 + 41 * PAGE, 1, 9);
	touch(AT + 0x800000 + 50 * PAGE, 1, 1);
	touch(AT + 0x800000 + 99 * PAGE, 1, 49);
	/* Premapping saves the fault. */
	map_run(AT + 0xa00000, pa, 8, PTE_USER);
	seen = vcpu->count_premap;
	hc_premap(AT + 0xa00000, 0);
	check_eq(vcpu->count_premap, seen + 1);
	touch(AT + 0xa00000, 0, 0);
	touch(AT + 0xa07000, 0, 0);
}
