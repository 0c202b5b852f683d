/* SPDX-License-Identifier: MIT */
/*
 * The guest's page tables as the hardware would walk them: four levels, A and D
 * bits, and the contiguous run of equal entries around an address, which is what
 * one host mapping can hold. No state and no system call, so that unit tests can
 * run it on tables of their own.
 */
#ifndef STUB_WALK_H
#define STUB_WALK_H

#include <stdbool.h>
#include <stdint.h>

#define PTE_P (1ULL << 0)
#define PTE_W (1ULL << 1)
#define PTE_U (1ULL << 2)
#define PTE_A (1ULL << 5)
#define PTE_D (1ULL << 6)
#define PTE_PS (1ULL << 7)
#define PTE_NX (1ULL << 63)
#define PTE_ADDR 0x000ffffffffff000ULL

#define PAGE_SHIFT 12
#define PAGE_SIZE (1ULL << PAGE_SHIFT)
#define HUGE_SHIFT 21
#define TABLE_ENTRIES 512

/* Where the tables are: physical memory as the walker sees it. */
struct walk_ram {
	unsigned char *base;
	uint64_t size;
};

struct walk {
	uint64_t *table; /* the table that holds the leaf */
	unsigned index; /* of the leaf in it */
	unsigned shift; /* 12, 21 or 30 */
	uint64_t limits; /* W, U bits of the upper levels, and NX where any forbids */
};

/* A run: guest [va, va + size) is physical [pa, pa + size), all with prot. */
struct run {
	uint64_t va, pa, size;
	bool write, exec, user;
	bool populate; /* the host's faults are to be taken at once: whoever maps it says so */
};

static inline uint64_t *walk_table(const struct walk_ram *ram, uint64_t entry)
{
	uint64_t pa = entry & PTE_ADDR;

	if (pa > ram->size - PAGE_SIZE)
		return 0;
	return (uint64_t *)(ram->base + pa);
}

/* Sets bits in an entry that is still as read; another vCPU may change it. */
static inline bool walk_mark(uint64_t *slot, uint64_t seen, uint64_t bits)
{
	if ((seen & bits) == bits)
		return true;
	return __atomic_compare_exchange_n(
		slot, &seen, seen | bits, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED);
}

/* Finds the leaf for addr; false: not present. The leaf's entry is not read here. */
static inline bool walk_find(
	const struct walk_ram *ram, uint64_t cr3, uint64_t addr, struct walk *w)
{
	uint64_t *table = walk_table(ram, cr3);
	uint64_t limits = PTE_W | PTE_U;
	unsigned shift;

	for (shift = 39; table; shift -= 9) {
		unsigned index = (addr >> shift) & (TABLE_ENTRIES - 1);
		uint64_t entry = __atomic_load_n(&table[index], __ATOMIC_RELAXED);

		if (!(entry & PTE_P))
			return false;
		if (shift == PAGE_SHIFT || (shift <= 30 && (entry & PTE_PS))) {
			*w = (struct walk){table, index, shift, limits};
			return true;
		}
		walk_mark(&table[index], entry, PTE_A);
		limits = (limits & (entry | ~(PTE_W | PTE_U))) | (entry & PTE_NX);
		table = walk_table(ram, entry);
	}
	return false;
}

/* What a leaf grants, upper levels counted: PTE_W, PTE_U, PTE_NX; W only if dirty. */
static inline uint64_t walk_rights(uint64_t entry, uint64_t limits)
{
	uint64_t rights = entry & limits & (PTE_W | PTE_U);

	if (!(entry & PTE_D))
		rights &= ~PTE_W;
	return rights | ((entry | limits) & PTE_NX);
}

/* Does entry i of the table continue what entry "from" maps, with the same rights? */
static inline bool walk_continues(
	const struct walk *w, uint64_t from, uint64_t rights, int delta, uint64_t *table_entry)
{
	uint64_t entry = __atomic_load_n(table_entry, __ATOMIC_RELAXED);

	if (!(entry & PTE_P) || walk_rights(entry, w->limits) != rights)
		return false;
	if ((entry & PTE_ADDR) != (from & PTE_ADDR) + (uint64_t)(delta * (int64_t)PAGE_SIZE))
		return false;
	return walk_mark(table_entry, entry, PTE_A);
}

/*
 * Makes the run around addr, whose leaf is w and reads as entry: of 4 KiB pages
 * in the same table at most max to each side; of a larger page its 2 MiB part.
 */
static inline void walk_run(
	const struct walk *w, uint64_t entry, uint64_t addr, unsigned max, struct run *run)
{
	uint64_t rights = walk_rights(entry, w->limits);
	int first = 0, last = 0;

	run->write = rights & PTE_W;
	run->user = rights & PTE_U;
	run->exec = !(rights & PTE_NX);
	if (w->shift != PAGE_SHIFT) {
		uint64_t inside = addr & ((1ULL << w->shift) - 1) & ~((1ULL << HUGE_SHIFT) - 1);

		run->va = addr & ~((1ULL << HUGE_SHIFT) - 1);
		run->pa = (entry & PTE_ADDR & ~((1ULL << w->shift) - 1)) + inside;
		run->size = 1ULL << HUGE_SHIFT;
		return;
	}
	while ((int)w->index + first > 0 && -first < (int)max &&
		walk_continues(w, entry, rights, first - 1, &w->table[(int)w->index + first - 1]))
		first--;
	while (w->index + last < TABLE_ENTRIES - 1 && last < (int)max &&
		walk_continues(w, entry, rights, last + 1, &w->table[w->index + last + 1]))
		last++;
	run->va = (addr & ~(PAGE_SIZE - 1)) + (uint64_t)(first * (int64_t)PAGE_SIZE);
	run->pa = (entry & PTE_ADDR) + (uint64_t)(first * (int64_t)PAGE_SIZE);
	run->size = (uint64_t)(last - first + 1) << PAGE_SHIFT;
}

#endif
