/* SPDX-License-Identifier: GPL-2.0 */
/* What the files of the Lucid platform share: the ABI's pages and hypercalls. */
#ifndef _LUCID_H
#define _LUCID_H

#include <abi/lucid.h>
#include <linux/build_bug.h>
#include <linux/types.h>
#include <linux/linkage.h>

/* The page of any vCPU; Linux numbers CPUs as the ABI does vCPUs. */
static __always_inline struct lucid_vcpu *lucid_vcpu_of(unsigned int cpu)
{
	return (struct lucid_vcpu *)(LUCID_VCPUS_ADDR + cpu * LUCID_VCPU_SIZE);
}

#define lucid_info ((const struct lucid_info *)LUCID_INFO_ADDR)
#define lucid_vcpu ((struct lucid_vcpu *)LUCID_VCPU_ADDR)

/* What CPUs send each other: LUCID_EVENT_IPI numbers. */
enum lucid_ipi {
	IPI_RESCHEDULE,
	IPI_CALL,
	IPI_FLUSH,
	IPI_STOP,
	IPIS,
};
static_assert(IPIS <= LUCID_IPIS);

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

/* The number of the flush; 0, 0: what other CPUs have flushed. */
static __always_inline u64 lucid_flush_kernel(u64 start, u64 end)
{
	return HYPERCALL(LUCID_HC_FLUSH_KERNEL, u64 (*)(u64, u64))(start, end);
}

static __always_inline u64 lucid_map(u64 addr, u64 write)
{
	return HYPERCALL(LUCID_HC_PREMAP, u64 (*)(u64, u64))(addr, write);
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

static __always_inline void lucid_send(unsigned int cpu, enum lucid_ipi ipi)
{
	HYPERCALL(LUCID_HC_SEND, void (*)(u64, u64))(cpu, 1UL << LUCID_EVENT_IPI(ipi));
}

static __always_inline void lucid_wait(void)
{
	HYPERCALL(LUCID_HC_WAIT, void (*)(void))();
}

static __always_inline void lucid_wake(unsigned int cpu)
{
	HYPERCALL(LUCID_HC_WAKE, void (*)(u64))(cpu);
}

static __always_inline long lucid_sync(u64 cpus)
{
	return HYPERCALL(LUCID_HC_SYNC, long (*)(u64))(cpus);
}

static __always_inline void lucid_offline(void)
{
	HYPERCALL(LUCID_HC_OFFLINE, void (*)(void))();
}

static __always_inline void lucid_update_steal(void)
{
	HYPERCALL(LUCID_HC_STEAL, u64 (*)(void))();
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
asmlinkage void lucid_start_cpu(void);
asmlinkage void lucid_secondary_start(void); /* in entry.S, calls the one before */

/* patch.c */

/* A system call came by a trap. Any context. */
void lucid_syscall_trapped(struct pt_regs *regs);
/* Another trap from user mode: if it was on the way of a patched call, undoes what that did. */
void lucid_leave_slot(struct pt_regs *regs, unsigned long vector);

/* check.c; after the image has been sealed */
void lucid_check(void);

void lucid_setup_platform(void);
void lucid_setup_cpu_ops(void);
void lucid_setup_mmu_ops(void);
void lucid_init_irq(void);
void lucid_setup_time(void);
void lucid_time_init(void);
void lucid_start_timer(void); /* of this CPU */
void lucid_timer_event(void);
void lucid_setup_smp(void);
void lucid_init_spinlocks(void);
/* Sleeps until there is an event, with interrupts on at the end; pv_ops.irq.safe_halt. */
void lucid_idle(void);
void lucid_ipi_event(enum lucid_ipi ipi);
/* What others have asked this CPU to flush. */
void lucid_flush_asked(void);
int lucid_event_irq(unsigned int event);

#endif
