/* SPDX-License-Identifier: MIT */
/*
 * Purpose: more scattered pages than the host gives mappings to a process: entries are evicted,
 * and every page keeps its contents.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x100000000ull
#define PAGES 70000u /* the host's limit is 65,530 */
#define FRAMES 512u

static uint64_t frames;

/* Addresses go up, the pages behind them go down: no two of them make a run. */
static uint64_t frame_of(unsigned i)
{
	return frames + (FRAMES - 1 - i % FRAMES) * PAGE;
}

static void verify(unsigned first, unsigned step)
{
	unsigned i;

	for (i = first; i < PAGES; i += step)
		if (peek(AT + i * PAGE) != FRAMES - 1 - i % FRAMES)
			failure("page %u is %x", (uint64_t)i, peek(AT + i * PAGE));
}

void test_main(void)
{
	uint64_t cr3 = space_new();
	unsigned i;

	frames = pages_alloc(FRAMES);
	for (i = 0; i < FRAMES; i++)
		*(volatile uint64_t *)direct(frames + i * PAGE) = i;
	for (i = 0; i < PAGES; i++)
		map_page(cr3, AT + i * PAGE, frame_of(i), PTE_USER);
	hc_set_cr3(cr3);
	verify(0, 1);
	verify(3, 7);
	report("%u fills, %u evictions", vcpu->count_fill, vcpu->count_evict);
	check(vcpu->count_evict > 0);
	/* After it all, a flush still works. */
	map_page(cr3, AT, frame_of(1), PTE_USER);
	hc_flush(AT, AT + PAGE);
	check_eq(peek(AT), FRAMES - 2);
	map_page(cr3, AT, frame_of(2), PTE_USER);
	hc_flush(0, ~0ull);
	check_eq(peek(AT), FRAMES - 3);
}
