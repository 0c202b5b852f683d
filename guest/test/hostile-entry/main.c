/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a trap without a trap entry, or with one that leads nowhere.
 * Expected: the VM ends with "the guest's CPU stopped: (it trapped before|its kernel broke)".
 * Variants: entry=0..4
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	static const uint64_t entry[] = {
		0, 0x8000000000000000, 0x10000000, LUCID_DIRECT_BASE, LUCID_STUB_BASE + 0x201000};

	vcpu->entry = entry[cmdline_number("entry", 0)];
	__asm__ volatile("ud2");
}
