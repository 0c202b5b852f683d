/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that makes the host spend memory on page tables, which no limit of a process
 * counts: in each of its spaces as many mappings as there can be, each in tables of its own.
 * Expected: the VM ends with "the host's page tables for the guest have grown to".
 */
#include "guest/test/lib/host.h"

#define RAM 3
#define APART (1ull << 30)
#define MAP(at) host_call(__NR_mmap, at, PAGE, 1, 0x8011, RAM, 0)

void test_main(void)
{
	uint64_t cr3 = space_new(), at, count = 0;
	unsigned asid;

	for (asid = 0; asid < LUCID_ASIDS; asid++) {
		hc_set_cr3(cr3 | asid);
		for (at = 4 * APART; at + PAGE < LUCID_STUB_BASE; at += APART)
			if (at - LUCID_DIRECT_BASE >= LUCID_DIRECT_END - LUCID_DIRECT_BASE &&
				MAP(at) == (long)at)
				count++;
		report("%u mappings", count);
	}
	failure("lives on");
}
