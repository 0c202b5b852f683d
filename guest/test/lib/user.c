/* SPDX-License-Identifier: MIT */
/* Programs in user mode. */
#include "guest/test/lib/test.h"

static void **volatile user_resume; /* where user_run() goes on */
static volatile uint64_t user_text;

void user_code(const void *code, size_t size)
{
	volatile char *to = direct(user_text);
	size_t i;

	if (size > PAGE)
		failure("user code is longer than a page");
	for (i = 0; i < size; i++)
		to[i] = ((const char *)code)[i];
}

void user_map(uint64_t cr3)
{
	user_text = page_alloc();
	map_page(cr3, USER_CODE, user_text, PTE_P | PTE_U);
	map_page(cr3, USER_STACK - PAGE, page_alloc(), PTE_P | PTE_U | PTE_W | PTE_NX);
}

uint64_t user_space(const void *code, size_t size, unsigned asid)
{
	uint64_t cr3 = space_new();

	user_map(cr3);
	user_code(code, size);
	hc_set_cr3(cr3 | asid);
	return cr3;
}

void user_ended(void)
{
	if (!user_resume)
		failure("trap from user mode, and nobody is in it");
	__builtin_longjmp(user_resume, 1);
}

struct lucid_frame *user_frame(const struct lucid_frame *regs)
{
	/* Nobody's stack lies below it. */
	struct lucid_frame *frame = (struct lucid_frame *)vcpu->kernel_sp - 1;

	*frame = *regs;
	frame->cs = LUCID_USER_CS;
	frame->ss = LUCID_USER_SS;
	frame->rflags |= 0x202;
	if (!frame->rip)
		frame->rip = USER_CODE;
	if (!frame->rsp)
		frame->rsp = USER_STACK - 64;
	return frame;
}

void user_run(const struct lucid_frame *regs)
{
	const struct lucid_frame *frame = user_frame(regs);
	void *volatile buffer[5];

	if (__builtin_setjmp((void **)buffer)) {
		user_resume = NULL;
		return;
	}
	user_resume = (void **)buffer;
	irq_disable();
	test_return(frame);
}

void user_try(const void *code, size_t size)
{
	const struct lucid_frame regs = {0};

	user_code(code, size);
	user_run(&regs);
}

void user_check_call(const struct lucid_frame *is, const struct lucid_frame *was)
{
	check_eq(is->r15, was->r15);
	check_eq(is->r14, was->r14);
	check_eq(is->r13, was->r13);
	check_eq(is->r12, was->r12);
	check_eq(is->rbp, was->rbp);
	check_eq(is->rbx, was->rbx);
	check_eq(is->r10, was->r10);
	check_eq(is->r9, was->r9);
	check_eq(is->r8, was->r8);
	check_eq(is->rdx, was->rdx);
	check_eq(is->rsi, was->rsi);
	check_eq(is->rdi, was->rdi);
	check_eq(is->rsp, was->rsp);
	check_eq(is->cs, LUCID_USER_CS);
	check_eq(is->ss, LUCID_USER_SS);
}
