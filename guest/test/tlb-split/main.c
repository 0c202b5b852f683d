/* SPDX-License-Identifier: MIT */
/*
 * Purpose: flushes of single pages in the middle of runs split the host's mappings. Where that
 * passes the host's limit on their number, a flush still drops what it has to.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x100000000ull
#define RUN 512u

static uint64_t old_pa, new_pa;

static void one(unsigned runs)
{
	uint64_t cr3 = space_new();
	unsigned i, j;

	for (i = 0; i < runs; i++)
		for (j = 0; j < RUN; j++)
			map_page(cr3, AT + (i * RUN + j) * PAGE, old_pa + j * PAGE, PTE_USER);
	hc_set_cr3(cr3);
	for (i = 0; i < runs; i++)
		check_eq(peek(AT + (i * RUN + 256) * PAGE), 1);
	for (i = 1; i < runs * RUN; i += 2) {
		map_page(cr3, AT + i * PAGE, new_pa, PTE_USER);
		hc_flush(AT + i * PAGE, AT + (i + 1) * PAGE);
	}
	/* Backwards: those that came last are looked at before anything is evicted. */
	for (i = runs * RUN; i-- > 0;)
		if (peek(AT + i * PAGE) != 1 + i % 2)
			failure("page %u is stale: %x", (uint64_t)i, peek(AT + i * PAGE));
	report("%u runs: %u fills, %u evictions", (uint64_t)runs, vcpu->count_fill,
		vcpu->count_evict);
}

void test_main(void)
{
	unsigned i;

	old_pa = pages_alloc(RUN);
	new_pa = page_alloc();
	for (i = 0; i < RUN; i++)
		*(volatile uint64_t *)direct(old_pa + i * PAGE) = 1;
	*(volatile uint64_t *)direct(new_pa) = 2;
	one(270); /* it is a flush that comes upon the limit */
	one(250); /* a fill */
}
