/* SPDX-License-Identifier: MIT */
/*
 * Purpose: every ASID in use at once, the same address with other contents in each, switched at
 * random; and more address spaces than ASIDs, so that they are taken over.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull
#define SPACES (2 * LUCID_ASIDS)
#define PAGES 3u

static uint64_t cr3[SPACES], state = RANDOM_SEED;
static unsigned owner[LUCID_ASIDS];

static uint64_t random(void)
{
	return random_next(&state);
}

static void look(unsigned space)
{
	unsigned i;

	for (i = 0; i < PAGES; i++)
		if (peek(AT + i * PAGE) != space * 100 + i)
			failure("space %u page %u is %u", (uint64_t)space, (uint64_t)i,
				peek(AT + i * PAGE));
	check_eq(vcpu->cr3 & ~0xfffull, cr3[space]);
}

void test_main(void)
{
	unsigned i, j;

	for (i = 0; i < SPACES; i++) {
		cr3[i] = space_new();
		for (j = 0; j < PAGES; j++) {
			uint64_t page = page_alloc();

			*(volatile uint64_t *)direct(page) = i * 100 + j;
			map_page(cr3[i], AT + j * PAGE, page, PTE_USER);
		}
	}
	for (i = 0; i < LUCID_ASIDS; i++) {
		owner[i] = i;
		hc_set_cr3(cr3[i] | i);
		look(i);
	}
	for (i = 0; i < 3000; i++) {
		unsigned asid = random() % LUCID_ASIDS;

		if (i > 1500 && random() % 4 == 0) {
			owner[asid] = random() % SPACES;
			hc_set_cr3(cr3[owner[asid]] | asid);
		} else {
			hc_set_cr3(cr3[owner[asid]] | asid | LUCID_CR3_NOFLUSH);
		}
		look(owner[asid]);
	}
	report("%u switches, %u fills", vcpu->count_switch, vcpu->count_fill);
	check(vcpu->count_switch > 2000);
}
