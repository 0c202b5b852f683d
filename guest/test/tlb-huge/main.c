/* SPDX-License-Identifier: MIT */
/*
 * Purpose: pages of 2 MiB and 1 GiB: contents, rights, one fill for each 2 MiB, flushes.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define HUGE (2ull << 20)
#define AT 0x100000000ull
#define GIANT 0x8000000000ull
#define BITS (PTE_USER | PTE_PS)

static uint64_t cr3, pa;

static void contents(uint64_t va, uint64_t from, uint64_t size)
{
	uint64_t off;

	for (off = 0; off < size; off += PAGE) {
		poke(va + off + 8, off ^ va);
		check_eq(*(uint64_t *)direct(from + off + 8), off ^ va);
	}
}

static void two(void)
{
	volatile uint64_t *e = entry_at(cr3, AT, 21, true);
	uint64_t fills = vcpu->count_fill;

	e[0] = pa | BITS;
	e[1] = (pa + HUGE) | BITS;
	contents(AT, pa, HUGE);
	contents(AT + HUGE, pa + HUGE, HUGE);
	check_eq(vcpu->count_fill, fills + 2);
	/* Swapped. */
	e[0] = (pa + HUGE) | BITS;
	e[1] = pa | BITS;
	hc_flush(AT, AT + 2 * HUGE);
	contents(AT, pa + HUGE, HUGE);
	contents(AT + HUGE, pa, HUGE);
	/* Split: the entry becomes a table of 4 KiB pages, one of them read-only. */
	e[0] = 0;
	contents(AT + HUGE, pa, HUGE);
	map_page(cr3, AT + PAGE, pa, PTE_P | PTE_U);
	map_page(cr3, AT, pa + HUGE, PTE_USER);
	hc_flush(AT, AT + HUGE);
	contents(AT, pa + HUGE, PAGE);
	traps(LUCID_VEC_PF, PF_W | PF_P, "mov %0, (%0)", ::"r"(AT + PAGE));
	traps(LUCID_VEC_PF, 0, "mov (%0), %%rax", ::"r"(AT + 2 * PAGE) : "rax");
	/* A single page flushed out of a 2 MiB entry takes the rest's rights with it, no more. */
	e[1] = pa | PTE_P | PTE_U | PTE_PS | PTE_NX;
	hc_flush(AT + HUGE, AT + 2 * HUGE);
	(void)peek(AT + HUGE);
	traps(LUCID_VEC_PF, PF_W | PF_P, "mov %0, (%0)", ::"r"(AT + HUGE + 0x12340));
	traps(LUCID_VEC_PF, PF_I | PF_P, "jmp *%0", ::"r"(AT + HUGE + 0x12340));
}

static void giant(void)
{
	volatile uint64_t *e = entry_at(cr3, GIANT, 30, true);

	*e = BITS; /* all RAM, and what would be behind it */
	contents(GIANT + pa, pa, 2 * HUGE);
	check(*e & PTE_D);
	poke(GIANT + info->ram_size - 8, 77);
	check_eq(*(uint64_t *)direct(info->ram_size - 8), 77);
	traps(LUCID_VEC_PF, PF_P, "mov (%0), %%rax", ::"r"(GIANT + info->ram_size) : "rax");
}

void test_main(void)
{
	pa = memory_align(HUGE);
	pages_alloc(4 * HUGE / PAGE);
	cr3 = space_new();
	hc_set_cr3(cr3);
	two();
	giant();
}
