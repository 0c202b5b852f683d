/* SPDX-License-Identifier: MIT */
/*
 * Purpose: traps with a kernel stack that is none: each ends the VM, and says why.
 * Expected: the VM ends with "it trapped with no kernel stack to report it on".
 * Variants: sp=0..9
 */
#include "guest/test/lib/test.h"

BLOB(stop, "ud2");

static void user_trap(uint64_t sp)
{
	struct lucid_frame regs = {.rip = USER_CODE,
		.rsp = USER_STACK - 8,
		.cs = LUCID_USER_CS,
		.ss = LUCID_USER_SS,
		.rflags = 0x202};

	user_space(stop, BLOB_SIZE(stop), 0);
	vcpu->kernel_sp = sp;
	test_return(&regs);
}

static void kernel_trap(uint64_t sp)
{
	__asm__ volatile("mov %0, %%rsp\n\tint3" ::"r"(sp));
}

void test_main(void)
{
	switch (cmdline_number("sp", 0)) {
	case 0:
		user_trap(0);
		break;
	case 1:
		user_trap(8);
		break;
	case 2:
		user_trap(USER_STACK);
		break;
	case 3:
		user_trap(LUCID_DIRECT_BASE + info->ram_size + PAGE);
		break;
	case 4:
		user_trap(LUCID_STUB_BASE + 0x301000);
		break;
	case 5:
		user_trap(0x8000000000000000);
		break;
	case 6:
		user_trap(~15ull);
		break;
	case 7:
		kernel_trap(0);
		break;
	case 8:
		kernel_trap(USER_STACK);
		break;
	case 9:
		kernel_trap(0x8000000000000000);
		break;
	}
	failure("lives on");
}
