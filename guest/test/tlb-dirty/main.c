/* SPDX-License-Identifier: MIT */
/*
 * Purpose: A and D bits as hardware sets them: A on access, D on writes alone, and again after the
 * kernel has cleared them and flushed.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull
#define BITS (PTE_A | PTE_D)

static uint64_t cr3;

static void one(uint64_t va, volatile uint64_t *pte)
{
	check_eq(*pte & BITS, 0);
	(void)peek(va);
	check_eq(*pte & BITS, PTE_A);
	(void)peek(va);
	check_eq(*pte & BITS, PTE_A);
	poke(va, 1);
	check_eq(*pte & BITS, BITS);
	/* Cleaned, as a kernel does that has written the page to disk. */
	*pte &= ~PTE_D;
	hc_flush(va, va + PAGE);
	(void)peek(va);
	check_eq(*pte & BITS, PTE_A);
	poke(va, 2);
	check_eq(*pte & BITS, BITS);
	/* Aged. */
	*pte &= ~PTE_A;
	hc_flush(va, va + PAGE);
	(void)peek(va);
	check_eq(*pte & BITS, BITS);
	check_eq(peek(va), 2);
}

/* A write to one page of a run dirties that one. */
static void in_run(void)
{
	uint64_t pa = pages_alloc(16);
	unsigned i, fills;

	for (i = 0; i < 16; i++)
		map_page(cr3, AT + i * PAGE, pa + i * PAGE, PTE_USER);
	(void)peek(AT + 8 * PAGE);
	poke(AT + 5 * PAGE, 5);
	poke(AT + 6 * PAGE, 6);
	for (i = 0; i < 16; i++)
		check_eq(*pte_of(cr3, AT + i * PAGE) & PTE_D, i == 5 || i == 6 ? PTE_D : 0);
	/* And the others are still mapped. */
	fills = (unsigned)vcpu->count_fill;
	for (i = 0; i < 16; i++)
		check_eq(peek(AT + i * PAGE), i == 5 || i == 6 ? i : 0);
	check_eq(vcpu->count_fill, fills);
}

/* A first write sets both, in every level A. A refused one sets no D. */
static void others(void)
{
	volatile uint64_t *pte = map_page(cr3, AT + 0x400000, page_alloc(), PTE_USER);
	volatile uint64_t *read_only = map_page(cr3, AT + 0x401000, page_alloc(), PTE_P | PTE_U);
	unsigned shift;

	poke(AT + 0x400000, 1);
	check_eq(*pte & BITS, BITS);
	for (shift = 21; shift <= 39; shift += 9)
		check_eq(*entry_at(cr3, AT + 0x400000, shift, false) & BITS, PTE_A);
	traps(LUCID_VEC_PF, PF_W | PF_P, "mov %0, (%0)", ::"r"(AT + 0x401000));
	check_eq(*read_only & PTE_D, 0);
	/* Premapped for reading, for writing. */
	pte = map_page(cr3, AT + 0x500000, page_alloc(), PTE_USER);
	hc_premap(AT + 0x500000, 0);
	check_eq(*pte & PTE_D, 0);
	hc_premap(AT + 0x500000, 1);
	check_eq(*pte & BITS, BITS);
}

static void huge(void)
{
	uint64_t pa = memory_align(2 << 20);
	volatile uint64_t *pmd;

	pages_alloc(512);
	pmd = entry_at(cr3, AT + 0x40000000, 21, true);
	*pmd = pa | PTE_USER | PTE_PS;
	one(AT + 0x40123000, pmd);
}

void test_main(void)
{
	cr3 = space_new();
	hc_set_cr3(cr3);
	one(AT + 0x200000, map_page(cr3, AT + 0x200000, page_alloc(), PTE_USER));
	one(LUCID_USER_BASE, map_page(cr3, LUCID_USER_BASE, page_alloc(), PTE_USER));
	in_run();
	others();
	huge();
}
