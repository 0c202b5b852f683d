/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the same as hostile-tables, but with a fair share in each of many spaces: those that do
 * not run are ended, which the guest does not notice. "disturb" adds up what the host has for all.
 * Expected: success.
 */
#include <asm/unistd.h>

#include "guest/test/lib/test.h"

#define RAM 3
#define APART (1ull << 30)
#define EACH 20000 /* 160 MiB of tables */

static long map(uint64_t at)
{
	register uint64_t r10 __asm__("r10") = 0x8011, r8 __asm__("r8") = RAM, r9 __asm__("r9") = 0;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(__NR_mmap), "D"(at), "S"(PAGE), "d"(1), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

void test_main(void)
{
	uint64_t cr3 = space_new(), i;
	unsigned asid;

	for (asid = 0; asid < 16; asid++) {
		hc_set_cr3(cr3 | asid);
		for (i = 0; i < EACH; i++)
			check_eq(map((8 + i) * APART), (8 + i) * APART);
	}
	/* Those that have gone come again. */
	for (asid = 0; asid < 16; asid++)
		hc_set_cr3(cr3 | asid);
}
