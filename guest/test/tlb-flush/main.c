/* SPDX-License-Identifier: MIT */
/*
 * Purpose: flushes drop stale entries: a range, all, another ASID's at its next CR3 load; and a
 * CR3 load with NOFLUSH keeps them.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull
#define N 100

static uint64_t cr3, old_pa, new_pa;

/* Maps N pages one by one (odd and even swapped: no runs), or all in one run. */
static void map(uint64_t pa, bool run)
{
	unsigned i;

	for (i = 0; i < N; i++)
		map_page(cr3, AT + i * PAGE, pa + (run ? i : i ^ 1) * PAGE, PTE_USER);
}

static void stamp(uint64_t pa, uint64_t what)
{
	unsigned i;

	for (i = 0; i < N; i++)
		*(volatile uint64_t *)direct(pa + i * PAGE) = what;
}

static void expect(unsigned first, unsigned last, uint64_t what)
{
	unsigned i;

	for (i = first; i < last; i++)
		if (peek(AT + i * PAGE) != what)
			failure("page %u is %x, not %x", (uint64_t)i, peek(AT + i * PAGE), what);
}

static void prepare(bool run)
{
	map(old_pa, run);
	hc_flush(0, ~0ull);
	expect(0, N, 1);
	map(new_pa, run);
}

static void ranges(bool run)
{
	prepare(run);
	hc_flush(AT + 10 * PAGE, AT + 11 * PAGE);
	expect(10, 11, 2);
	hc_flush(AT + 20 * PAGE + 5, AT + 21 * PAGE + 5); /* covers what it touches */
	expect(20, 22, 2);
	hc_flush(AT + 30 * PAGE, AT + 60 * PAGE);
	expect(30, 60, 2);
	hc_flush(AT, AT + N * PAGE);
	expect(0, N, 2);

	prepare(run);
	hc_flush(LUCID_USER_BASE, AT + 4 * PAGE);
	expect(0, 4, 2);
	hc_flush(AT + 90 * PAGE, LUCID_USER_END);
	expect(90, N, 2);
	hc_flush(0, ~0ull);
	expect(0, N, 2);
}

static void by_cr3(bool run)
{
	uint64_t other = space_new(), fills;

	/* The current ASID itself. */
	prepare(run);
	hc_set_cr3(cr3 | 1);
	expect(0, N, 2);
	/* Changed while another runs: its next load flushes. */
	prepare(run);
	hc_set_cr3(other | 2);
	hc_set_cr3(cr3 | 1);
	expect(0, N, 2);
	/* NOFLUSH: not a fill is needed. */
	map(old_pa, run);
	hc_flush(0, ~0ull);
	expect(0, N, 1);
	fills = vcpu->count_fill;
	hc_set_cr3(other | 2);
	hc_set_cr3(cr3 | 1 | LUCID_CR3_NOFLUSH);
	hc_set_cr3(cr3 | 1 | LUCID_CR3_NOFLUSH);
	expect(0, N, 1);
	check_eq(vcpu->count_fill, fills);
	check_eq(vcpu->cr3, cr3 | 1);
	/* An ASID that another set of tables takes over. */
	hc_set_cr3(other | 1);
	traps(LUCID_VEC_PF, 0, "mov (%0), %%rax", ::"r"(AT) : "rax");
	hc_set_cr3(cr3 | 1);
	expect(0, N, 1);
}

void test_main(void)
{
	old_pa = pages_alloc(N);
	new_pa = pages_alloc(N);
	stamp(old_pa, 1);
	stamp(new_pa, 2);
	cr3 = space_new();
	hc_set_cr3(cr3 | 1);
	ranges(true);
	ranges(false);
	by_cr3(true);
	by_cr3(false);
	report("%u flushes, %u fills, %u retired", vcpu->count_flush, vcpu->count_fill,
		vcpu->count_retire);
}
