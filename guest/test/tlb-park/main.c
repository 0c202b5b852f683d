/* SPDX-License-Identifier: MIT */
/*
 * Purpose: flushed entries that the stub keeps without rights. They cannot be used, come back
 * with the rights and the page that the tables have then, outlive forks, colliding addresses and
 * flushes of everything, and are reused where the same page comes back.
 * Expected: success.
 */
#include "abi/space.h"
#include "guest/test/lib/test.h"

#define AT 0x10000000ull
#define STRIDE 0x200000ull
#define N 64
#define LEAF (PTE_USER | PTE_NX)

static uint64_t cr3, pa[2];

static uint64_t reused(void)
{
	return ((const volatile struct stub_private *)STUB_PRIVATE_ADDR)->reused;
}

/* Where programs have spaces of their own nothing is parked. */
static void check_reused(uint64_t since, unsigned least)
{
	if (!(info->features & LUCID_FEATURE_SPLIT))
		check(reused() >= since + least);
}

static void stamp(uint64_t at, unsigned n, uint64_t what)
{
	unsigned i;

	for (i = 0; i < n; i++)
		*(volatile uint64_t *)direct(at + i * PAGE) = what + i;
}

static void absent(uint64_t va)
{
	traps(LUCID_VEC_PF, 0, "mov (%0), %%rax", ::"r"(va) : "rax");
	traps(LUCID_VEC_PF, PF_W, "movb $1, (%0)", ::"r"(va) : "memory");
}

static void read_only(uint64_t va)
{
	traps(LUCID_VEC_PF, PF_W | PF_P, "movb $1, (%0)", ::"r"(va) : "memory");
}

/* One page: taken and given, as it was, with less, and another one. */
static void single(void)
{
	uint64_t seen;

	map_page(cr3, AT, pa[0], LEAF);
	poke(AT, 7);
	*pte_of(cr3, AT) = 0;
	hc_flush(AT, AT + PAGE);
	absent(AT);
	map_page(cr3, AT, pa[0], LEAF);
	check_eq(peek(AT), 7);
	poke(AT, 8);
	check_eq(*(volatile uint64_t *)direct(pa[0]), 8);
	/* Rights taken away, and given back without a flush. */
	*pte_of(cr3, AT) &= ~PTE_W;
	hc_flush(AT, AT + PAGE);
	read_only(AT);
	check_eq(peek(AT), 8);
	read_only(AT);
	seen = reused();
	*pte_of(cr3, AT) |= PTE_W;
	poke(AT, 9);
	check_reused(seen, 1);
	/* Another page, then the first again. */
	map_page(cr3, AT, pa[1], LEAF);
	hc_flush(AT, AT + PAGE);
	check_eq(peek(AT), 1000);
	map_page(cr3, AT, pa[0], LEAF);
	hc_flush(AT, AT + PAGE);
	check_eq(peek(AT), 9);
	*pte_of(cr3, AT) = 0;
	hc_flush(AT, AT + PAGE);
	absent(AT);
}

static void fill_all(uint64_t from, uint64_t stride, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++) {
		map_page(cr3, AT + i * stride, from + i * PAGE, LEAF);
		poke(AT + i * stride, 5000 + i);
	}
}

static void drop_all(uint64_t stride, unsigned n)
{
	unsigned i;

	for (i = 0; i < n; i++)
		*pte_of(cr3, AT + i * stride) = 0;
	hc_flush(AT, AT + n * stride);
	for (i = 0; i < n; i++)
		absent(AT + i * stride);
}

/* Many at a time: the same pages come back, then others, which ends parking for a while. */
static void many(uint64_t stride, unsigned n)
{
	unsigned i, round;
	uint64_t seen;

	hc_flush(0, ~0ull);
	stamp(pa[0], n, 0);
	stamp(pa[1], n, 1000);
	for (round = 0; round < 3; round++) {
		seen = reused();
		fill_all(pa[0], stride, n);
		if (round && n <= 256)
			check_reused(seen, n / 2);
		drop_all(stride, n);
	}
	for (round = 0; round < 40; round++) {
		uint64_t from = pa[round % 2];

		fill_all(from, stride, n);
		for (i = 0; i < n; i++)
			check_eq(*(volatile uint64_t *)direct(from + i * PAGE), 5000 + i);
		drop_all(stride, n);
		stamp(from, n, round);
	}
}

