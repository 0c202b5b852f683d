/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the host's 32-bit system calls are no way out either.
 * Expected: the VM ends with "the guest's CPU stopped: its process was ended \(signal 31;".
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	int ret;

	__asm__ volatile("int $0x80" : "=a"(ret) : "a"(20) : "memory");
	failure("getpid is %u", (uint64_t)ret);
}
