// SPDX-License-Identifier: GPL-2.0
/* CPUs beside the first: how they start, end and call each other. No APIC is involved. */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/delay.h>
#include <linux/hardirq.h>
#include <linux/sched/hotplug.h>
#include <linux/sched/task_stack.h>
#include <linux/smp.h>
#include <asm/apic.h>
#include <asm/cacheinfo.h>
#include <asm/cpu.h>
#include <asm/desc.h>
#include <asm/fpu/api.h>
#include <asm/fsgsbase.h>
#include <asm/hw_irq.h>
#include <asm/mmu_context.h>
#include <asm/paravirt.h>
#include <asm/smp.h>
#include <asm/spec-ctrl.h>
#include <asm/tlbflush.h>
#include <asm/x86_init.h>

#include "lucid.h"

/* How long others get to stop before a reboot or a panic goes on without them. */
#define STOP_TIMEOUT_MS 100

/* All CPUs are cores of one package and share its last cache, as far as anybody knows. */
static void set_topology(int cpu)
{
	cpu_data(cpu).topo.llc_id = 0;
}

static void __init register_cpus(void)
{
	unsigned int cpu;

	topology_register_boot_apic(0);
	for (cpu = 0; cpu < lucid_info->vcpus; cpu++)
		topology_register_apic(cpu, CPU_ACPIID_INVALID, true);
	smp_found_config = 1;
}

static void __init prepare_boot_cpu(void)
{
	native_smp_prepare_boot_cpu();
	lucid_init_spinlocks();
}

static void __init prepare_cpus(unsigned int max_cpus)
{
	set_topology(0);
	smp_prepare_cpus_common();
	speculative_store_bypass_ht_init();
}

/* On its own stack with its own GS base, and init_mm; see start_secondary(). */
static void bring_up(void)
{
	unsigned int cpu;

	cr4_init();
	cpuhp_ap_sync_alive();
	cpu_init();
	fpu__init_cpu();
	cpu = smp_processor_id();
	rcutree_report_cpu_starting(cpu);
	smp_store_cpu_info(cpu);
	set_topology(cpu);
	set_cpu_sibling_map(cpu);
	notify_cpu_starting(cpu);
	speculative_store_bypass_ht_init();
	lock_vector_lock();
	set_cpu_online(cpu, true);
	lapic_online();
	unlock_vector_lock();
	lucid_start_timer();
	local_irq_enable();
}

/* Called from entry.S with interrupts off, and nothing set but the stack. */
asmlinkage __visible noinstr __no_stack_protector void lucid_start_cpu(void)
{
	unsigned int cpu = lucid_vcpu->id;

	lucid_vcpu->kernel_gs = cpu_kernelmode_gs_base(cpu);
	wrgsbase(lucid_vcpu->kernel_gs);
	lucid_vcpu->entry = (unsigned long)lucid_trap_entry;
	lucid_vcpu->kernel_sp = (unsigned long)current_top_of_stack();
	lucid_set_cr3(__pa_symbol(init_top_pgt));
	instrumentation_begin();
	bring_up();
	cpu_startup_entry(CPUHP_AP_ONLINE_IDLE);
	instrumentation_end();
}

static int kick_ap(unsigned int cpu, struct task_struct *idle)
{
	long err = common_cpu_up(cpu, idle);

	if (err)
		return err;
	per_cpu(pcpu_hot.top_of_stack, cpu) = (unsigned long)task_top_of_stack(idle);
	/* One that went offline has said so a moment before it is. */
	while ((err = lucid_call(LUCID_MC_VCPU_START, cpu, (u64)lucid_secondary_start,
				 (u64)task_pt_regs(idle), 0, 0)) == LUCID_E_BUSY)
		cpu_relax();
	return err;
}

/* ---- Between CPUs ------------------------------------------------------------- */

static void send_reschedule(int cpu)
{
	lucid_send(cpu, IPI_RESCHEDULE);
}

static void send_call_single(int cpu)
{
	lucid_send(cpu, IPI_CALL);
}

static void send_call(const struct cpumask *mask)
{
	unsigned int cpu;

	for_each_cpu(cpu, mask)
		lucid_send(cpu, IPI_CALL);
}

static void go_offline(void)
{
	for (;;)
		lucid_offline();
}

static void stop_others(int wait)
{
	unsigned int cpu, self = smp_processor_id();
	unsigned int left = STOP_TIMEOUT_MS * 10;

	for_each_online_cpu(cpu)
		if (cpu != self)
			lucid_send(cpu, IPI_STOP);
	while (num_online_cpus() > 1 && (wait || left--))
		udelay(100);
}

void lucid_ipi_event(enum lucid_ipi ipi)
{
	switch (ipi) {
	case IPI_RESCHEDULE:
		inc_irq_stat(irq_resched_count);
		scheduler_ipi();
		break;
	case IPI_CALL:
		inc_irq_stat(irq_call_count);
		generic_smp_call_function_interrupt();
		break;
	case IPI_FLUSH:
		inc_irq_stat(irq_tlb_count);
		lucid_flush_asked();
		break;
	case IPI_STOP:
		set_cpu_online(smp_processor_id(), false);
		go_offline();
		break;
	default:
		break;
	}
}

/* ---- Offline and online again --------------------------------------------------- */

static int disable_cpu(void)
{
	/* The first CPU takes the interrupts of devices that others have left. */
	if (smp_processor_id() == 0)
		return -EBUSY;
	cpu_disable_common();
	return 0;
}

static void play_dead_op(void)
{
	play_dead_common();
	go_offline();
}

static const struct smp_ops lucid_smp_ops __initconst = {
	.smp_prepare_boot_cpu = prepare_boot_cpu,
	.smp_prepare_cpus = prepare_cpus,
	.smp_cpus_done = native_smp_cpus_done,
	.kick_ap_alive = kick_ap,
	.cpu_disable = disable_cpu,
	.play_dead = play_dead_op,
	.stop_other_cpus = stop_others,
	.crash_stop_other_cpus = NULL,
	.smp_send_reschedule = send_reschedule,
	.send_call_func_ipi = send_call,
	.send_call_func_single_ipi = send_call_single,
};

void __init lucid_setup_smp(void)
{
	smp_ops = lucid_smp_ops;
	x86_init.mpparse.parse_smp_cfg = register_cpus;
	x86_cpuinit.parallel_bringup = false;
}
