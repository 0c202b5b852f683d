/* SPDX-License-Identifier: MIT */
/*
 * Purpose: page faults of kernel mode: error code, address, and what a supervisor may do.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10002000ull

static uint64_t cr3, page;

static void map(uint64_t bits)
{
	map_page(cr3, AT, page, bits);
	hc_flush(AT, AT + PAGE);
}

static void load(uint64_t va, uint64_t error)
{
	traps(LUCID_VEC_PF, error, "mov (%0), %%rax", ::"r"(va) : "rax");
	check_eq(trapped.cr2, va);
	check_eq(trapped.frame.cs, LUCID_KERNEL_CS);
}

static void store(uint64_t va, uint64_t error)
{
	traps(LUCID_VEC_PF, error, "mov %0, (%0)", ::"r"(va));
	check_eq(trapped.cr2, va);
}

static void execute(uint64_t va, uint64_t error)
{
	traps(LUCID_VEC_PF, error, "jmp *%0", ::"r"(va));
	check_eq(trapped.cr2, va);
	check_eq(trapped.frame.rip, va);
}

void test_main(void)
{
	unsigned seen;

	cr3 = space_new();
	page = page_alloc();
	hc_set_cr3(cr3);
	load(AT, 0);
	store(AT, PF_W);
	execute(AT, PF_I);
	map(PTE_P | PTE_U);
	store(AT, PF_W | PF_P);
	map(PTE_P);
	store(AT, PF_W | PF_P);
	map(PTE_USER | PTE_NX);
	execute(AT, PF_I | PF_P);
	/* None of these faults: a supervisor's page, and a user's. */
	seen = trapped.count;
	map(PTE_P | PTE_W);
	poke(AT, 1);
	check_eq(peek(AT), 1);
	map(PTE_USER);
	poke(AT, 2);
	check_eq(peek(AT), 2);
	check_eq(*(uint64_t *)direct(page), 2);
	check_eq(trapped.count, seen);
	/* Where no fill ever goes. */
	load(8, 0);
	load(LUCID_DIRECT_BASE + info->ram_size, 0);
	store(LUCID_DIRECT_END - 8, PF_W);
	load(LUCID_KERNEL_BASE, 0);
	load(LUCID_STUB_END - 8, 0);
	load(0xffff800000000000, 0);
	execute(LUCID_DIRECT_BASE + page, PF_I);
}
