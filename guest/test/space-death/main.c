/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a space that the host kills while user mode runs costs that program a #GP and nobody
 * else anything; the space is made again.
 * Expected: success.
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

#define AT 0x10000000ull
#define GETPID 39

/* Turns Syscall User Dispatch off, and makes a call that no space may: killed by the host. */
BLOB(by_selector, "movabs $0x700000200000, %rdx\nmovb $0, (%rdx)\nmov $39, %eax\nsyscall\nud2");
/*
 * With protection keys the selector is not to be written, but user mode can make it unreadable: the
 * host ends a process whose selector it cannot read.
 */
BLOB(by_key, "mov $-1, %eax\nxor %ecx, %ecx\nxor %edx, %edx\nwrpkru\nmov $39, %eax\nsyscall\nud2");
/* In a space of its own user mode can make calls from the twin's text, of which few may be. */
BLOB(by_twin, "mov $39, %eax\njmp *%rdi");
BLOB(sane, "mov (%rdi), %rax\nud2");

static uint64_t a, b;

static void others(void)
{
	const struct lucid_frame regs = {.rdi = AT};

	check_eq(peek(AT), 1);
	hc_set_cr3(b | 1 | LUCID_CR3_NOFLUSH);
	check_eq(peek(AT), 2);
	hc_set_cr3(a | LUCID_CR3_NOFLUSH);
	check_eq(peek(AT), 1);
	user_code(sane, BLOB_SIZE(sane));
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check_eq(trapped.frame.rax, 1);
}

/* A syscall instruction that user mode's own space has. */
static uint64_t twin_syscall(void)
{
	const unsigned char *at = (const unsigned char *)STUB_TWIN_TEXT_ADDR;

	while (at[0] != 0x0f || at[1] != 0x05)
		at++;
	return (uint64_t)at;
}

static void map(uint64_t cr3, uint64_t value)
{
	uint64_t page = page_alloc();

	*(volatile uint64_t *)direct(page) = value;
	map_page(cr3, AT, page, PTE_USER);
}

void test_main(void)
{
	bool keys = info->features & LUCID_FEATURE_PKU,
	     split = info->features & LUCID_FEATURE_SPLIT;
	const struct lucid_frame regs = {.rbx = 0x1234, .rdi = twin_syscall()};
	unsigned i;

	b = space_new();
	map(b, 2);
	a = user_space(sane, BLOB_SIZE(sane), 0);
	map(a, 1);
	for (i = 0; i < 10; i++) {
		others();
		if (split)
			user_code(by_twin, BLOB_SIZE(by_twin));
		else if (keys)
			user_code(by_key, BLOB_SIZE(by_key));
		else
			user_code(by_selector, BLOB_SIZE(by_selector));
		user_run(&regs);
		check_eq(trapped.vector, LUCID_VEC_GP);
		check_eq(trapped.error, 0);
		check_eq(trapped.frame.cs, LUCID_USER_CS);
		/* As it last returned to user mode: the registers since are lost. */
		check_eq(trapped.frame.rbx, 0x1234);
		check_eq(vcpu->mode, LUCID_MODE_KERNEL);
		check_eq(vcpu->vif, 0);
		/* Interrupts go on. */
		hc_set_timer(1000000);
		hc_halt();
		irq_disable();
	}
	check(events_seen[LUCID_EVENT_TIMER] >= 10);
}
