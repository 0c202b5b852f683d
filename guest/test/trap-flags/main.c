/* SPDX-License-Identifier: MIT */
/*
 * Purpose: flags that user mode sets are not the kernel's: TF, DF, NT and AC are clear at the
 * kernel's entry, for system calls, exceptions, faults and events, and user mode has them back
 * after each, and after a fill that the kernel never sees.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define DF 0x400ul
#define NT 0x4000ul
#define AC 0x40000ul
#define TF 0x100ul
#define FRESH 0x10000000ull
#define ABSENT 0x10001000ull

/* Runs in the loop until the kernel sets rbx. */
BLOB(rounds, "syscall\nint3\nmov (%rdi), %rax\nmov (%rsi), %rax\n"
	     "1: test %rbx, %rbx\njz 1b\nud2");

static uint64_t want, cr3;
static unsigned times;

static bool look(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	static const unsigned long odd[2] = {1, 2};
	uint64_t bad = trap_flags & (DF | NT | AC | TF);

	(void)error;
	if (!(frame->cs & 3))
		return false;
	if (bad)
		failure("vector %u: the kernel began with flags %x", vector, bad);
	if ((frame->rflags & (DF | NT | AC)) != want)
		failure("vector %u: user mode had flags %x, not %x", vector, frame->rflags, want);
	/* What AC would fault on. */
	check_eq(*(volatile unsigned long *)((char *)odd + 4), 2ul << 32);
	times++;
	if (vector == LUCID_VEC_PF)
		map_page(cr3, ABSENT, page_alloc(), PTE_USER);
	if (vector == LUCID_VEC_EVENT)
		frame->rbx = 1;
	return vector != LUCID_VEC_UD;
}

static void one(uint64_t flags)
{
	const struct lucid_frame regs = {.rdi = FRESH, .rsi = ABSENT, .rflags = flags};

	want = flags;
	times = 0;
	cr3 = user_space(rounds, BLOB_SIZE(rounds), 0);
	map_page(cr3, FRESH, page_alloc(), PTE_USER);
	hc_set_timer(2000000);
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check_eq(times, 5);
}

void test_main(void)
{
	trap_hook = look;
	one(0);
	report("DF");
	one(DF);
	report("AC");
	one(AC);
	report("NT");
	one(NT);
	one(DF | NT | AC);
}
