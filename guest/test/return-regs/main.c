/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the return hypercall loads every register from its frame, to user and to kernel mode,
 * and leaves the frame as it was.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define FLAGS 0x8d5ul

BLOB(stop, "ud2");

static uint64_t state = RANDOM_SEED;

static uint64_t random(void)
{
	return random_next(&state);
}

static void fill(struct lucid_frame *f)
{
	uint64_t *word = (uint64_t *)f;
	unsigned i;

	for (i = 0; i < LUCID_FRAME_ORIG / 8; i++)
		word[i] = random();
	f->rflags = (random() & FLAGS) | 0x202;
}

static void compare(const struct lucid_frame *is, const struct lucid_frame *should)
{
	const uint64_t *a = (const uint64_t *)is, *b = (const uint64_t *)should;
	unsigned i;

	for (i = 0; i < LUCID_FRAME_ORIG / 8; i++)
		if (a[i] != b[i])
			failure("register %u of the frame is %x, not %x", (uint64_t)i, a[i], b[i]);
	check_eq(is->rip, should->rip);
	check_eq(is->rsp, should->rsp);
	check_eq(is->rflags & 0xfff, should->rflags & 0xfff);
}

static void to_user(void)
{
	struct lucid_frame f = {.rsp = USER_STACK - 3, .rip = USER_CODE};

	fill(&f);
	user_run(&f);
	check_eq(trapped.vector, LUCID_VEC_UD);
	compare((const struct lucid_frame *)&trapped.frame, &f);
}

static unsigned char stack[4096];
static struct lucid_frame frame, copy;

__attribute__((noinline)) static void go(void)
{
	__asm__ volatile(
		"push %%rbx\n\tpush %%rbp\n\tmov %%rsp, saved_sp(%%rip)\n\t"
		"mov %0, %%rdi\n\tjmp test_return\n"
		".globl landing, landed\nlanding:\tud2\n"
		"landed:\tmov saved_sp(%%rip), %%rsp\n\tpop %%rbp\n\tpop %%rbx" ::"i"(&frame)
		: "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14",
		"r15", "cc", "memory");
}

extern char landing[], landed[];
__attribute__((used)) uint64_t saved_sp;

static void to_kernel(bool interrupts)
{
	fill(&frame);
	frame.rip = (uint64_t)landing;
	frame.rsp = (uint64_t)stack + sizeof(stack) - 8;
	frame.cs = LUCID_KERNEL_CS;
	frame.ss = LUCID_KERNEL_SS;
	if (!interrupts)
		frame.rflags &= ~0x200ul;
	copy = frame;
	trap_resume = (uint64_t)landed;
	go();
	check_eq(trapped.vector, LUCID_VEC_UD);
	compare((const struct lucid_frame *)&trapped.frame, &copy);
	compare(&frame, &copy);
	irq_disable();
}

void test_main(void)
{
	unsigned i;

	user_space(stop, BLOB_SIZE(stop), 0);
	for (i = 0; i < 200; i++) {
		to_user();
		to_kernel(i & 1);
	}
}
