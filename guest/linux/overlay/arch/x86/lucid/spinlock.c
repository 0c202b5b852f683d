// SPDX-License-Identifier: GPL-2.0
/* Spinlocks that sleep: who waits for a CPU that the host does not run gives its own time up. */
#include <linux/hardirq.h>
#include <linux/init.h>
#include <linux/spinlock.h>
#include <asm/paravirt.h>
#include <asm/qspinlock.h>

#include "lucid.h"

/* The kick may have come already: the stub remembers it. */
static void wait_op(u8 *ptr, u8 value)
{
	if (READ_ONCE(*ptr) == value)
		lucid_wait();
}

static void kick_op(int cpu)
{
	lucid_wake(cpu);
}

/* Before alternatives make direct calls of pv_ops. */
void __init lucid_init_spinlocks(void)
{
	static_branch_disable(&virt_spin_lock_key);
	if (num_possible_cpus() == 1)
		return;
	__pv_init_lock_hash();
	pv_ops.lock.queued_spin_lock_slowpath = __pv_queued_spin_lock_slowpath;
	pv_ops.lock.queued_spin_unlock = PV_CALLEE_SAVE(__pv_queued_spin_unlock);
	pv_ops.lock.wait = wait_op;
	pv_ops.lock.kick = kick_op;
}
