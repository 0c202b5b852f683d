/* SPDX-License-Identifier: MIT */
/* The table of what a space's TLB holds, against a plain one, and its corners. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "stub/known.h"

#define PAGE 4096ull
#define BLOCK (1ull << KNOWN_BLOCK_SHIFT)
#define VA 0x123456780000ull
#define PA 0x7890000ull

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct known));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void park(struct known *k, uint64_t va, bool wide)
{
	struct known_block *b = known_find(k, va >> KNOWN_BLOCK_SHIFT);
	uint16_t bit = known_mask(va >> KNOWN_BLOCK_SHIFT, va, va + PAGE);

	b->parked |= bit;
	b->wide = (uint16_t)(wide ? b->wide | bit : b->wide & ~bit);
}

static void test_masks(void **state)
{
	uint64_t number = VA >> KNOWN_BLOCK_SHIFT;

	(void)state;
	assert_int_equal(known_mask(number, VA, VA + PAGE), 1);
	assert_int_equal(known_mask(number, VA + 15 * PAGE, VA + 16 * PAGE), 0x8000);
	assert_int_equal(known_mask(number, 0, ~0ull), 0xffff);
	assert_int_equal(known_mask(number, VA - PAGE, VA + 2 * PAGE), 3);
	assert_int_equal(known_mask(number, VA + 3 * PAGE, VA + BLOCK + PAGE), 0xfff8);
}

static void test_compares(void **state)
{
	struct known *k = *state;

	assert_int_equal(known_compare(k, VA, PA, PAGE), KNOWN_NOT);
	/* Over the border of a block. */
	known_enter(k, VA + 14 * PAGE, PA, 4 * PAGE);
	assert_int_equal(known_compare(k, VA + 14 * PAGE, PA, 4 * PAGE), KNOWN_SAME);
	assert_int_equal(known_compare(k, VA + 17 * PAGE, PA + 3 * PAGE, PAGE), KNOWN_SAME);
	assert_int_equal(known_compare(k, VA + 17 * PAGE, PA + 3 * PAGE, 2 * PAGE), KNOWN_NOT);
	assert_int_equal(known_compare(k, VA + 13 * PAGE, PA - PAGE, 2 * PAGE), KNOWN_NOT);
	assert_int_equal(known_compare(k, VA + 14 * PAGE, PA + PAGE, PAGE), KNOWN_NOT);
	/* Alone or with others, to the same page or another one. */
	park(k, VA + 16 * PAGE, false);
	assert_int_equal(known_compare(k, VA + 14 * PAGE, PA, 4 * PAGE), KNOWN_SAME);
	assert_int_equal(known_compare(k, VA + 16 * PAGE, PA, PAGE), KNOWN_NOT);
	park(k, VA + 16 * PAGE, true);
	assert_int_equal(known_compare(k, VA + 14 * PAGE, PA, 4 * PAGE), KNOWN_BACK);
	assert_int_equal(known_compare(k, VA + 16 * PAGE, PA, PAGE), KNOWN_STALE);
	/* Entered again it is in use. */
	known_enter(k, VA + 16 * PAGE, PA, PAGE);
	assert_int_equal(known_compare(k, VA + 16 * PAGE, PA, PAGE), KNOWN_SAME);
}

static void test_forgets(void **state)
{
	struct known *k = *state;
	uint64_t far = VA + (KNOWN_BLOCKS + 88) * BLOCK;

	known_enter(k, VA, PA, BLOCK);
	known_enter(k, far, PA, BLOCK);
	known_forget(k, VA + 3 * PAGE, VA + 5 * PAGE);
	assert_int_equal(known_compare(k, VA, PA, 3 * PAGE), KNOWN_SAME);
	assert_int_equal(known_compare(k, VA + 3 * PAGE, PA + 3 * PAGE, PAGE), KNOWN_NOT);
	assert_int_equal(known_compare(k, VA + 5 * PAGE, PA + 5 * PAGE, 11 * PAGE), KNOWN_SAME);
	assert_true(known_wholly(k, VA, VA + 3 * PAGE));
	assert_false(known_wholly(k, VA, VA + 4 * PAGE));
	/* More than there are blocks: the ends cut through some. */
	known_forget(k, VA + 15 * PAGE, far + PAGE);
	assert_int_equal(known_compare(k, VA + 14 * PAGE, PA + 14 * PAGE, PAGE), KNOWN_SAME);
	assert_int_equal(known_compare(k, VA + 15 * PAGE, PA + 15 * PAGE, PAGE), KNOWN_NOT);
	assert_int_equal(known_compare(k, far, PA, PAGE), KNOWN_NOT);
	assert_int_equal(known_compare(k, far + PAGE, PA + PAGE, 15 * PAGE), KNOWN_SAME);
}

