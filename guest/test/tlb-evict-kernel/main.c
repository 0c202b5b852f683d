/* SPDX-License-Identifier: MIT */
/*
 * Purpose: more scattered kernel pages (of vmalloc and the like) than the host gives mappings to a
 * process: evicted as user pages are.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT LUCID_KERNEL_BASE
#define PAGES 70000u
#define FRAMES 512u

void test_main(void)
{
	uint64_t cr3 = space_new(), frames = pages_alloc(FRAMES);
	unsigned i;

	for (i = 0; i < FRAMES; i++)
		*(volatile uint64_t *)direct(frames + i * PAGE) = i;
	for (i = 0; i < PAGES; i++)
		map_page(cr3, AT + i * PAGE, frames + (FRAMES - 1 - i % FRAMES) * PAGE,
			PTE_P | PTE_W | PTE_NX);
	hc_set_cr3(cr3);
	for (i = 0; i < PAGES; i++)
		if (peek(AT + i * PAGE) != FRAMES - 1 - i % FRAMES)
			failure("page %u is %x", (uint64_t)i, peek(AT + i * PAGE));
	for (i = 5; i < PAGES; i += 11)
		if (peek(AT + i * PAGE) != FRAMES - 1 - i % FRAMES)
			failure("page %u is %x", (uint64_t)i, peek(AT + i * PAGE));
	report("%u fills, %u evictions", vcpu->count_fill, vcpu->count_evict);
	check(vcpu->count_evict > 0);
}
