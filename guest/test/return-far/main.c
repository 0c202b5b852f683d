/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a return to user mode at an address that cannot be is a fault of the program, told to
 * the kernel, and the next return works.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

BLOB(stop, "ud2");

static void go(uint64_t rip)
{
	const struct lucid_frame regs = {.rip = rip, .rax = 1234};

	user_run(&regs);
	report("return to %x: vector %u error %x rip %x", rip, trapped.vector, trapped.error,
		trapped.frame.rip);
	check_eq(trapped.frame.cs, LUCID_USER_CS);
	check_eq(trapped.frame.rip, rip);
	check_eq(trapped.frame.rax, 1234);
	check_eq(vcpu->mode, LUCID_MODE_KERNEL);
}

void test_main(void)
{
	user_space(stop, BLOB_SIZE(stop), 0);
	go(0x800000000000);
	check_eq(trapped.vector, LUCID_VEC_GP);
	go(0x8000000000000000);
	check_eq(trapped.vector, LUCID_VEC_GP);
	go(0x7ffffffff000);
	check_eq(trapped.vector, LUCID_VEC_PF);
	check_eq(trapped.cr2, 0x7ffffffff000);
	go(0xffff800000000000);
	check_eq(trapped.vector, LUCID_VEC_PF);
	/* The host's vsyscall page: not executed, though what is left of the space tells no more.
	 */
	go(0xffffffffff600000);
	check(trapped.vector == LUCID_VEC_PF || trapped.vector == LUCID_VEC_GP);
	go(USER_CODE);
	check_eq(trapped.vector, LUCID_VEC_UD);
}
