/* SPDX-License-Identifier: MIT */
/*
 * Purpose: SYSENTER, which some hosts take for a system call of theirs and AMD's CPUs do not
 * know in 64-bit mode, ends in a fault to the guest's kernel.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

BLOB(enter, "mov $20, %eax\nmov %rsp, %rbp\nsysenter\nud2");

void test_main(void)
{
	user_space(enter, BLOB_SIZE(enter), 0);
	user_blob(enter);
	report("vector %u error %x rip %x", trapped.vector, trapped.error, trapped.frame.rip);
	check(trapped.vector == LUCID_VEC_UD || trapped.vector == LUCID_VEC_GP ||
		trapped.vector == LUCID_VEC_PF);
	/* It did nothing: what follows it was not reached. */
	check(trapped.vector != LUCID_VEC_UD || trapped.frame.rip == USER_CODE + 8);
	check_eq(trapped.frame.cs, LUCID_USER_CS);
}
