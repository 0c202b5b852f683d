/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a full flush of a space with many entries moves the ASID to a clean space; contents,
 * registers and interrupts are the same before and after, and again and again.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull
#define PAGES 200u

static uint64_t cr3[2], pa[2];

/* Odd and even pages swapped: each an entry of its own. */
static void map(unsigned space, unsigned which)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		map_page(cr3[space], AT + i * PAGE, pa[which] + (i ^ 1) * PAGE, PTE_USER);
}

static void expect(unsigned which)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		check_eq(peek(AT + i * PAGE), which);
}

void test_main(void)
{
	uint64_t retired, fs = 0x123456789000;
	unsigned i, round;

	for (i = 0; i < 2; i++) {
		pa[i] = pages_alloc(PAGES);
		for (round = 0; round < PAGES; round++)
			*(volatile uint64_t *)direct(pa[i] + round * PAGE) = i;
		cr3[i] = space_new();
	}
	map(0, 0);
	map(1, 1);
	hc_set_cr3(cr3[1] | 1);
	expect(1);
	hc_set_cr3(cr3[0]);
	__builtin_ia32_wrfsbase64(fs);
	irq_enable();
	for (round = 1; round < 100; round++) {
		expect((round + 1) % 2);
		map(0, round % 2);
		if (round % 5 == 0)
			hc_set_timer(1000);
		if (round % 3)
			hc_flush(0, ~0ull);
		else /* from next door, which keeps its own */
			hc_set_cr3(cr3[1] | 1 | LUCID_CR3_NOFLUSH);
		check_eq(__builtin_ia32_rdfsbase64(), fs);
		if (round % 3 == 0) {
			expect(1);
			hc_set_cr3(cr3[0]);
		}
		expect(round % 2);
	}
	retired = vcpu->count_retire;
	report("%u retired, %u switches", retired, vcpu->count_switch);
	check(retired > 20);
}
