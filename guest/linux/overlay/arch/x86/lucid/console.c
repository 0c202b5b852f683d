// SPDX-License-Identifier: GPL-2.0
/* /dev/hvc0 and the kernel's messages: written into a ring that the monitor reads. */
#include <linux/console.h>
#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/spinlock.h>

#include "../../../drivers/tty/hvc/hvc_console.h"
#include "lucid.h"

#define ring ((struct lucid_console *)LUCID_CONSOLE_ADDR)
#define VTERM 0

/* The kernel's messages and the tty come from different CPUs. */
static DEFINE_RAW_SPINLOCK(ring_lock);

static void write_ring(const u8 *buf, size_t count)
{
	size_t done = 0;

	while (done < count) {
		u64 at = ring->produced;
		size_t room = LUCID_CONSOLE_DATA;
		size_t chunk;

		if (READ_ONCE(ring->listening)) {
			room -= at - READ_ONCE(ring->consumed);
			if (!room) {
				lucid_call(LUCID_MC_CONSOLE, 0, 0, 0, 0, 0);
				continue;
			}
		}
		chunk = min3(count - done, room,
			     (size_t)(LUCID_CONSOLE_DATA - at % LUCID_CONSOLE_DATA));
		memcpy(&ring->data[at % LUCID_CONSOLE_DATA], buf + done, chunk);
		smp_store_release(&ring->produced, at + chunk);
		done += chunk;
	}
	if (READ_ONCE(ring->listening))
		lucid_call(LUCID_MC_CONSOLE, 0, 0, 0, 0, 0);
}

static ssize_t put_chars(u32 vterm, const u8 *buf, size_t count)
{
	unsigned long flags;
	bool locked = true;

	local_irq_save(flags);
	/* Whoever has it may have been stopped for good. */
	if (oops_in_progress)
		locked = raw_spin_trylock(&ring_lock);
	else
		raw_spin_lock(&ring_lock);
	write_ring(buf, count);
	if (locked)
		raw_spin_unlock(&ring_lock);
	local_irq_restore(flags);
	return count;
}

static ssize_t get_chars(u32 vterm, u8 *buf, size_t count)
{
	return 0;
}

/*
 * Input never comes.  hvc believes that an interrupt would tell it, or else its thread
 * would look for input for ever, ever more slowly but often enough to spoil an idle guest.
 */
static int notifier_add(struct hvc_struct *hp, int irq)
{
	hp->irq_requested = 1;
	return 0;
}

static void notifier_del(struct hvc_struct *hp, int irq)
{
	hp->irq_requested = 0;
}

static const struct hv_ops ops = {
	.put_chars = put_chars,
	.get_chars = get_chars,
	.notifier_add = notifier_add,
	.notifier_del = notifier_del,
	.notifier_hangup = notifier_del,
};

static int __init lucid_console_start(void)
{
	hvc_instantiate(VTERM, 0, &ops);
	return 0;
}
console_initcall(lucid_console_start);

static int __init lucid_console_tty(void)
{
	return PTR_ERR_OR_ZERO(hvc_alloc(VTERM, 0, &ops, 256));
}
device_initcall(lucid_console_tty);
