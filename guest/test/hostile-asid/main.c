/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a CR3 with an ASID that there is not ends the VM.
 * Expected: the VM ends with "it asked for an address space that there is not".
 * Variants: asid=32 asid=33 asid=100 asid=4095
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	hc_set_cr3(space_new() | cmdline_number("asid", 0));
	failure("lives on");
}
