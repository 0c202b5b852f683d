/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that jumps into the stub at odd places, with all registers made up, ends its
 * VM, or stops it, or gets away with it; Lucid takes no harm.
 * Expected: the VM lives or ends.
 * Variants: at=0..24
 */
#include "guest/test/lib/test.h"

#define TEXT 0x2700ull /* about the stub's size */

void test_main(void)
{
	uint64_t at = LUCID_STUB_BASE + 0x60 + cmdline_number("at", 0) * (TEXT / 25);

	report("jump to %x", at);
	trap_resume = 0;
	__asm__ volatile(
		"mov $0x5a5a, %%ebx\n\tmov $-1, %%rdi\n\tmov $0x70ff0000, %%esi\n\t"
		"mov %%rdi, %%rdx\n\tmov %%rdi, %%rcx\n\tmov %%rdi, %%rbp\n\t"
		"mov %%rdi, %%r8\n\tmov %%rdi, %%r12\n\tmov %%rdi, %%r13\n\tjmp *%0" ::"a"(at));
	failure("lives on");
}
