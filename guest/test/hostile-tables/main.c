/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that makes the host spend memory on page tables, which no limit of a process
 * counts: in each of its spaces as many mappings as there can be, each in tables of its own.
 * Expected: the VM ends with "the host's page tables for the guest have grown to".
 */
#include <asm/unistd.h>

#include "guest/test/lib/test.h"

#define RAM 3
#define APART (1ull << 30)

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
	uint64_t cr3 = space_new(), at, count = 0;
	unsigned asid;

	for (asid = 0; asid < LUCID_ASIDS; asid++) {
		hc_set_cr3(cr3 | asid);
		for (at = 4 * APART; at + PAGE < LUCID_STUB_BASE; at += APART)
			if (at - LUCID_DIRECT_BASE >= LUCID_DIRECT_END - LUCID_DIRECT_BASE &&
				map(at) == (long)at)
				count++;
		report("%u mappings", count);
	}
	failure("lives on");
}
