/* SPDX-License-Identifier: MIT */
/* The page-table walk and the merging of runs, on tables in ordinary memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stub/walk.h"

#define PAGES 64
#define VA 0x12345600000ull /* 2 MiB-aligned: entry 0 of its last table */

struct tables {
	struct walk_ram ram;
	uint64_t *level[4]; /* top level first */
};

static uint64_t at(unsigned page)
{
	return page * PAGE_SIZE;
}

static int set_up(void **state)
{
	struct tables *t = calloc(1, sizeof(*t));
	const unsigned shift[] = {39, 30, 21};
	unsigned i;

	t->ram.size = PAGES * PAGE_SIZE;
	t->ram.base = aligned_alloc(PAGE_SIZE, t->ram.size);
	memset(t->ram.base, 0, t->ram.size);
	for (i = 0; i < 4; i++)
		t->level[i] = (uint64_t *)(t->ram.base + at(i));
	for (i = 0; i < 3; i++)
		t->level[i][(VA >> shift[i]) & 511] = at(i + 1) | PTE_P | PTE_W | PTE_U;
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct tables *t = *state;

	free(t->ram.base);
	free(t);
	return 0;
}

static void test_finds_leaf(void **state)
{
	struct tables *t = *state;
	struct walk w;

	t->level[3][5] = at(20) | PTE_P;
	assert_true(walk_find(&t->ram, 0, VA + at(5) + 123, &w));
	assert_ptr_equal(w.table, t->level[3]);
	assert_int_equal(w.index, 5);
	assert_int_equal(w.shift, PAGE_SHIFT);
	/* The way there is marked as hardware does; the leaf is not read yet. */
	assert_true(t->level[0][(VA >> 39) & 511] & PTE_A);
	assert_true(t->level[2][(VA >> 21) & 511] & PTE_A);
	assert_false(t->level[3][5] & PTE_A);
	assert_false(walk_find(&t->ram, 0, VA + at(6), &w));
	assert_false(walk_find(&t->ram, 0, VA + (1ull << 39), &w));
}

static void test_tables_outside_ram(void **state)
{
	struct tables *t = *state;
	struct walk w;

	assert_false(walk_find(&t->ram, t->ram.size, VA, &w));
	assert_false(walk_find(&t->ram, PTE_ADDR, VA, &w));
	t->level[1][(VA >> 30) & 511] = t->ram.size | PTE_P;
	assert_false(walk_find(&t->ram, 0, VA, &w));
	/* The last page of RAM is a table like any other. */
	t->level[2][(VA >> 21) & 511] = at(PAGES - 1) | PTE_P;
	t->level[1][(VA >> 30) & 511] = at(2) | PTE_P;
	((uint64_t *)(t->ram.base + at(PAGES - 1)))[0] = PTE_P;
	assert_true(walk_find(&t->ram, 0, VA, &w));
}

static void test_table_that_points_to_itself(void **state)
{
	struct tables *t = *state;
	struct walk w;
	unsigned i;

	for (i = 0; i < TABLE_ENTRIES; i++)
		t->level[0][i] = PTE_P | PTE_W | PTE_U;
	assert_true(walk_find(&t->ram, 0, VA, &w));
	assert_int_equal(w.shift, PAGE_SHIFT);
}

static void test_upper_levels_limit(void **state)
{
	struct tables *t = *state;
	struct walk w;
	uint64_t entry = at(20) | PTE_P | PTE_W | PTE_U | PTE_D;

	t->level[3][0] = entry;
	assert_true(walk_find(&t->ram, 0, VA, &w));
	assert_int_equal(walk_rights(entry, w.limits), PTE_W | PTE_U);
	t->level[1][(VA >> 30) & 511] = (at(2) | PTE_P | PTE_U | PTE_NX);
	assert_true(walk_find(&t->ram, 0, VA, &w));
	assert_true(walk_rights(entry, w.limits) == (PTE_U | PTE_NX));
	t->level[0][(VA >> 39) & 511] = at(1) | PTE_P;
	assert_true(walk_find(&t->ram, 0, VA, &w));
	assert_true(walk_rights(entry, w.limits) == PTE_NX);
}

static void test_clean_page_is_not_writable(void **state)
{
	(void)state;
	assert_int_equal(walk_rights(PTE_P | PTE_W, PTE_W | PTE_U), 0);
	assert_int_equal(walk_rights(PTE_P | PTE_W | PTE_D, PTE_W | PTE_U), PTE_W);
}

