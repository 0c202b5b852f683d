/* SPDX-License-Identifier: MIT */
/*
 * Purpose: what the kernel has flushed is gone from a program's own space before the program goes
 * on, also if it pretends to have trapped, and has the way out of the kernel single-stepped by a
 * flag that it took along.
 * Expected: success.
 * Options: --isolation split
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

#define AT 0x10000000ull
#define FRAME 0x20000000ull
#define FORGED (STUB_TWIN_STACK_ADDR + 0x4000)
#define SIGSYS 31ull
#define TF 0x100ull
#define ARCH_X86_64 0xc000003eul
/* Of registers in a ucontext. */
#define GREG(n) ((40 + 8 * (n)) / 8)
#define GREG_RDI 8
#define GREG_RSP 15
#define GREG_RIP 16
#define INFO (0x200 / 8)

/* Fills AT, and puts the frame where signals have theirs. */
BLOB(prepare, "mov (%rbx), %rax\nrep movsb\nint3");
BLOB(reader, "mov (%rdi), %rax\nud2");

static uint64_t cr3, page[2];
static volatile unsigned round, calls, faults;

static uint64_t yield(void)
{
	const unsigned char *at = (const unsigned char *)STUB_TWIN_TEXT_ADDR;

	while (at[0] != 0x0f || at[1] != 0x05)
		at++;
	return (uint64_t)at;
}

static bool serve(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)frame;
	(void)error;
	if (vector == LUCID_VEC_SYSCALL) {
		calls++;
		map_page(cr3, AT, page[(round + 1) & 1], PTE_USER);
		hc_flush(AT, AT + PAGE);
		return true;
	}
	if (vector == LUCID_VEC_GP || vector == LUCID_VEC_DB) {
		faults++;
		return true;
	}
	return false;
}

static void forge(volatile uint64_t *word)
{
	word[GREG(GREG_RIP)] = USER_CODE;
	word[GREG(GREG_RSP)] = USER_STACK - 64;
	word[GREG(GREG_RDI)] = AT;
	word[INFO] = SIGSYS;
	word[INFO + 1] = 2; /* SYS_USER_DISPATCH */
	word[INFO + 3] = ARCH_X86_64 << 32;
}

static void one(uint64_t flags)
{
	const struct lucid_frame first = {.rbx = AT, .rsi = FRAME, .rdi = FORGED, .rcx = PAGE};
	const struct lucid_frame second = {.rip = yield(),
		.rax = 110, /* getppid, by which it yields */
		.rdi = SIGSYS,
		.rsi = FORGED + INFO * 8,
		.rdx = FORGED,
		.rflags = flags};

	map_page(cr3, AT, page[round & 1], PTE_USER);
	hc_flush(AT, AT + PAGE);
	user_code(prepare, BLOB_SIZE(prepare));
	user_run(&first);
	check_eq(trapped.vector, LUCID_VEC_BP);
	check_eq(trapped.frame.rax, round & 1);
	user_code(reader, BLOB_SIZE(reader));
	calls = faults = 0;
	user_run(&second);
	check_eq(calls, 1);
	check_eq(faults, flags ? 1 : 0);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check_eq(trapped.frame.rax, (round + 1) & 1);
	round++;
}

void test_main(void)
{
	uint64_t frame = page_alloc();
	unsigned i;

	check(info->features & LUCID_FEATURE_SPLIT);
	for (i = 0; i < 2; i++) {
		page[i] = page_alloc();
		*(volatile uint64_t *)direct(page[i]) = i;
	}
	cr3 = user_space(prepare, BLOB_SIZE(prepare), 0);
	map_page(cr3, FRAME, frame, PTE_USER);
	forge(direct(frame));
	trap_hook = serve;
	for (i = 0; i < 100; i++)
		one(i & 1 ? TF : 0);
}
