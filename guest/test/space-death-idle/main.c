/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a space that is killed while it waits is made again when its ASID is wanted, with the
 * entries of the guest's tables and nothing lost. "disturb" does the killing.
 * Expected: success.
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

#define AT 0x10000000ull
#define SPACES 6u
#define DEATHS 3u
#define SECOND 1000000000ull

static unsigned absent(void)
{
	const volatile struct stub_shared *shared = (void *)STUB_SHARED_ADDR;
	unsigned i, n = 0;

	for (i = 0; i < SPACES; i++)
		n += shared->slot[i].word == SLOT_ABSENT;
	return n;
}

void test_main(void)
{
	uint64_t cr3[SPACES], end;
	unsigned i, round;

	for (i = 0; i < SPACES; i++) {
		uint64_t page = page_alloc();

		cr3[i] = space_new();
		*(volatile uint64_t *)direct(page) = i;
		map_page(cr3[i], AT, page, PTE_USER);
		hc_set_cr3(cr3[i] | i);
		check_eq(peek(AT), i);
	}
	hc_set_cr3(cr3[0] | LUCID_CR3_NOFLUSH);
	report("ready");
	end = now_ns() + 20 * SECOND;
	while (absent() < DEATHS) {
		if (now_ns() > end)
			failure("%u spaces were killed, not %u", (uint64_t)absent(),
				(uint64_t)DEATHS);
		hc_set_timer(1000000);
		hc_halt();
	}
	for (round = 0; round < 3; round++) {
		for (i = 0; i < SPACES; i++) {
			hc_set_cr3(cr3[i] | i | LUCID_CR3_NOFLUSH);
			check_eq(peek(AT), i);
		}
	}
	check_eq(absent(), 0);
}
