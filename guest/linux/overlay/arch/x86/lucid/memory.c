// SPDX-License-Identifier: GPL-2.0
/*
 * Tells the monitor when memory becomes scarce, so that a machine that can grow gets more (by
 * virtio-mem) before it runs out. A machine that has all it will ever have does none of this.
 */
#include <linux/delay.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/oom.h>
#include <linux/workqueue.h>

#include "lucid.h"

#define PERIOD_CALM (HZ / 10)
#define PERIOD_CLOSE (HZ / 50)
/* A host that is busy may need seconds for what takes milliseconds otherwise. */
#define OOM_WAIT_MS 10000

/* How many bytes more are on their way. */
static long tell(bool urgent)
{
	return lucid_call(LUCID_MC_MEMORY, (u64)si_mem_available() << PAGE_SHIFT,
			  (u64)totalram_pages() << PAGE_SHIFT, urgent, 0, 0);
}

static void look(struct work_struct *work)
{
	unsigned long total = totalram_pages();
	long available = si_mem_available();
	bool close = available < (long)(total / 2);

	if (available < (long)(total / 4))
		tell(false);
	/* Deferrable: an idle CPU does not run out of memory. */
	queue_delayed_work(system_wq, to_delayed_work(work), close ? PERIOD_CLOSE : PERIOD_CALM);
}

static DECLARE_DEFERRABLE_WORK(look_work, look);

/* Something allocates faster than the above looks: it waits here until there is more. */
static int on_oom(struct notifier_block *block, unsigned long unused, void *freed)
{
	unsigned long before = totalram_pages();
	int ms;

	if (tell(true) <= 0)
		return NOTIFY_OK;
	for (ms = 0; ms < OOM_WAIT_MS && totalram_pages() <= before; ms += 5)
		msleep(5);
	if (totalram_pages() > before)
		*(unsigned long *)freed += totalram_pages() - before;
	return NOTIFY_OK;
}

static struct notifier_block oom_block = {
	.notifier_call = on_oom,
};

static int __init start(void)
{
	if (lucid_info->boot_size >= lucid_info->ram_size)
		return 0;
	register_oom_notifier(&oom_block);
	queue_delayed_work(system_wq, &look_work, PERIOD_CALM);
	return 0;
}
late_initcall(start);
