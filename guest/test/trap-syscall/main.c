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
	volatile struct lucid_frame *f = &trapped.frame;
	uint64_t calls;

	user_space(call, BLOB_SIZE(call), 0);
	calls = vcpu->count_syscall;
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_SYSCALL);
	check_eq(trapped.error, 0);
	check_eq(f->orig, regs.rax);
	check_eq(f->rax, regs.rax);
	check_eq(f->rip, USER_CODE + 2);
	check_eq(f->rcx, USER_CODE + 2);
	check_eq(f->rflags & 0xfff, FLAGS | 0x202);
	check_eq(f->r11 & 0xfff, FLAGS | 0x202);
	check_eq(f->rsp, regs.rsp);
	check_eq(f->cs, LUCID_USER_CS);
	check_eq(f->ss, LUCID_USER_SS);
	check_eq(f->r15, regs.r15);
	check_eq(f->r14, regs.r14);
	check_eq(f->r13, regs.r13);
	check_eq(f->r12, regs.r12);
	check_eq(f->rbp, regs.rbp);
	check_eq(f->rbx, regs.rbx);
	check_eq(f->r10, regs.r10);
	check_eq(f->r9, regs.r9);
	check_eq(f->r8, regs.r8);
	check_eq(f->rdx, regs.rdx);
	check_eq(f->rsi, regs.rsi);
	check_eq(f->rdi, regs.rdi);
	check_eq(trapped.at, vcpu->kernel_sp - LUCID_FRAME_SIZE);
	check_eq(vcpu->mode, LUCID_MODE_KERNEL);
	check_eq(vcpu->vif, 0);
	check_eq(vcpu->count_syscall, calls + 1);
	gs();
}