static void run_at(struct tables *t, unsigned index, unsigned max, struct run *run)
{
	struct walk w;

	assert_true(walk_find(&t->ram, 0, VA + at(index), &w));
	walk_run(&w, t->level[3][index], VA + at(index) + 7, max, run);
}

static void test_run_merges_neighbours(void **state)
{
	struct tables *t = *state;
	struct run run;
	unsigned i;

	for (i = 10; i < 20; i++)
		t->level[3][i] = at(i + 20) | PTE_P | PTE_U;
	run_at(t, 15, 256, &run);
	assert_int_equal(run.va, VA + at(10));
	assert_int_equal(run.pa, at(30));
	assert_int_equal(run.size, at(10));
	assert_true(run.user && run.exec && !run.write);
	for (i = 10; i < 20; i++)
		if (i != 15)
			assert_true(t->level[3][i] & PTE_A);
	run_at(t, 15, 2, &run);
	assert_int_equal(run.va, VA + at(13));
	assert_int_equal(run.size, at(5));
}

static void test_run_stops(void **state)
{
	struct tables *t = *state;
	const uint64_t bits = PTE_P | PTE_U | PTE_W | PTE_D | PTE_NX;
	struct run run;

	t->level[3][3] = at(23) | (bits & ~PTE_D); /* clean: only readable */
	t->level[3][4] = at(24) | bits;
	t->level[3][5] = at(25) | bits | PTE_A; /* A is no difference */
	t->level[3][6] = at(27) | bits; /* a gap in physical memory */
	run_at(t, 4, 256, &run);
	assert_int_equal(run.va, VA + at(4));
	assert_int_equal(run.size, at(2));
	assert_true(run.write && !run.exec);
	assert_false(t->level[3][3] & PTE_A);
	assert_false(t->level[3][6] & PTE_A);
	t->level[3][5] &= ~PTE_U;
	run_at(t, 4, 256, &run);
	assert_int_equal(run.size, at(1));
}

static void test_run_ends_with_its_table(void **state)
{
	struct tables *t = *state;
	struct run run;

	t->level[3][0] = at(1) | PTE_P;
	t->level[3][511] = at(2) | PTE_P;
	run_at(t, 0, 256, &run);
	assert_int_equal(run.size, at(1));
	run_at(t, 511, 256, &run);
	assert_int_equal(run.va, VA + at(511));
	assert_int_equal(run.size, at(1));
}

static void test_large_pages(void **state)
{
	struct tables *t = *state;
	struct walk w;
	struct run run;

	t->level[2][(VA >> 21) & 511] = 0x600000 | PTE_P | PTE_PS | PTE_U;
	assert_true(walk_find(&t->ram, 0, VA + 0x5123, &w));
	assert_int_equal(w.shift, HUGE_SHIFT);
	walk_run(&w, w.table[w.index], VA + 0x5123, 256, &run);
	assert_int_equal(run.va, VA);
	assert_int_equal(run.pa, 0x600000);
	assert_int_equal(run.size, 1 << HUGE_SHIFT);
	/* Of a page of 1 GiB the part of 2 MiB that is asked for. */
	t->level[1][(VA >> 30) & 511] = 0x40000000 | PTE_P | PTE_PS | PTE_U;
	assert_true(walk_find(&t->ram, 0, VA + 0x200000, &w));
	assert_int_equal(w.shift, 30);
	walk_run(&w, w.table[w.index], VA + 0x200000, 256, &run);
	assert_int_equal(run.va, VA + 0x200000);
	assert_int_equal(run.pa, 0x40000000 + ((VA + 0x200000) & 0x3fffffff));
}

static void test_mark_gives_way(void **state)
{
	uint64_t entry = PTE_P, seen = PTE_P;

	(void)state;
	entry |= PTE_NX; /* another vCPU was faster */
	assert_false(walk_mark(&entry, seen, PTE_A));
	assert_true(entry == (PTE_P | PTE_NX));
	assert_true(walk_mark(&entry, entry, PTE_A | PTE_D));
	assert_true(entry == (PTE_P | PTE_NX | PTE_A | PTE_D));
}

#define with_tables(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_tables(test_finds_leaf),
		with_tables(test_tables_outside_ram),
		with_tables(test_table_that_points_to_itself),
		with_tables(test_upper_levels_limit),
		cmocka_unit_test(test_clean_page_is_not_writable),
		with_tables(test_run_merges_neighbours),
		with_tables(test_run_stops),
		with_tables(test_run_ends_with_its_table),
		with_tables(test_large_pages),
		cmocka_unit_test(test_mark_gives_way),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
