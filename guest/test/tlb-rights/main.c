/* SPDX-License-Identifier: MIT */
/*
 * Purpose: rights that change: less takes effect with the flush, more without one, in the page's
 * own entry and in those above it.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull

static uint64_t cr3, page;

static void flush(void)
{
	hc_flush(AT, AT + PAGE);
}

static void ok(void)
{
	unsigned seen = trapped.count;

	poke(AT, 0x90c3);
	check_eq(trapped.count, seen);
}

static void no_write(void)
{
	(void)peek(AT);
	traps(LUCID_VEC_PF, PF_W | PF_P, "mov %0, (%0)", ::"r"(AT));
}

/* In the entry of this level: write goes, and comes. */
static void level(unsigned shift)
{
	volatile uint64_t *e = entry_at(cr3, AT, shift, true);

	ok();
	*e &= ~PTE_W;
	flush();
	no_write();
	*e |= PTE_W;
	ok();
	*e &= ~PTE_P;
	flush();
	traps(LUCID_VEC_PF, PF_W, "mov %0, (%0)", ::"r"(AT));
	*e |= PTE_P;
	ok();
	/* Execution, of the ret that stands there. */
	((void (*)(void))AT)();
	*e |= PTE_NX;
	flush();
	traps(LUCID_VEC_PF, PF_I | PF_P, "jmp *%0", ::"r"(AT));
	ok();
	*e &= ~PTE_NX;
	((void (*)(void))AT)();
}

BLOB(read, "mov (%rdi), %rax\nmov %rax, (%rdi)\nud2");

static void user(uint64_t vector, uint64_t error)
{
	const struct lucid_frame regs = {.rdi = AT};
	unsigned seen = trapped.count;

	user_run(&regs);
	check_trap(__FILE__, __LINE__, "user access", seen, vector, error);
}

static void user_bit(unsigned shift)
{
	volatile uint64_t *e = entry_at(cr3, AT, shift, true);

	user(LUCID_VEC_UD, 0);
	*e &= ~PTE_U;
	flush();
	user(LUCID_VEC_PF, PF_U | PF_P);
	*e |= PTE_U;
	user(LUCID_VEC_UD, 0);
}

void test_main(void)
{
	unsigned shift;

	page = page_alloc();
	cr3 = user_space(read, BLOB_SIZE(read), 0);
	map_page(cr3, AT, page, PTE_USER);
	*(volatile uint64_t *)direct(page) = 0xc3;
	for (shift = 12; shift <= 39; shift += 9) {
		*(volatile uint64_t *)direct(page) = 0x90c3;
		level(shift);
	}
	*entry_at(cr3, AT, 12, true) |= PTE_W;
	/* The code and the stack are under the same top-level entries. */
	for (shift = 12; shift <= 21; shift += 9)
		user_bit(shift);
}
