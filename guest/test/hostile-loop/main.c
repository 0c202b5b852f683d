/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that faults for ever is ended by --timeout, which does not wait for its
 * consent.
 * Expected: the VM ends with "(time-out|killed)".
 * Options: --timeout 1
 */
#include "guest/test/lib/test.h"

static bool again(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)frame;
	(void)error;
	(void)vector;
	return true;
}

void test_main(void)
{
	trap_hook = again;
	__asm__ volatile("ud2");
}
