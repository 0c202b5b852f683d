/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a system call from user mode brings all registers, its number and nothing else.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define FLAGS 0x8d5 /* OF, SF, ZF, AF, PF, CF */

BLOB(call, "syscall");
BLOB(set_gs, "rdgsbase %rax\nwrgsbase %rbx\nsyscall");

/* GS is user mode's own, and the kernel has its own meanwhile. */
static void gs(void)
{
	const struct lucid_frame regs = {.rbx = 0x7654321000};

	vcpu->user_gs = 0x1234000;
	vcpu->kernel_gs = 0x5678000;
	user_code(set_gs, BLOB_SIZE(set_gs));
	user_run(&regs);
	check_eq(trapped.frame.rax, 0x1234000);
	check_eq(vcpu->user_gs, regs.rbx);
	check_eq(__builtin_ia32_rdgsbase64(), 0x5678000);
}

void test_main(void)
{
	const struct lucid_frame regs = {
		.r15 = 15,
		.r14 = 14,
		.r13 = 13,
		.r12 = 12,
		.rbp = 0xb9,
		.rbx = 0xb8,
		.r11 = 11,
		.r10 = 10,
		.r9 = 9,
		.r8 = 8,
		.rax = 0x12345678,
		.rcx = 0xc,
		.rdx = 0xd,
		.rsi = 0x8000000000000001,
		.rdi = ~0ul,
		.rsp = USER_STACK - 8,
		.rflags = FLAGS,
	};
	struct lucid_frame f;
	uint64_t calls;

	user_space(call, BLOB_SIZE(call), 0);
	calls = vcpu->count_syscall;
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_SYSCALL);
	check_eq(trapped.error, 0);
	f = *(struct lucid_frame *)&trapped.frame;
	check_eq(f.orig, regs.rax);
	check_eq(f.rax, regs.rax);
	check_eq(f.rip, USER_CODE + 2);
	check_eq(f.rcx, USER_CODE + 2);
	check_eq(f.rflags & 0xfff, FLAGS | 0x202);
	check_eq(f.r11 & 0xfff, FLAGS | 0x202);
	user_check_call(&f, &regs);
	check_eq(trapped.at, vcpu->kernel_sp - LUCID_FRAME_SIZE);
	check_eq(vcpu->mode, LUCID_MODE_KERNEL);
	check_eq(vcpu->vif, 0);
	check_eq(vcpu->count_syscall, calls + 1);
	gs();
}
