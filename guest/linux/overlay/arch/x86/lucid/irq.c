// SPDX-License-Identifier: GPL-2.0
/* Events as interrupts: one irq for each bit of lucid_vcpu.pending but the timer's. */
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/irq.h>
#include <asm/irq_stack.h>

#include "lucid.h"

#define EVENTS 64
#define FIRST_IRQ 16 /* past what ISA code thinks is its own */

static void chip_nop(struct irq_data *data)
{
}

static struct irq_chip lucid_chip = {
	.name = "lucid",
	.irq_ack = chip_nop,
	.irq_mask = chip_nop,
	.irq_unmask = chip_nop,
};

int lucid_event_irq(unsigned int event)
{
	return event < EVENTS ? FIRST_IRQ + event : 0;
}

void __init lucid_init_irq(void)
{
	int event;

	for (event = LUCID_EVENT_DEVICE(0); event < EVENTS; event++) {
		int irq = irq_alloc_desc_at(lucid_event_irq(event), 0);

		if (irq < 0)
			panic("lucid: no interrupt for event %d: %d", event, irq);
		irq_set_chip_and_handler_name(irq, &lucid_chip, handle_edge_irq, "event");
		/* The monitor raises it where the device was last told of something. */
		irq_set_status_flags(irq, IRQ_NO_BALANCING);
		irq_data_update_effective_affinity(irq_get_irq_data(irq), cpu_possible_mask);
	}
	irq_init_percpu_irqstack(smp_processor_id());
}

long lucid_call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4)
{
	unsigned long flags;
	long ret;

	local_irq_save(flags);
	ret = HYPERCALL(LUCID_HC_MONITOR, long (*)(u64, u64, u64, u64, u64, u64))(nr, a0, a1, a2,
										  a3, a4);
	local_irq_restore(flags);
	return ret;
}
