/* SPDX-License-Identifier: MIT */
/*
 * Purpose: page tables that are nonsense (outside RAM, cyclic, mapping what is not RAM) give page
 * faults to the guest and hurt nobody.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull

/* A page fault, whatever its P bit, or a word that is nobody's secret: no end of the VM. */
static void touch(uint64_t va)
{
	__asm__ volatile(
		"movq $1f, trap_resume(%%rip)\n\tmov (%0), %%rax\n\tmov %%rax, (%0)\n1:" ::"r"(va)
		: "rax", "memory");
	trap_resume = 0;
}

static void absent(uint64_t va)
{
	traps(LUCID_VEC_PF, 0, "mov (%0), %%rax", ::"r"(va) : "rax");
	check_eq(trapped.cr2, va);
}

static void outside_ram(uint64_t good)
{
	static const uint64_t far[] = {1ull << 40, 0x000ffffffffff000, 1ull << 51};
	unsigned i;

	for (i = 0; i < 3; i++) {
		hc_set_cr3(far[i]);
		absent(AT);
		hc_set_cr3(good);
	}
	hc_set_cr3(info->ram_size);
	absent(AT);
	hc_set_cr3(info->ram_size - PAGE); /* the last one is RAM, and empty */
	absent(AT);
	/* Bits 52 to 62 mean nothing. */
	hc_set_cr3(good | 0x7ff0000000000000);
	check_eq(peek(AT), 0x1234);
}

/* Each level in turn points to what is not RAM. */
static void tables_outside(uint64_t good)
{
	static const unsigned shift[] = {39, 30, 21, 12};
	unsigned i;

	for (i = 0; i < 4; i++) {
		volatile uint64_t *e = entry_at(good, AT, shift[i], true);
		uint64_t was = *e;

		*e = info->ram_size | PTE_USER;
		hc_set_cr3(good);
		traps(LUCID_VEC_PF, shift[i] == 12 ? PF_P : 0, "mov (%0), %%rax", ::"r"(AT)
			: "rax");
		*e = 0x000ffffffffff000 | PTE_USER;
		traps(LUCID_VEC_PF, shift[i] == 12 ? PF_P : 0, "mov (%0), %%rax", ::"r"(AT)
			: "rax");
		*e = was;
		check_eq(peek(AT), 0x1234);
	}
}

static void cyclic(void)
{
	uint64_t table = page_alloc(), i;
	volatile uint64_t *entry = direct(table);

	for (i = 0; i < 512; i++)
		entry[i] = table | PTE_USER;
	hc_set_cr3(table);
	/* Every page is the table itself. */
	check_eq(peek(AT) & ~(PTE_A | PTE_D), table | PTE_USER);
	touch(0x3ffffffff000);
	touch(LUCID_KERNEL_BASE);
	for (i = 0; i < 512; i++)
		entry[i] = table | PTE_USER | PTE_PS;
	touch(AT);
	touch(0x12345678000);
}

/* The last page of RAM is mapped, with pages behind it that are none. */
static void end_of_ram(uint64_t cr3)
{
	uint64_t i, seen;

	for (i = 0; i < 8; i++)
		map_page(cr3, AT + (i + 8) * PAGE, info->ram_size - 4 * PAGE + i * PAGE, PTE_USER);
	hc_set_cr3(cr3);
	seen = trapped.count;
	for (i = 0; i < 4; i++)
		poke(AT + (i + 8) * PAGE, i);
	check_eq(trapped.count, seen);
	for (i = 4; i < 8; i++)
		traps(LUCID_VEC_PF, PF_P, "mov (%0), %%rax", ::"r"(AT + (i + 8) * PAGE) : "rax");
}

/* Leaves over the windows and the stub are never filled. */
static void windows(uint64_t cr3)
{
	static const uint64_t at[] = {LUCID_IMAGE_BASE, LUCID_DIRECT_BASE + (1ull << 40),
		LUCID_KERNEL_END - PAGE, LUCID_USER_BASE - PAGE, 0};
	uint64_t page = page_alloc(), i;

	for (i = 0; i < 5; i++)
		map_page(cr3, at[i], page, PTE_USER);
	hc_set_cr3(cr3);
	touch(LUCID_IMAGE_BASE);
	touch(0);
	check_eq(peek(LUCID_KERNEL_END - PAGE), 0);
	traps(LUCID_VEC_PF, PF_P, "mov (%0), %%rax", ::"r"(LUCID_DIRECT_BASE + (1ull << 40))
		: "rax");
	check_eq(*(uint64_t *)direct(page), 0);
}

void test_main(void)
{
	uint64_t good = space_new(), page = page_alloc();

	map_page(good, AT, page, PTE_USER);
	hc_set_cr3(good);
	poke(AT, 0x1234);
	outside_ram(good);
	tables_outside(good);
	cyclic();
	end_of_ram(good);
	windows(space_new());
	hc_set_cr3(good);
	check_eq(peek(AT), 0x1234);
}
