/* SPDX-License-Identifier: MIT */
/*
 * Purpose: single step: a debug trap with DR6.BS behind each instruction, in user mode (over
 * fills and system calls as well) and in kernel mode.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define TF 0x100ul
#define BS 0x4000ul
#define FRESH 0x10000000ull

BLOB(steps, "nop\nnop\nmov (%rdi), %rax\nnop\nsyscall\nnop\nud2");
static const unsigned char at[] = {1, 2, 5, 6, 9};

static uint64_t rips[16];
static unsigned taken, calls, limit;

static bool step(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (vector == LUCID_VEC_SYSCALL) {
		calls++;
		return true;
	}
	if (vector != LUCID_VEC_DB)
		return false;
	check(vcpu->dr6 & BS);
	check(taken < 16);
	rips[taken++] = frame->rip;
	if (taken == limit)
		frame->rflags &= ~TF;
	return true;
}

static void user_steps(void)
{
	const struct lucid_frame regs = {.rdi = FRESH, .rflags = TF};
	uint64_t cr3 = user_space(steps, BLOB_SIZE(steps), 0);
	unsigned i;

	map_page(cr3, FRESH, page_alloc(), PTE_USER);
	limit = 0;
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check(trapped.frame.rflags & TF);
	check_eq(calls, 1);
	check_eq(taken, sizeof(at));
	for (i = 0; i < sizeof(at); i++)
		check_eq(rips[i], USER_CODE + at[i]);
}

static void kernel_steps(void)
{
	uint64_t start;

	taken = 0;
	limit = 3;
	__asm__ volatile(
		"pushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tlea (%%rip), %0\n\tnop\n\tnop\n\t"
		"nop\n\tnop"
		: "=r"(start)::"cc", "memory");
	check_eq(taken, 3);
	check_eq(rips[0], start);
	check_eq(rips[1], start + 1);
	check_eq(rips[2], start + 2);
}

void test_main(void)
{
	trap_hook = step;
	user_steps();
	kernel_steps();
}
