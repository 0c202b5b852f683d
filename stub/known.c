/* SPDX-License-Identifier: MIT */
/*
 * Mappings that are parked rather than dropped, and used again where the same page comes back.
 *
 * To unmap a page costs the host 1 us if it is one of many and 2 or 3 if it is alone, and to
 * map one 2 us and more; to change rights 0.3. So a flush takes the rights of what it is sure to
 * know, and a fill of a page that is there already gives them back: where a program gets the
 * memory again that it gave up, where rights are taken and given (mprotect, the end of a fork),
 * where a page becomes dirty. What does not come back is mapped over, which is dearer than a
 * fresh mapping; so flushes of many pages park them only while that pays.
 *
 * Only of this space's own, not executable, user memory. A parked page is as good as none.
 */
#include <sys/mman.h>

#include "stub/known.h"
#include "stub/stub.h"
#include "stub/sys.h"
#include "stub/walk.h"

#define table ((struct known *)STUB_KNOWN_ADDR)

_Static_assert(sizeof(struct known) <= STUB_KNOWN_SIZE, "as mapped");
_Static_assert(KNOWN_PAGES << PAGE_SHIFT == 1u << KNOWN_BLOCK_SHIFT, "a block");

/* Longer runs are not worth the place. */
#define RUN_MAX (2 * KNOWN_PAGES * PAGE_SIZE)

/* A page that comes back adds one; one that does not takes the rest. */
#define SCORE_MAX 64
#define SCORE_STALE 3
#define SCORE_PARKS (-SCORE_MAX / 2)

static void count(enum known_state state)
{
	if (state == KNOWN_BACK && table->score < SCORE_MAX)
		table->score++;
	else if (state == KNOWN_STALE && table->score > -SCORE_MAX)
		table->score -= SCORE_STALE;
}

/* Does something to each piece of adjacent pages of a block that bits tell. */
static bool each_piece(const struct known_block *b, unsigned bits, long nr, long prot)
{
	while (bits) {
		unsigned first = (unsigned)__builtin_ctz(bits);
		unsigned pages = (unsigned)__builtin_ctz(~(bits >> first));
		uint64_t va = ((uint64_t)b->number << KNOWN_BLOCK_SHIFT) + first * PAGE_SIZE;

		if (sys3(nr, (long)va, (long)(pages * PAGE_SIZE), prot) < 0)
			return false;
		bits &= ~(((1u << pages) - 1) << first);
	}
	return true;
}

/*
 * Makes room for a block. What is parked there must not be forgotten: a fork's mprotect would
 * bring it back.
 */
static void make_room(uint64_t number)
{
	struct known_block *b = known_place(table, number);
	uint64_t base = (uint64_t)b->number << KNOWN_BLOCK_SHIFT;

	if (b->number == number || !b->mapped)
		return;
	if (!each_piece(b, b->mapped & b->parked, __NR_munmap, 0))
		flush_everything();
	else if (b->mapped & ~b->parked)
		known_other(table, base, base + (KNOWN_PAGES << PAGE_SHIFT));
	b->mapped = 0;
}

bool known_reuse(const struct run *run, unsigned prot)
{
	enum known_state state;

	if (priv->twin || !run->user || run->exec || run->size > RUN_MAX)
		return false;
	state = known_compare(table, run->va, run->pa, run->size);
	count(state);
	if (state < KNOWN_SAME || sys3(__NR_mprotect, (long)run->va, (long)run->size, prot) < 0)
		return false;
	known_enter(table, run->va, run->pa, run->size);
	priv->reused++;
	return true;
}

void known_mapped(const struct run *run)
{
	uint64_t end = run->va + run->size, number;

	if (priv->twin || run->va >= LUCID_USER_END)
		return;
	if (!run->user || run->exec || run->size > RUN_MAX) {
		known_forget(table, run->va, end);
		known_other(table, run->va, end);
		return;
	}
	for (number = run->va >> KNOWN_BLOCK_SHIFT; number <= (end - 1) >> KNOWN_BLOCK_SHIFT;
		number++)
		make_room(number);
	known_enter(table, run->va, run->pa, run->size);
}

bool known_noted(const struct run *run)
{
	uint64_t end = run->va + run->size, number;
	bool all = !priv->twin;

	for (number = run->va >> KNOWN_BLOCK_SHIFT; number <= (end - 1) >> KNOWN_BLOCK_SHIFT;
		number++) {
		struct known_block *b = known_find(table, number);
		unsigned mask = known_mask(number, run->va, end);

		all = all && b && (b->mapped & b->noted & mask) == mask;
		if (b)
			b->noted |= (uint16_t)mask;
	}
	return all;
}

void known_list_done(void)
{
	unsigned i;

	for (i = 0; table->used && i < KNOWN_BLOCKS; i++)
		table->block[i].noted = 0;
}

bool known_any_parked(uint64_t start, uint64_t end)
{
	uint64_t number;

	for (number = start >> KNOWN_BLOCK_SHIFT; number <= (end - 1) >> KNOWN_BLOCK_SHIFT;
		number++) {
		struct known_block *b = known_find(table, number);

		if (b && (b->mapped & b->parked & known_mask(number, start, end)))
			return true;
	}
	return false;
}

static bool park_block(struct known_block *b, uint64_t start, uint64_t end, bool wide)
{
	unsigned bits = b->mapped & ~b->parked & known_mask(b->number, start, end);

	if (!each_piece(b, bits, __NR_mprotect, PROT_NONE))
		return false;
	b->parked |= (uint16_t)bits;
	b->wide = (uint16_t)(wide ? b->wide | bits : b->wide & ~bits);
	return true;
}

bool known_park(uint64_t start, uint64_t end)
{
	uint64_t number = start >> KNOWN_BLOCK_SHIFT, last = (end - 1) >> KNOWN_BLOCK_SHIFT;
	bool wide = number != last;
	struct known_block *b;

	if (priv->twin)
		return false;
	/* A page alone that is gone comes back as another one: a copy on write. */
	if (end - start == PAGE_SIZE && !tlb_entry_present(start))
		return false;
	if ((wide || !known_wholly(table, start, end)) && known_others(table, start, end))
		return false;
	if (wide && table->score < SCORE_PARKS) {
		table->score++; /* to try again some time */
		return false;
	}
	if (last - number >= KNOWN_BLOCKS) {
		for (b = table->block; b < table->block + KNOWN_BLOCKS; b++)
			if (b->mapped && b->number >= number && b->number <= last &&
				!park_block(b, start, end, wide))
				return false;
		return true;
	}
	for (; number <= last; number++) {
		b = known_find(table, number);
		if (b && !park_block(b, start, end, wide))
			return false;
	}
	return true;
}

void known_dropped(uint64_t start, uint64_t end)
{
	if (table->used)
		known_forget(table, start, end);
}

void known_dropped_all(void)
{
	unsigned i;

	if (!table->used)
		return;
	for (i = 0; i < KNOWN_BLOCKS; i++)
		table->block[i].mapped = 0;
	for (i = 0; i < KNOWN_REGIONS / 64; i++)
		table->others[i] = 0;
	table->used = 0;
}
