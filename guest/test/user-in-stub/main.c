/* SPDX-License-Identifier: MIT */
/*
 * Purpose: user mode that jumps into the stub's text has its faults and system calls told to the
 * kernel: a program cannot end the VM by it. Where there are protection keys, also not by a kick
 * in between.
 * Expected: success.
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

#define STEP 5u
#define TEXT 0x2a00u

BLOB(jump, "jmp *%rdi");

static unsigned ended[32];

/* Where the stub is entered: by the host, the guest kernel and the zygote. */
static void entries(struct lucid_frame *regs)
{
	const struct stub_header *head = (const struct stub_header *)STUB_TEXT_ADDR;
	const uint64_t *at = (const uint64_t *)head;
	unsigned i;

	check_eq(head->magic, LUCID_MAGIC);
	for (i = offsetof(struct stub_header, zygote) / 8; i < sizeof(*head) / 8; i++) {
		regs->rdi = at[i];
		hc_set_timer(5000000);
		user_run(regs);
		ended[trapped.vector & 31]++;
	}
}

static bool serve(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (vector == LUCID_VEC_EVENT && (frame->cs & 3)) {
		/* It found something to loop in. */
		trapped.vector = vector;
		user_ended();
	}
	return false;
}

void test_main(void)
{
	struct lucid_frame regs = {.rcx = 1, .rdx = 1, .rsi = 1, .rbp = 8, .r8 = 8, .rax = 39};
	unsigned at, i;

	user_space(jump, BLOB_SIZE(jump), 0);
	trap_hook = serve;
	/* Without keys a program can break the stub's memory anyway: its reads and writes work. */
	if (!(info->features & (LUCID_FEATURE_PKU | LUCID_FEATURE_SPLIT)))
		skip("no protection keys: the stub's memory is in the program's reach");
	for (at = 0x60; at < TEXT; at += STEP) {
		regs.rdi = LUCID_STUB_BASE + at;
		hc_set_timer(5000000);
		user_run(&regs);
		ended[trapped.vector & 31]++;
	}
	/* Where the mapping goes on behind the text. */
	for (at = 0x3000; at < STUB_TEXT_SIZE; at += PAGE) {
		regs.rdi = LUCID_STUB_BASE + at + 0x462;
		user_run(&regs);
		ended[trapped.vector & 31]++;
	}
	entries(&regs);
	/* With the registers of a handler's call, and the stack that it would have. */
	regs.rsi = regs.rdx = STUB_SIGSTACK_ADDR + STUB_SIGSTACK_SIZE - 0x800;
	regs.rsp = regs.rdx - 16;
	entries(&regs);
	for (i = 0; i < 32; i++)
		if (ended[i])
			report("vector %u: %u", (uint64_t)i, (uint64_t)ended[i]);
}
