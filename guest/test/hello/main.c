/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a guest starts, finds the information page, prints and powers off.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	report("ram %u vcpus %u tsc %u kHz", info->ram_size, (uint64_t)info->vcpus, info->tsc_khz);
	check(info->ram_size >= 64 << 20);
	check(info->tsc_khz > 100000);
	check(info->vcpus >= 1);
}
