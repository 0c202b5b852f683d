/* SPDX-License-Identifier: MIT */
/*
 * Purpose: x87, SSE, AVX and AVX-512 registers of user mode are as they were after system calls,
 * exceptions, fills and events, and when the kernel was elsewhere meanwhile.
 * Expected: success.
 */
#include "guest/test/lib/fpu.h"

#define WANT 0x10000000ull
#define GOT 0x10001000ull
#define FRESH 0x10002000ull

/* rbx turns non-zero by the event's handler. */
#define PROGRAM(name, what)                                                                        \
	BLOB(name, "mov %r12d, %eax\nxor %edx, %edx\nxrstor64 (%rdi)\n" what                       \
		   "\nmov %r12d, %eax\nxor %edx, %edx\nxsave64 (%rsi)\nud2")

PROGRAM(call, "syscall");
PROGRAM(breakpoint, "int3");
PROGRAM(fill, "mov (%r13), %rax");
PROGRAM(event, "1: test %rbx, %rbx\njz 1b");

static uint64_t cr3, other;
static unsigned away;

static bool serve(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (!(frame->cs & 3))
		return false;
	if (vector == LUCID_VEC_EVENT)
		frame->rbx = 1;
	if (vector == LUCID_VEC_UD)
		return false;
	if (vector == LUCID_VEC_PF) {
		map_page(cr3, FRESH, page_alloc(), PTE_USER);
		hc_premap(FRESH, 1);
	}
	/* The state is in the registers: it follows the vCPU from space to space. */
	if (away) {
		hc_set_cr3(other | 3);
		hc_set_cr3(cr3 | LUCID_CR3_NOFLUSH);
	}
	return true;
}

static void one(const char *name, const char *code, size_t size, uint64_t seed)
{
	const struct lucid_frame regs = {.rdi = WANT, .rsi = GOT, .r12 = fpu_mask(), .r13 = FRESH};
	struct fpu *want = direct(page_alloc()), *got = direct(page_alloc());

	map_page(cr3, WANT, (uint64_t)want - LUCID_DIRECT_BASE, PTE_USER);
	map_page(cr3, GOT, (uint64_t)got - LUCID_DIRECT_BASE, PTE_USER);
	map_page(cr3, FRESH, page_alloc(), seed & 2 ? PTE_USER : 0);
	hc_flush(WANT, FRESH + PAGE);
	fpu_pattern(want, seed);
	user_code(code, size);
	hc_set_timer(100000);
	user_run(&regs);
	hc_set_timer(0);
	check_eq(trapped.vector, LUCID_VEC_UD);
	fpu_compare(got, want, name);
}

void test_main(void)
{
	unsigned round;

	cr3 = user_space(call, BLOB_SIZE(call), 0);
	other = space_new();
	trap_hook = serve;
	for (round = 1; round <= 100; round++) {
		away = round & 4;
		one("system call", call, BLOB_SIZE(call), round);
		one("breakpoint", breakpoint, BLOB_SIZE(breakpoint), round);
		one("fill", fill, BLOB_SIZE(fill), round);
		one("event", event, BLOB_SIZE(event), round);
	}
}
