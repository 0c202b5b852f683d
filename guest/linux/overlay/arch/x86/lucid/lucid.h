/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the Lucid platform share: the ABI's pages and hypercalls. */
#ifndef _LUCID_H
#define _LUCID_H

#include <abi/lucid.h>
#include <linux/types.h>
#include <linux/linkage.h>

#define lucid_info ((const struct lucid_info *)LUCID_INFO_ADDR)
#define lucid_vcpu ((struct lucid_vcpu *)LUCID_VCPU_ADDR)

#define HYPERCALL(nr, type) ((type)lucid_info->hypercall[nr])

static __always_inline void lucid_set_cr3(u64 cr3)
{
	HYPERCALL(LUCID_HC_SET_CR3, void (*)(u64))(cr3);
}

static __always_inline void lucid_flush(u64 start, u64 end)
{
	HYPERCALL(LUCID_HC_FLUSH, void (*)(u64, u64))(start, end);
}

static __always_inline void lucid_wrprotect(void)
{
	HYPERCALL(LUCID_HC_WRPROTECT, void (*)(void))();
}

static __always_inline void lucid_flush_kernel(u64 start, u64 end)
{
	HYPERCALL(LUCID_HC_FLUSH_KERNEL, void (*)(u64, u64))(start, end);
}

static __always_inline void lucid_map(u64 addr, u64 write)
{
	HYPERCALL(LUCID_HC_PREMAP, void (*)(u64, u64))(addr, write);
}

static __always_inline void lucid_halt(void)
{
	HYPERCALL(LUCID_HC_HALT, void (*)(void))();
}

static __always_inline void lucid_set_timer(u64 ns)
{
	HYPERCALL(LUCID_HC_SET_TIMER, void (*)(u64))(ns);
}

static __always_inline void lucid_notify(u64 device, u64 queue)
{
	HYPERCALL(LUCID_HC_NOTIFY, void (*)(u64, u64))(device, queue);
}

static __always_inline void lucid_protect(u64 start, u64 end, u64 prot)
{
	HYPERCALL(LUCID_HC_PROTECT, void (*)(u64, u64, u64))(start, end, prot);
}

/* The monitor answers one call of a vCPU at a time: interrupts are off meanwhile. */
long lucid_call(u64 nr, u64 a0, u64 a1, u64 a2, u64 a3, u64 a4);

/* entry.S */
asmlinkage void lucid_trap_entry(void);
asmlinkage unsigned long lucid_save_fl(void);
asmlinkage void lucid_irq_disable(void);
asmlinkage void lucid_irq_enable(void);
asmlinkage unsigned long lucid_read_cr2(void);

struct pt_regs;
asmlinkage bool lucid_trap(struct pt_regs *regs, unsigned long error, unsigned long vector);
asmlinkage void lucid_start_kernel(void);

/* patch.c */

/* A system call came by a trap. Any context. */
void lucid_syscall_trapped(struct pt_regs *regs);
/* Another trap from user mode: if it was on the way of a patched call, undoes what that did. */
void lucid_leave_slot(struct pt_regs *regs, unsigned long vector);

void lucid_setup_platform(void);
void lucid_setup_cpu_ops(void);
void lucid_setup_mmu_ops(void);
void lucid_init_irq(void);
void lucid_setup_time(void);
void lucid_time_init(void);
void lucid_timer_event(void);
int lucid_event_irq(unsigned int event);

#endif
