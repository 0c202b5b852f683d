/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a program that jumps to an instruction of the stub which faults gets that fault as its
 * own, and the VM goes on.
 * Expected: success.
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

BLOB(jump, "jmp *%rdi");

/* The first place in the stub's text, from here on, with these two bytes. */
static uint64_t find(uint64_t from, unsigned char a, unsigned char b)
{
	const unsigned char *at;

	for (at = (const unsigned char *)from; at[0] != a || at[1] != b; at++)
		if ((uint64_t)at >= STUB_TEXT_ADDR + STUB_TEXT_SIZE - 2)
			failure("the stub has no %x %x", (uint64_t)a, (uint64_t)b);
	return (uint64_t)at;
}

void test_main(void)
{
	const uint64_t text = STUB_TEXT_ADDR + sizeof(struct stub_header);
	struct lucid_frame regs = {.rax = 39};
	unsigned i;

	if (info->features & LUCID_FEATURE_SPLIT)
		skip("user mode has a space of its own, without the stub's text");
	user_space(jump, BLOB_SIZE(jump), 0);
	for (i = 0; i < 3; i++) {
		regs.rdi = find(text, 0x0f, 0x0b); /* ud2 */
		user_run(&regs);
		check_eq(trapped.vector, LUCID_VEC_UD);
		check_eq(trapped.frame.rip, regs.rdi);
		check_eq(trapped.frame.cs, LUCID_USER_CS);
		regs.rdi = find(text, 0x0f, 0x05); /* syscall */
		user_run(&regs);
		check_eq(trapped.vector, LUCID_VEC_SYSCALL);
		check_eq(trapped.frame.orig, 39);
		check_eq(trapped.frame.rip, regs.rdi + 2);
		/* A stack that is none, at a ret. */
		regs.rdi = find(text, 0x41, 0x5c); /* pop %r12 */
		regs.rsp = 0x10000000;
		user_run(&regs);
		check(trapped.vector == LUCID_VEC_PF || trapped.vector == LUCID_VEC_GP);
		check_eq(trapped.frame.cs, LUCID_USER_CS);
		regs.rsp = 0;
	}
}
