/* SPDX-License-Identifier: MIT */
/* Memory and page tables of test guests. */
#include "guest/test/lib/test.h"

#define ADDR_MASK 0x000ffffffffff000ull

extern char test_image_end[];
static uint64_t next_page;

void memory_init(void)
{
	next_page = (uint64_t)test_image_end - LUCID_IMAGE_BASE;
}

uint64_t pages_alloc(unsigned n)
{
	uint64_t pa = next_page;

	next_page += n * PAGE;
	if (next_page > info->ram_size)
		failure("out of memory");
	for (uint64_t i = 0; i < n * PAGE / 8; i++)
		((volatile uint64_t *)direct(pa))[i] = 0;
	return pa;
}

uint64_t page_alloc(void)
{
	return pages_alloc(1);
}

uint64_t memory_align(uint64_t size)
{
	next_page = (next_page + size - 1) & ~(size - 1);
	if (next_page > info->ram_size)
		failure("out of memory");
	return next_page;
}

uint64_t memory_left(void)
{
	return info->ram_size - next_page;
}

uint64_t space_new(void)
{
	return page_alloc();
}

volatile uint64_t *entry_at(uint64_t cr3, uint64_t va, unsigned shift, bool make)
{
	volatile uint64_t *table = direct(cr3 & ADDR_MASK);
	unsigned level;

	for (level = 39; level > shift; level -= 9) {
		volatile uint64_t *e = &table[va >> level & 511];

		if (!(*e & PTE_P)) {
			if (!make)
				return NULL;
			*e = page_alloc() | PTE_P | PTE_W | PTE_U;
		}
		table = direct(*e & ADDR_MASK);
	}
	return &table[va >> shift & 511];
}

volatile uint64_t *map_page(uint64_t cr3, uint64_t va, uint64_t pa, uint64_t bits)
{
	volatile uint64_t *e = entry_at(cr3, va, 12, true);

	*e = pa | bits;
	return e;
}

volatile uint64_t *pte_of(uint64_t cr3, uint64_t va)
{
	return entry_at(cr3, va, 12, false);
}
