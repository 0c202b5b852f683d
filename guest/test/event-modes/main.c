/* SPDX-License-Identifier: MIT */
/*
 * Purpose: events interrupt user mode, and kernel mode with interrupts on; with interrupts off they
 * wait, through traps and hypercalls, until they are enabled.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define MS 1000000ull

BLOB(spin, "1: test %rbx, %rbx\njz 1b\nud2");

static uint64_t from_cs, from_rip;
static unsigned events;

static bool look(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	if (vector != LUCID_VEC_EVENT)
		return false;
	events++;
	from_cs = frame->cs;
	from_rip = frame->rip;
	check_eq(error, 0);
	check_eq(vcpu->vif, 0);
	check_eq(frame->orig, ~0ul);
	check(frame->rflags & 0x200);
	frame->rbx = frame->cs & 3 ? 1 : frame->rbx;
	return true;
}

static void in_user_mode(void)
{
	const struct lucid_frame regs = {0};
	uint64_t before = vcpu->count_event;

	events = 0;
	user_space(spin, BLOB_SIZE(spin), 0);
	hc_set_timer(30 * MS); /* user mode is there by then, on a slow host too */
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	check_eq(events, 1);
	check_eq(from_cs, LUCID_USER_CS);
	check(from_rip == USER_CODE || from_rip == USER_CODE + 3);
	check(vcpu->count_event > before);
}

static void in_kernel_mode(void)
{
	events = 0;
	irq_enable();
	hc_set_timer(3 * MS);
	spin_ns(10 * MS);
	check_eq(events, 1);
	check_eq(from_cs, LUCID_KERNEL_CS);
	check_eq(vcpu->vif, 1);
	irq_disable();
}

static void kept_off(void)
{
	events = 0;
	hc_set_timer(1 * MS);
	check(wait_pending(LUCID_EVENT_TIMER, 2000 * MS));
	/* None of these lets it in. */
	traps(LUCID_VEC_UD, 0, "ud2", :);
	hc_events();
	hc_flush(0, ~0ull);
	hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0);
	spin_ns(1 * MS);
	check_eq(events, 0);
	check_eq(vcpu->pending, 1ul << LUCID_EVENT_TIMER);
	irq_enable();
	check_eq(events, 1);
	check_eq(vcpu->pending, 0);
	check_eq(vcpu->vif, 1);
	irq_disable();
}

/* vif set by hand, without a look at what is pending: the next hypercall's tail delivers. */
static void by_the_tail(void)
{
	events = 0;
	hc_set_timer(1 * MS);
	check(wait_pending(LUCID_EVENT_TIMER, 2000 * MS));
	vcpu->vif = 1;
	hc_flush(0, ~0ull);
	check_eq(events, 1);
	irq_disable();
}

void test_main(void)
{
	trap_hook = look;
	in_user_mode();
	in_kernel_mode();
	kept_off();
	by_the_tail();
}
