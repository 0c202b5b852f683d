// SPDX-License-Identifier: GPL-2.0
/*
 * TLB flushes on other CPUs. Those that sleep are left alone: they follow before they run
 * anything. Those that run get an interrupt, and are waited for; but not if it turns out
 * that they are in user mode and that the host does not run them, since they will then
 * take the interrupt before all else.
 */
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/smp.h>
#include <asm/lucid.h>
#include <asm/tlbflush.h>
#include <asm/tsc.h>

#include "lucid.h"

/* An interrupt takes a running CPU less; one that takes longer may not run at all. */
#define PATIENCE_US 30

struct shootdown {
	const struct flush_tlb_info *info;
	struct cpumask asked; /* who has not begun */
	struct cpumask waiting; /* who has not ended */
};

static DEFINE_PER_CPU_SHARED_ALIGNED(struct shootdown, shootdowns);
/* Somebody did not wait: all of the loaded mm is to be flushed, if it is behind. */
static DEFINE_PER_CPU(bool, behind);
static smp_call_func_t flush_func __read_mostly;

static bool in_user_mode(unsigned int cpu)
{
	return READ_ONCE(lucid_vcpu_of(cpu)->mode) == LUCID_MODE_USER;
}

/*
 * Sends, and waits until done(cpu) for each CPU of the mask. leave(cpu) is called for one
 * that is about to take an interrupt out of user mode, and tells whether it need not be
 * waited for.
 */
static void send_and_wait(struct cpumask *mask, bool (*done)(unsigned int cpu, u64 arg),
			  bool (*leave)(unsigned int cpu), u64 arg)
{
	u64 patience = (u64)tsc_khz * PATIENCE_US / 1000, since;
	unsigned int cpu;

	for_each_cpu(cpu, mask)
		lucid_send(cpu, IPI_FLUSH);
	since = rdtsc();
	for (;;) {
		for_each_cpu(cpu, mask)
			if (done(cpu, arg))
				__cpumask_clear_cpu(cpu, mask);
		if (cpumask_empty(mask))
			return;
		cpu_relax();
		/* Two that wait for each other with interrupts off. */
		if (irqs_disabled())
			lucid_flush_kernel(0, 0);
		if (rdtsc() - since < patience)
			continue;
		if (lucid_sync(cpumask_bits(mask)[0]) == 0)
			for_each_cpu(cpu, mask)
				if (in_user_mode(cpu) && leave(cpu))
					__cpumask_clear_cpu(cpu, mask);
		patience *= 2;
		since = rdtsc();
	}
}

/* ---- User addresses ------------------------------------------------------------ */

static bool user_done(unsigned int cpu, u64 arg)
{
	return !cpumask_test_cpu(cpu, &this_cpu_ptr(&shootdowns)->waiting);
}

/* The note comes first: who finds that it is not asked any more finds the note. */
static bool user_leave(unsigned int cpu)
{
	struct shootdown *s = this_cpu_ptr(&shootdowns);

	WRITE_ONCE(per_cpu(behind, cpu), true);
	if (!cpumask_test_and_clear_cpu(cpu, &s->asked))
		return false;
	cpumask_clear_cpu(cpu, &s->waiting);
	return true;
}

void lucid_flush_tlb_multi(const struct cpumask *mask, const struct flush_tlb_info *info,
			   smp_call_func_t func, bool (*wanted)(int cpu, void *info))
{
	struct shootdown *s = this_cpu_ptr(&shootdowns);
	unsigned int cpu, self = smp_processor_id();
	struct cpumask left;

	if (!flush_func)
		WRITE_ONCE(flush_func, func);
	cpumask_clear(&left);
	for_each_cpu(cpu, mask)
		if (cpu != self && cpu_online(cpu) && wanted(cpu, (void *)info))
			__cpumask_set_cpu(cpu, &left);
	s->info = info;
	cpumask_copy(&s->waiting, &left);
	smp_wmb();
	cpumask_copy(&s->asked, &left);
	if (cpumask_test_cpu(self, mask)) {
		unsigned long flags;

		local_irq_save(flags);
		func((void *)info);
		local_irq_restore(flags);
	}
	if (!cpumask_empty(&left))
		send_and_wait(&left, user_done, user_leave, 0);
}

static void flush_behind(void)
{
	struct mm_struct *mm = this_cpu_read(cpu_tlbstate.loaded_mm);
	struct flush_tlb_info info = {
		.mm = mm,
		.end = TLB_FLUSH_ALL,
		.new_tlb_gen = TLB_GENERATION_INVALID,
		.initiating_cpu = nr_cpu_ids,
	};

	WRITE_ONCE(*this_cpu_ptr(&behind), false);
	smp_mb();
	flush_func(&info);
}

/* ---- Kernel addresses ------------------------------------------------------------ */

static bool kernel_done(unsigned int cpu, u64 gen)
{
	return smp_load_acquire(&lucid_vcpu_of(cpu)->kernel_gen) >= gen ||
	       READ_ONCE(lucid_vcpu_of(cpu)->halted) ||
	       READ_ONCE(lucid_vcpu_of(cpu)->state) == LUCID_STATE_OFFLINE;
}

/* The stub looks for flushes at each trap out of user mode. */
static bool kernel_leave(unsigned int cpu)
{
	return true;
}

void lucid_flush_kernel_all(unsigned long start, unsigned long end)
{
	struct cpumask left;
	unsigned int cpu;
	u64 gen;

	preempt_disable();
	gen = lucid_flush_kernel(start, end);
	cpumask_clear(&left);
	for_each_online_cpu(cpu)
		if (cpu != smp_processor_id() && !kernel_done(cpu, gen))
			__cpumask_set_cpu(cpu, &left);
	if (!cpumask_empty(&left))
		send_and_wait(&left, kernel_done, kernel_leave, gen);
	preempt_enable();
}

/* ---- The other side ---------------------------------------------------------------- */

void lucid_flush_asked(void)
{
	unsigned int cpu, self = smp_processor_id();

	lucid_flush_kernel(0, 0);
	for_each_online_cpu(cpu) {
		struct shootdown *s = per_cpu_ptr(&shootdowns, cpu);

		if (!cpumask_test_cpu(self, &s->asked) ||
		    !cpumask_test_and_clear_cpu(self, &s->asked))
			continue;
		flush_func((void *)s->info);
		smp_mb__before_atomic();
		cpumask_clear_cpu(self, &s->waiting);
	}
	if (this_cpu_read(behind))
		flush_behind();
}
