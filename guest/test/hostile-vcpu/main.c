/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that fills the vCPU page with nonsense while it runs, a word at a time and then
 * all of it: the monitor takes none of it for more than a guest's word.
 * Expected: the VM ends with "the guest's CPU stopped: ".
 * Variants: with=0..3
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	static const uint64_t with[] = {~0ull, 0, 0x5a5a5a5a5a5a5a5a, LUCID_DIRECT_BASE};
	volatile uint64_t *page = (uint64_t *)LUCID_VCPU_ADDR;
	uint64_t value = with[cmdline_number("with", 0)], i, was;

	for (i = 0; i < LUCID_VCPU_SIZE / 8; i++) {
		was = page[i];
		page[i] = value;
		hc_notify(27, 3);
		hc_flush(0, ~0ull);
		page[i] = was;
		check(hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0) > 0);
	}
	for (i = 0; i < LUCID_VCPU_SIZE / 8; i++)
		page[i] = value;
	vcpu->entry = 0;
	vcpu->vif = 0;
	hc_notify(0, 0);
	__asm__ volatile("ud2");
}