/* A fork takes write access: what is parked must not become readable by that. */
static void forked(unsigned n)
{
	unsigned i;

	hc_flush(0, ~0ull);
	fill_all(pa[0], STRIDE, n);
	for (i = 1; i < n; i += 2) {
		*pte_of(cr3, AT + i * STRIDE) = 0;
		hc_flush(AT + i * STRIDE, AT + i * STRIDE + PAGE);
	}
	for (i = 0; i < n; i += 2)
		*pte_of(cr3, AT + i * STRIDE) &= ~PTE_W;
	hc_wrprotect();
	for (i = 0; i < n; i++) {
		if (i % 2) {
			absent(AT + i * STRIDE);
			continue;
		}
		check_eq(peek(AT + i * STRIDE), 5000 + i);
		read_only(AT + i * STRIDE);
		*pte_of(cr3, AT + i * STRIDE) |= PTE_W;
		poke(AT + i * STRIDE, i);
	}
}

/* Part of a run; a run that has grown; and a long one, of which nothing is kept. */
static void runs(void)
{
	unsigned i;

	hc_flush(0, ~0ull);
	stamp(pa[0], N, 100);
	for (i = 0; i < N; i++)
		map_page(cr3, AT + i * PAGE, pa[0] + i * PAGE, i < 16 ? LEAF : 0);
	for (i = 0; i < 16; i++)
		poke(AT + i * PAGE, 200 + i);
	*pte_of(cr3, AT + 3 * PAGE) = 0;
	hc_flush(AT + 3 * PAGE, AT + 4 * PAGE);
	absent(AT + 3 * PAGE);
	check_eq(peek(AT + 2 * PAGE), 202);
	check_eq(peek(AT + 4 * PAGE), 204);
	for (i = 0; i < N; i++)
		map_page(cr3, AT + i * PAGE, pa[0] + i * PAGE, LEAF);
	for (i = 0; i < N; i++)
		check_eq(peek(AT + i * PAGE), i < 16 ? 200 + i : 100 + i);
	for (i = 0; i < N; i++)
		*pte_of(cr3, AT + i * PAGE) = 0;
	hc_flush(AT + 8 * PAGE, AT + 40 * PAGE);
	for (i = 8; i < 40; i++)
		absent(AT + i * PAGE);
	hc_flush(AT, AT + N * PAGE);
	for (i = 0; i < N; i++)
		absent(AT + i * PAGE);
}

/* The kernel's own page, and an executable one, in the middle of what is known. */
static void others(void)
{
	hc_flush(0, ~0ull);
	map_page(cr3, AT, pa[0], LEAF);
	map_page(cr3, AT + PAGE, pa[0] + 2 * PAGE, PTE_P | PTE_W | PTE_NX);
	map_page(cr3, AT + 2 * PAGE, pa[0] + 4 * PAGE, PTE_USER);
	poke(AT, 1);
	poke(AT + PAGE, 2);
	poke(AT + 2 * PAGE, 0x90c3);
	((void (*)(void))(AT + 2 * PAGE))();
	*pte_of(cr3, AT) = *pte_of(cr3, AT + PAGE) = *pte_of(cr3, AT + 2 * PAGE) = 0;
	hc_flush(AT, AT + 3 * PAGE);
	absent(AT);
	absent(AT + PAGE);
	absent(AT + 2 * PAGE);
	/* From known to executable, and back. */
	map_page(cr3, AT, pa[0], LEAF);
	poke(AT, 0x90c3);
	*pte_of(cr3, AT) &= ~PTE_NX;
	hc_flush(AT, AT + PAGE);
	((void (*)(void))AT)();
	*pte_of(cr3, AT) |= PTE_NX;
	hc_flush(AT, AT + PAGE);
	check_eq(peek(AT), 0x90c3);
	traps(LUCID_VEC_PF, PF_I | PF_P, "jmp *%0", ::"r"(AT));
}

void test_main(void)
{
	pa[0] = pages_alloc(1024);
	pa[1] = pages_alloc(1024);
	stamp(pa[0], N, 0);
	stamp(pa[1], N, 1000);
	cr3 = space_new();
	hc_set_cr3(cr3 | 1);
	single();
	many(STRIDE, N);
	many(0x10000, 256);
	many(STRIDE / 4, 1024); /* more than there is place for */
	forked(20);
	forked(100);
	runs();
	others();
	report("%u fills", vcpu->count_fill);
}
