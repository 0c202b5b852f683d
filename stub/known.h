/* SPDX-License-Identifier: MIT */
/*
 * What is known of a space's TLB: which page of RAM the host has mapped at an address, and
 * whether the mapping can be used or is parked, which is without any right. A table of blocks
 * of 16 pages that forgets when blocks collide; of what it has forgotten, and of long runs and
 * executable ones, it knows no more than about where they are. No state of its own and no
 * system call, so that unit tests can run it.
 */
#ifndef STUB_KNOWN_H
#define STUB_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#define KNOWN_BLOCKS 512u
#define KNOWN_WAYS 4u
#define KNOWN_PAGES 16u /* of a block */
#define KNOWN_BLOCK_SHIFT 16
#define KNOWN_REGION_SHIFT 21
#define KNOWN_REGIONS 512u

struct known_block {
	uint32_t number; /* address >> KNOWN_BLOCK_SHIFT */
	/* Bits of pages. */
	uint16_t mapped; /* there is a mapping: to the page pfn[] */
	uint16_t parked; /* it is parked */
	uint16_t wide; /* by a flush of many */
	uint16_t noted; /* hypercall_wrprotect() knows of it */
	uint32_t pad;
};

struct known {
	struct known_block block[KNOWN_BLOCKS];
	uint32_t pfn[KNOWN_BLOCKS][KNOWN_PAGES];
	/* Bit n: in a region of 2 MiB with a number of n, modulo, is something usable we do not
	 * know. */
	uint64_t others[KNOWN_REGIONS / 64];
	uint32_t turn; /* counts blocks that had to go */
	int32_t score; /* whether parking has been worth it */
	uint32_t used; /* anything was ever entered since all was dropped */
};

/* The set of blocks that a block may be among; by the golden ratio strides spread evenly. */
static inline struct known_block *known_set(struct known *k, uint64_t number)
{
	const uint32_t divisor = (uint32_t)((1ull << 32) / (KNOWN_BLOCKS / KNOWN_WAYS));

	return &k->block[(uint32_t)number * 0x9e3779b1u / divisor * KNOWN_WAYS];
}

/* Bits of the pages of block number that are in [start, end). */
static inline uint16_t known_mask(uint64_t number, uint64_t start, uint64_t end)
{
	uint64_t base = number << KNOWN_BLOCK_SHIFT;
	unsigned from = start > base ? (unsigned)((start - base) >> 12) : 0;
	unsigned to = end - base < 1ul << KNOWN_BLOCK_SHIFT ? (unsigned)((end - base) >> 12)
							    : KNOWN_PAGES;

	return (uint16_t)((1u << to) - (1u << from));
}

/* The block, if anything in it is known. */
static inline struct known_block *known_find(struct known *k, uint64_t number)
{
	struct known_block *b = known_set(k, number);
	unsigned i;

	for (i = 0; i < KNOWN_WAYS; i++)
		if (b[i].mapped && b[i].number == number)
			return &b[i];
	return 0;
}

/* The same, or one to take for it: empty, or of another block that has to go. */
static inline struct known_block *known_place(struct known *k, uint64_t number)
{
	struct known_block *b = known_find(k, number), *set = known_set(k, number);
	unsigned i;

	for (i = 0; !b && i < KNOWN_WAYS; i++)
		if (!set[i].mapped)
			b = &set[i];
	return b ? b : &set[k->turn++ % KNOWN_WAYS];
}

static inline void known_other(struct known *k, uint64_t start, uint64_t end)
{
	uint64_t region;

	k->used = 1;
	for (region = start >> KNOWN_REGION_SHIFT; region <= (end - 1) >> KNOWN_REGION_SHIFT;
		region++)
		k->others[region % KNOWN_REGIONS / 64] |= 1ul << (region % 64);
}

/* May there be usable mappings in [start, end) beside those that are known? */
static inline bool known_others(const struct known *k, uint64_t start, uint64_t end)
{
	uint64_t region = start >> KNOWN_REGION_SHIFT;
	uint64_t count = ((end - 1) >> KNOWN_REGION_SHIFT) - region + 1;

	for (count = count < KNOWN_REGIONS ? count : KNOWN_REGIONS; count; count--, region++)
		if (k->others[region % KNOWN_REGIONS / 64] >> (region % 64) & 1)
			return true;
	return false;
}

/* Is each page of [start, end), which is in one block, known? */
static inline bool known_wholly(struct known *k, uint64_t start, uint64_t end)
{
	struct known_block *b = known_find(k, start >> KNOWN_BLOCK_SHIFT);
	unsigned mask = known_mask(start >> KNOWN_BLOCK_SHIFT, start, end);

	return b && (b->mapped & mask) == mask;
}

/* Nothing is mapped any more in [start, end), or what is there is not known. */
static inline void known_forget(struct known *k, uint64_t start, uint64_t end)
{
	uint64_t number = start >> KNOWN_BLOCK_SHIFT;
	uint64_t last = (end - 1) >> KNOWN_BLOCK_SHIFT;
	struct known_block *b;

	if (last - number < KNOWN_BLOCKS) {
		for (; number <= last; number++) {
			b = known_find(k, number);
			if (b)
				b->mapped &= (uint16_t)~known_mask(number, start, end);
		}
		return;
	}
	for (b = k->block; b < k->block + KNOWN_BLOCKS; b++)
		if (b->mapped && b->number >= number && b->number <= last)
			b->mapped &= (uint16_t)~known_mask(b->number, start, end);
}

/* How pages of a run are to what is known. */
enum known_state {
	KNOWN_NOT,
	KNOWN_STALE, /* a flush of many has parked one that maps another page of RAM: in vain */
	KNOWN_SAME, /* all are mapped to the very pages */
	KNOWN_BACK, /* and a flush of many has parked some of them */
};

static inline enum known_state known_compare(
	struct known *k, uint64_t va, uint64_t pa, uint64_t size)
{
	enum known_state state = KNOWN_SAME;
	struct known_block *b = 0;
	uint64_t at;

	for (at = va; at < va + size; at += 4096) {
		unsigned page = (at >> 12) % KNOWN_PAGES;
		bool wide;

		if (at == va || !page)
			b = known_find(k, at >> KNOWN_BLOCK_SHIFT);
		if (!b || !(b->mapped >> page & 1))
			return KNOWN_NOT;
		wide = b->parked & b->wide & 1u << page;
		if (k->pfn[b - k->block][page] != (pa + (at - va)) >> 12)
			return wide ? KNOWN_STALE : KNOWN_NOT;
		if (wide)
			state = KNOWN_BACK;
	}
	return state;
}

/* Enters a usable mapping. What has to go for it has to be seen to before. */
static inline void known_enter(struct known *k, uint64_t va, uint64_t pa, uint64_t size)
{
	struct known_block *b = 0;
	uint64_t at;

	k->used = 1;
	for (at = va; at < va + size; at += 4096) {
		uint64_t number = at >> KNOWN_BLOCK_SHIFT;
		unsigned page = (at >> 12) % KNOWN_PAGES;

		if (at == va || !page)
			b = known_place(k, number);
		if (b->number != number || !b->mapped)
			*b = (struct known_block){.number = (uint32_t)number};
		b->mapped |= (uint16_t)(1u << page);
		b->parked &= (uint16_t) ~(1u << page);
		k->pfn[b - k->block][page] = (uint32_t)((pa + (at - va)) >> 12);
	}
}

#endif
