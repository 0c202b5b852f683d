// SPDX-License-Identifier: GPL-2.0
/* From the stub's vectors to the kernel's own C handlers. */
#include <linux/bug.h>
#include <linux/entry-common.h>
#include <linux/irq.h>
#include <asm/debugreg.h>
#include <asm/idtentry.h>
#include <asm/irq_stack.h>
#include <asm/traps.h>

#include "lucid.h"

/* Interrupts: each bit of pending is one event. */
static void handle_events(struct pt_regs *regs)
{
	struct pt_regs *old = set_irq_regs(regs);
	unsigned long events = xchg(&lucid_vcpu->pending, 0);

	/* Before anything that they might do with what is stale. */
	if (events & BIT(LUCID_EVENT_IPI(IPI_FLUSH)))
		lucid_ipi_event(IPI_FLUSH);
	events &= ~BIT(LUCID_EVENT_IPI(IPI_FLUSH));
	while (events) {
		unsigned int event = __ffs(events);

		events &= events - 1;
		if (event == LUCID_EVENT_TIMER)
			lucid_timer_event();
		else if (event - LUCID_EVENT_IPI(0) < IPIS)
			lucid_ipi_event(event - LUCID_EVENT_IPI(0));
		else if (lucid_event_irq(event))
			generic_handle_irq(lucid_event_irq(event));
	}
	set_irq_regs(old);
}

static noinstr void event_trap(struct pt_regs *regs)
{
	irqentry_state_t state = irqentry_enter(regs);

	instrumentation_begin();
	run_sysvec_on_irqstack_cond(handle_events, regs);
	instrumentation_end();
	irqentry_exit(regs, state);
}

static noinstr void exception(struct pt_regs *regs, unsigned long error, unsigned long vector)
{
	switch (vector) {
	case LUCID_VEC_EVENT:
		event_trap(regs);
		return;
	case LUCID_VEC_PF:
		exc_page_fault(regs, error);
		return;
	case LUCID_VEC_GP:
		exc_general_protection(regs, error);
		return;
	case LUCID_VEC_SS:
		exc_stack_segment(regs, error);
		return;
	case LUCID_VEC_AC:
		exc_alignment_check(regs, error);
		return;
	case LUCID_VEC_DB:
		if (user_mode(regs))
			noist_exc_debug(regs);
		else
			exc_debug(regs);
		return;
	case LUCID_VEC_BP:
		exc_int3(regs);
		return;
	case LUCID_VEC_OF:
		exc_overflow(regs);
		return;
	case LUCID_VEC_DE:
		exc_divide_error(regs);
		return;
	case LUCID_VEC_UD:
		exc_invalid_op(regs);
		return;
	case LUCID_VEC_MF:
		exc_coprocessor_error(regs);
		return;
	case LUCID_VEC_XM:
		exc_simd_coprocessor_error(regs);
		return;
	}
	BUG();
}

/* May the return do without iretq? Of the rest of RFLAGS a program may have anything. */
static __always_inline bool sysret_does(const struct pt_regs *regs)
{
	return regs->cx == regs->ip && regs->r11 == regs->flags && user_mode(regs) &&
	       regs->ip < TASK_SIZE_MAX && !(regs->flags & (X86_EFLAGS_RF | X86_EFLAGS_TF));
}

/*
 * Called from entry.S with interrupts off; regs is the stack's top. True for the short
 * way back, of a system call.
 */
asmlinkage __visible noinstr bool lucid_trap(struct pt_regs *regs, unsigned long error,
					     unsigned long vector)
{
	if (vector == LUCID_VEC_SYSCALL) {
		if (!error)
			lucid_syscall_trapped(regs);
		regs->ax = -ENOSYS;
		do_syscall_64(regs, regs->orig_ax);
		return sysret_does(regs);
	}
	if (user_mode(regs))
		lucid_leave_slot(regs, vector);
	exception(regs, error, vector);
	return false;
}
