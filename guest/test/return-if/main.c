/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a return to kernel mode sets the interrupt flag as its frame says: with IF a pending
 * event is taken at once, on that frame; without, it stays pending. User mode always takes it.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

BLOB(stop, "ud2");

static uint64_t event_cs;
static unsigned events;

static bool look(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	(void)error;
	if (vector == LUCID_VEC_EVENT) {
		events++;
		event_cs = frame->cs;
		check_eq(vcpu->vif, 0);
		check(frame->rflags & 0x200);
		return true;
	}
	return false;
}

/* An int3 whose handler returns with this IF. */
static uint64_t want_if;
static bool set_if(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	if (vector == LUCID_VEC_BP) {
		frame->rflags = (frame->rflags & ~0x200ul) | want_if;
		return true;
	}
	return look(frame, error, vector);
}

static void make_pending(void)
{
	irq_disable();
	events = 0;
	hc_set_timer(1000);
	check(wait_pending(LUCID_EVENT_TIMER, 1000000000));
	check_eq(events, 0);
}

void test_main(void)
{
	const struct lucid_frame regs = {0};

	trap_hook = set_if;
	make_pending();
	want_if = 0x200;
	__asm__ volatile("int3");
	check_eq(events, 1);
	check_eq(event_cs, LUCID_KERNEL_CS);
	check_eq(vcpu->vif, 1);

	make_pending();
	want_if = 0;
	__asm__ volatile("int3");
	check_eq(events, 0);
	check_eq(vcpu->vif, 0);
	irq_enable();
	check_eq(events, 1);

	user_space(stop, BLOB_SIZE(stop), 0);
	make_pending();
	user_run(&regs);
	check_eq(events, 1);
	check_eq(event_cs, LUCID_USER_CS);
	check_eq(trapped.vector, LUCID_VEC_UD);
}
