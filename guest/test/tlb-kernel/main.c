/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the kernel's own range is filled from the guest's tables for supervisors alone, and a
 * kernel flush is seen in every ASID, whichever CR3 loads keep their entries.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT (LUCID_KERNEL_BASE + 0x123456000)
#define SPACES 6u

BLOB(read, "mov (%rdi), %rax\nud2");

static uint64_t cr3[SPACES], pa[2];

static void load(unsigned i)
{
	hc_set_cr3(cr3[i] | i | LUCID_CR3_NOFLUSH);
}

static void everywhere(uint64_t what)
{
	unsigned i;

	for (i = 0; i < SPACES; i++) {
		load(i);
		check_eq(peek(AT), what);
	}
}

static void user_is_kept_out(void)
{
	const struct lucid_frame regs = {.rdi = AT};

	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_PF);
	check_eq(trapped.error, PF_U | PF_P);
	check_eq(trapped.cr2, AT);
}

void test_main(void)
{
	unsigned i, round;

	pa[0] = page_alloc();
	pa[1] = page_alloc();
	*(volatile uint64_t *)direct(pa[0]) = 10;
	*(volatile uint64_t *)direct(pa[1]) = 11;
	for (i = 0; i < SPACES; i++) {
		cr3[i] = user_space(read, BLOB_SIZE(read), i);
		/* All share one table below the top level. */
		if (i)
			*entry_at(cr3[i], AT, 39, true) = *entry_at(cr3[0], AT, 39, true);
		else
			map_page(cr3[0], AT, pa[0], PTE_P | PTE_W | PTE_NX);
		user_is_kept_out();
	}
	if (info->features & LUCID_FEATURE_PKU) {
		/* With the kernel's entry in place as well. */
		check_eq(peek(AT), 10);
		user_is_kept_out();
	}
	for (round = 1; round < 20; round++) {
		everywhere(10 + (round + 1) % 2);
		load(round % SPACES);
		map_page(cr3[0], AT, pa[round % 2], PTE_P | PTE_W | PTE_NX);
		hc_flush_kernel(AT, AT + PAGE);
		check_eq(peek(AT), 10 + round % 2);
	}
	*pte_of(cr3[0], AT) = 0;
	hc_flush_kernel(0, ~0ull);
	for (i = 0; i < SPACES; i++) {
		load(i);
		traps(LUCID_VEC_PF, 0, "mov (%0), %%rax", ::"r"(AT) : "rax");
	}
	traps(LUCID_VEC_PF, PF_I, "jmp *%0", ::"r"(AT));
}
