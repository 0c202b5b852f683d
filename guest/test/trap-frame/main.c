/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the frame of a kernel-mode trap: where it lies, which part of the stack it leaves
 * alone, its selectors, and IF as the kernel had it.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define PATTERN 0x5a

static unsigned char stack[4096] __attribute__((aligned(64)));
static unsigned char before[LUCID_TRAP_GAP];

static bool look(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	uint64_t i;

	(void)error;
	(void)vector;
	for (i = 0; i < LUCID_TRAP_GAP; i++)
		before[i] = ((unsigned char *)frame->rsp)[-1 - (long)i];
	return true;
}

static void trap_at(uint64_t rsp)
{
	uint64_t saved;

	__asm__ volatile("mov %%rsp, %0\n\tmov %1, %%rsp\n\tint3\n\tmov %0, %%rsp"
			 : "=&r"(saved)
			 : "r"(rsp)
			 : "memory");
}

static void one(uint64_t rsp, unsigned char vif)
{
	unsigned seen = trapped.count, i;

	for (i = 0; i < sizeof(stack); i++)
		((volatile unsigned char *)stack)[i] = PATTERN;
	vcpu->vif = vif;
	trap_at(rsp);
	check_eq(vcpu->vif, vif); /* the return brings it back */
	vcpu->vif = 0;
	check_trap(__FILE__, __LINE__, "int3", seen, LUCID_VEC_BP, 0);
	check_eq(trapped.frame.rsp, rsp);
	check_eq(trapped.frame.cs, LUCID_KERNEL_CS);
	check_eq(trapped.frame.ss, LUCID_KERNEL_SS);
	check_eq(trapped.frame.orig, ~0ul);
	check_eq(trapped.frame.rflags >> 9 & 1, vif);
	check_eq((trapped.at + LUCID_FRAME_SIZE) % 16, 0);
	check(trapped.at + LUCID_FRAME_SIZE <= rsp - LUCID_TRAP_GAP);
	check(trapped.at + LUCID_FRAME_SIZE > rsp - LUCID_TRAP_GAP - 16);
	for (i = 0; i < LUCID_TRAP_GAP; i++)
		check_eq(before[i], PATTERN);
}

static bool interrupts_off(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	(void)vector;
	check_eq(vcpu->vif, 0);
	check_eq(vcpu->mode, LUCID_MODE_KERNEL);
	return look(frame, error, vector);
}

void test_main(void)
{
	uint64_t top = (uint64_t)stack + sizeof(stack), i;

	trap_hook = interrupts_off;
	for (i = 0; i < 16; i++) {
		one(top - i, 0);
		one(top - i, 1);
	}
}