/* A block that takes another's place knows nothing of it. */
static void test_collides(void **state)
{
	struct known *k = *state;
	uint64_t number = VA >> KNOWN_BLOCK_SHIFT, other = number;
	struct known_block *gone;
	unsigned i, left = 0;

	for (i = 0; i < KNOWN_WAYS; i++, other++) {
		while (known_set(k, other) != known_set(k, number))
			other++;
		assert_int_equal(known_place(k, other)->mapped, 0);
		known_enter(k, other << KNOWN_BLOCK_SHIFT, PA, BLOCK);
		known_find(k, other)->noted = 0xffff;
		park(k, other << KNOWN_BLOCK_SHIFT, true);
	}
	while (known_set(k, other) != known_set(k, number))
		other++;
	gone = known_place(k, other);
	assert_int_equal(gone->mapped, 0xffff);
	gone->mapped = 0;
	known_enter(k, other << KNOWN_BLOCK_SHIFT, PA, PAGE);
	assert_ptr_equal(known_find(k, other), gone);
	assert_int_equal(gone->mapped, 1);
	assert_int_equal(gone->noted, 0);
	assert_int_equal(gone->parked, 0);
	for (i = 0; i < other - number; i++)
		left += known_compare(k, VA + i * BLOCK, PA, BLOCK) == KNOWN_BACK;
	assert_int_equal(left, KNOWN_WAYS - 1);
}

/* Blocks side by side, and at any distance of a power of two, are all known. */
static void test_spreads(void **state)
{
	unsigned shift, i;

	(void)state;
	for (shift = 0; shift <= 8; shift++) {
		struct known *k = calloc(1, sizeof(*k));

		for (i = 0; i < 256; i++)
			known_enter(k, VA + (BLOCK << shift) * i, PA, PAGE);
		for (i = 0; i < 256; i++)
			assert_int_equal(
				known_compare(k, VA + (BLOCK << shift) * i, PA, PAGE), KNOWN_SAME);
		free(k);
	}
}

static void test_others(void **state)
{
	struct known *k = *state;
	const uint64_t region = 1ull << KNOWN_REGION_SHIFT, start = VA & ~(region - 1);

	assert_false(known_others(k, 0, 1ull << 46));
	known_other(k, start + region - PAGE, start + region + PAGE);
	assert_true(known_others(k, start, start + PAGE));
	assert_true(known_others(k, start + region, start + region + PAGE));
	assert_false(known_others(k, start + 2 * region, start + 3 * region));
	assert_false(known_others(k, start - 2 * region, start));
	assert_true(known_others(k, 0, 1ull << 46));
}

/* Random runs come and go: what the table says is always so, if it says anything. */
static void test_random(void **state)
{
	enum { PAGES = 4096, STEPS = 20000 };
	struct known *k = *state;
	uint64_t *pfn = calloc(PAGES, sizeof(*pfn));
	unsigned i, step, hits = 0;

	srand(1);
	for (step = 0; step < STEPS; step++) {
		unsigned at = (unsigned)rand() % (PAGES - 32), n = 1 + (unsigned)rand() % 32;
		uint64_t from = 1 + (uint64_t)rand() % 3 * 10000 + at;

		if (rand() % 3 == 0) {
			known_forget(k, VA + at * PAGE, VA + (at + n) * PAGE);
			memset(pfn + at, 0, n * sizeof(*pfn));
		} else if (rand() % 2 == 0) {
			known_enter(k, VA + at * PAGE, from * PAGE, n * PAGE);
			for (i = 0; i < n; i++)
				pfn[at + i] = from + i;
		} else if (known_compare(k, VA + at * PAGE, from * PAGE, n * PAGE) != KNOWN_NOT) {
			hits++;
			for (i = 0; i < n; i++)
				assert_int_equal(pfn[at + i], from + i);
		}
	}
	assert_true(hits > 100);
	free(pfn);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_masks),
		cmocka_unit_test_setup_teardown(test_compares, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_forgets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_collides, set_up, tear_down),
		cmocka_unit_test(test_spreads),
		cmocka_unit_test_setup_teardown(test_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
