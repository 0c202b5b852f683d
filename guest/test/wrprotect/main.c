/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the hypercall for a fork takes write access from every user page of the current ASID:
 * of few runs and of many, whole and in pieces, executable or not. Reading stays, and so do other
 * ASIDs.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull
#define RUN 0x200000ull

static uint64_t cr3, other;
static unsigned pages;

/* Runs of n pages each, a gap between them. */
static void map(uint64_t table, unsigned runs, unsigned n, uint64_t bits)
{
	uint64_t pa = pages_alloc(n);
	unsigned i, j;

	for (i = 0; i < runs; i++)
		for (j = 0; j < n; j++)
			map_page(table, AT + i * RUN + j * PAGE, pa + j * PAGE, bits);
}

static void set_write(unsigned runs, unsigned n, bool on)
{
	unsigned i, j;

	for (i = 0; i < runs; i++) {
		for (j = 0; j < n; j++) {
			volatile uint64_t *pte = pte_of(cr3, AT + i * RUN + j * PAGE);

			*pte = on ? *pte | PTE_W : *pte & ~PTE_W;
		}
	}
}

static void refused(uint64_t va)
{
	unsigned seen = trapped.count;

	__asm__ volatile("movq $1f, trap_resume(%%rip)\n\tmovb $9, (%0)\n1:" ::"r"(va) : "memory");
	trap_resume = 0;
	if (trapped.count == seen)
		failure("%u pages: %x is still writable", (uint64_t)pages, va);
	check_eq(trapped.error, PF_W | PF_P);
}

static void one(unsigned runs, unsigned n, uint64_t bits, bool pieces)
{
	unsigned i, j;

	pages = runs * n;
	map(cr3, runs, n, bits);
	hc_flush(0, ~0ull);
	for (i = 0; i < runs; i++) {
		for (j = 0; j < n; j++)
			poke(AT + i * RUN + j * PAGE, 0x90c3 + j * 0x10000);
		if (pieces)
			hc_flush(AT + i * RUN + PAGE, AT + i * RUN + 2 * PAGE);
	}
	set_write(runs, n, false);
	hc_wrprotect();
	for (i = 0; i < runs; i++) {
		for (j = 0; j < n; j++) {
			refused(AT + i * RUN + j * PAGE);
			check_eq(peek(AT + i * RUN + j * PAGE), 0x90c3 + j * 0x10000);
			refused(AT + i * RUN + j * PAGE);
		}
		if (!(bits & PTE_NX))
			((void (*)(void))(AT + i * RUN))();
	}
	/* More comes without a flush. */
	set_write(runs, n, true);
	for (i = 0; i < runs; i++)
		for (j = 0; j < n; j++)
			poke(AT + i * RUN + j * PAGE, 0);
}

void test_main(void)
{
	uint64_t seen;

	cr3 = space_new();
	other = space_new();
	map(other, 1, 4, PTE_USER);
	hc_set_cr3(other | 1);
	poke(AT, 1);
	hc_set_cr3(cr3);
	hc_wrprotect();
	one(1, 1, PTE_USER | PTE_NX, false);
	one(3, 16, PTE_USER | PTE_NX, false);
	one(3, 16, PTE_USER, false);
	one(3, 16, PTE_USER, true);
	one(20, 8, PTE_USER | PTE_NX, true);
	one(63, 2, PTE_USER | PTE_NX, false);
	one(65, 1, PTE_USER | PTE_NX, false);
	one(200, 2, PTE_USER, true);
	/* Twice, and without an entry. */
	hc_wrprotect();
	hc_flush(0, ~0ull);
	hc_wrprotect();
	/* The other ASID was not meant. */
	hc_set_cr3(other | 1 | LUCID_CR3_NOFLUSH);
	seen = vcpu->count_fill;
	poke(AT, 2);
	check_eq(vcpu->count_fill, seen);
}
