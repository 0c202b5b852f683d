/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the hypercall for the image's rights takes nothing outside the image window.
 * Expected: the VM ends with "it made a hypercall with impossible arguments".
 * Variants: range=0..5
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	static const uint64_t range[][2] = {
		{LUCID_STUB_BASE, LUCID_STUB_BASE + PAGE},
		{LUCID_VCPU_ADDR, LUCID_VCPU_ADDR + PAGE},
		{LUCID_INFO_ADDR, LUCID_INFO_ADDR + PAGE},
		{0x10000, LUCID_IMAGE_END},
		{LUCID_IMAGE_BASE + PAGE, LUCID_IMAGE_BASE},
		{0, ~0ull},
	};
	uint64_t n = cmdline_number("range", 0);

	hc_protect(range[n][0], range[n][1], LUCID_PROT_READ | LUCID_PROT_WRITE | LUCID_PROT_EXEC);
	failure("lives on");
}
