/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that fills the stub's pages with nonsense and goes on.
 * Expected: the VM lives or ends.
 * Variants: where=0..7
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

static void fill(uint64_t at, uint64_t size, uint64_t value)
{
	uint64_t i;

	for (i = 0; i < size / 8; i++)
		((volatile uint64_t *)at)[i] = value;
}

void test_main(void)
{
	volatile struct stub_shared *shared = (void *)STUB_SHARED_ADDR;
	uint64_t cr3 = space_new();

	hc_set_cr3(cr3 | 1);
	hc_set_cr3(cr3 | 2);
	vcpu->entry = 0;
	switch (cmdline_number("where", 0)) {
	case 0: /* system calls trap from here on: the next is the stub's own */
		fill(STUB_PRIVATE_ADDR, STUB_PRIVATE_SIZE, ~0ull);
		break;
	case 1:
		fill(STUB_PRIVATE_ADDR + 8, STUB_PRIVATE_SIZE - 8, 0x5a5a5a5a5a5a5a5a);
		break;
	case 2:
		fill(STUB_SHARED_ADDR, STUB_SHARED_SIZE, ~0ull);
		break;
	case 3:
		fill(STUB_SHARED_ADDR, STUB_SHARED_SIZE, 0);
		break;
	case 4: /* the waiting ones find this stack and these registers */
		shared->rsp = LUCID_STUB_BASE;
		fill(STUB_SHARED_ADDR + SHARED_XSAVE, STUB_XSAVE_SIZE, ~0ull);
		shared->slot[1].word = SLOT_RUN;
		break;
	case 5: /* two at once */
		shared->slot[1].word = SLOT_HELD;
		shared->slot[2].word = SLOT_ABSENT;
		shared->current = 99;
		break;
	case 6:
		shared->crash.reason = 0x7fffffff;
		shared->start = ~0ul;
		shared->resume = RESUME_START;
		break;
	case 7: /* another ASID's slot for all, and none at all */
		fill((uint64_t)shared->asid_slot, sizeof(shared->asid_slot), 0x0000002300000022);
		break;
	}
	hc_set_cr3(cr3 | 1);
	hc_set_cr3(cr3 | 5);
	(void)peek(0x10000000);
	hc_set_timer(1000);
	hc_halt();
	__asm__ volatile("ud2");
}
