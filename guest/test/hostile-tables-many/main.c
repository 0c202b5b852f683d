/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the same as hostile-tables, but with a fair share in each of many spaces: those that do
 * not run are ended, which the guest does not notice. "disturb" adds up what the host has for all.
 * Expected: success.
 */
#include "guest/test/lib/host.h"

#define RAM 3
#define APART (1ull << 30)
#define MAP(at) host_call(__NR_mmap, at, PAGE, 1, 0x8011, RAM, 0)
#define EACH 20000 /* 160 MiB of tables */

void test_main(void)
{
	uint64_t cr3 = space_new(), i;
	unsigned asid;

	for (asid = 0; asid < 16; asid++) {
		hc_set_cr3(cr3 | asid);
		for (i = 0; i < EACH; i++)
			check_eq(MAP((8 + i) * APART), (8 + i) * APART);
	}
	/* Those that have gone come again. */
	for (asid = 0; asid < 16; asid++)
		hc_set_cr3(cr3 | asid);
}
