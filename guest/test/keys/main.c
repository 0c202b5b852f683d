/* SPDX-License-Identifier: MIT */
/*
 * Purpose: with protection keys user mode reaches no kernel memory: not the windows, the vCPU page,
 * the stub's pages, nor supervisor pages that the kernel has in use; of the space's own page it may
 * read, and not write.
 * Expected: success.
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

BLOB(read, "mov (%rdi), %rax\nud2");
BLOB(write, "lock orb $0, (%rdi)\nud2");

static void refused(uint64_t va)
{
	const struct lucid_frame regs = {.rdi = va};

	user_code(read, BLOB_SIZE(read));
	user_run(&regs);
	if (trapped.vector != LUCID_VEC_PF || trapped.error != (PF_U | PF_P) || trapped.cr2 != va)
		failure("read of %x: vector %u error %x cr2 %x", va, trapped.vector, trapped.error,
			trapped.cr2);
	user_code(write, BLOB_SIZE(write));
	user_run(&regs);
	if (trapped.vector != LUCID_VEC_PF || !(trapped.error & PF_P) || trapped.cr2 != va)
		failure("write to %x: vector %u error %x", va, trapped.vector, trapped.error);
}

void test_main(void)
{
	struct lucid_frame regs = {.rdi = LUCID_USER_ADDR};
	uint64_t cr3, kernel = LUCID_KERNEL_BASE + 0x5000, supervisor = 0x10000000;

	if (!(info->features & LUCID_FEATURE_PKU))
		skip("this CPU has no protection keys");
	cr3 = user_space(read, BLOB_SIZE(read), 0);
	map_page(cr3, kernel, page_alloc(), PTE_P | PTE_W);
	map_page(cr3, supervisor, page_alloc(), PTE_P | PTE_W);
	poke(kernel, 1);
	poke(supervisor, 1);
	refused((uint64_t)&test_main & ~7ull);
	refused(LUCID_DIRECT_BASE);
	refused(LUCID_DIRECT_BASE + info->ram_size - 8);
	refused(LUCID_VCPU_ADDR);
	refused(LUCID_INFO_ADDR);
	refused(LUCID_CONSOLE_ADDR);
	refused(STUB_SHARED_ADDR);
	refused(STUB_STACK_ADDR);
	refused(STUB_SIGSTACK_ADDR - 8);
	/* The signal stack only from Linux 6.12 on: space/zygote.c. */
	refused(kernel);
	refused(supervisor);
	user_code(read, BLOB_SIZE(read));
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check_eq(trapped.frame.rax & 0xff, 1);
	user_code(write, BLOB_SIZE(write));
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_PF);
	check(trapped.error & PF_W);
}
