/* SPDX-License-Identifier: MIT */
/*
 * Purpose: x87, SSE, AVX and AVX-512 registers of kernel mode are as they were after traps, fills,
 * events, every hypercall, and switches of the address space.
 * Expected: success.
 */
#include "guest/test/lib/fpu.h"

#define AT 0x10000000ull

static struct fpu want, got;
static uint64_t cr3[2], page;
static unsigned where;

static void breakpoint(void)
{
	traps(LUCID_VEC_BP, 0, "int3", :);
}

static void page_fault(void)
{
	traps(LUCID_VEC_PF, 0, "mov (%0), %%rax", ::"r"(AT + PAGE) : "rax");
}

static void fill(void)
{
	hc_flush(AT, AT + PAGE);
	poke(AT, 1);
}

static void switch_away(void)
{
	where = (where + 1) % LUCID_ASIDS;
	hc_set_cr3(cr3[where & 1] | where | LUCID_CR3_NOFLUSH);
}

static void retire(void)
{
	unsigned i;

	for (i = 0; i < 80; i++) {
		map_page(cr3[where & 1], AT + (2 + i) * PAGE, page, PTE_USER);
		(void)peek(AT + (2 + i) * PAGE);
	}
	hc_flush(0, ~0ull);
}

static void event(void)
{
	uint64_t before = events_seen[LUCID_EVENT_TIMER];

	irq_enable();
	hc_set_timer(20000);
	while (events_seen[LUCID_EVENT_TIMER] == before)
		;
	irq_disable();
}

static void event_in_tail(void)
{
	irq_disable();
	hc_set_timer(1000);
	check(wait_pending(LUCID_EVENT_TIMER, 1000000000));
	irq_enable();
	irq_disable();
}

static void halt(void)
{
	hc_set_timer(100000);
	hc_halt();
	irq_disable();
}

static void other_calls(void)
{
	hc_premap(AT, 1);
	hc_flush_kernel(0, ~0ull);
	hc_notify(27, 0);
	hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
} list[] = {
	{"breakpoint", breakpoint},
	{"page fault", page_fault},
	{"fill", fill},
	{"switch", switch_away},
	{"retire", retire},
	{"event", event},
	{"event in the tail of a hypercall", event_in_tail},
	{"halt", halt},
	{"other hypercalls", other_calls},
};

void test_main(void)
{
	unsigned i, round;

	page = page_alloc();
	for (i = 0; i < 2; i++) {
		cr3[i] = space_new();
		map_page(cr3[i], AT, page, PTE_USER);
	}
	hc_set_cr3(cr3[0]);
	report("components %x", fpu_mask());
	for (round = 1; round <= 40; round++) {
		for (i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
			fpu_pattern(&want, round * 100 + i);
			fpu_load(&want);
			list[i].run();
			fpu_save(&got);
			fpu_compare(&got, &want, list[i].name);
		}
	}
	report("%u switches, %u retired", vcpu->count_switch, vcpu->count_retire);
	check(vcpu->count_retire > 0);
}
