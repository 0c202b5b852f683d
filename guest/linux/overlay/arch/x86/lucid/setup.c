// SPDX-License-Identifier: GPL-2.0
/* What the platform has and has not: memory, no PC hardware, the ways to end. */
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/panic_notifier.h>
#include <linux/pm.h>
#include <linux/reboot.h>
#include <asm/cpufeature.h>
#include <asm/e820/api.h>
#include <asm/i8259.h>
#include <asm/io_apic.h>
#include <asm/apic.h>
#include <asm/reboot.h>
#include <asm/setup.h>
#include <asm/x86_init.h>

#include "lucid.h"

static char * __init memory_setup(void)
{
	e820__range_add(0, lucid_info->boot_size, E820_TYPE_RAM);
	return "Lucid";
}

static void shutdown(u64 how)
{
	local_irq_disable();
	for (;;)
		lucid_call(LUCID_MC_SHUTDOWN, how, 0, 0, 0, 0);
}

static void machine_off(void)
{
	shutdown(LUCID_SHUTDOWN_POWEROFF);
}

static void machine_again(void)
{
	shutdown(LUCID_SHUTDOWN_REBOOT);
}

static void machine_restart_cmd(char *cmd)
{
	machine_again();
}

static int on_panic(struct notifier_block *block, unsigned long event, void *data)
{
	shutdown(LUCID_SHUTDOWN_PANIC);
	return NOTIFY_DONE;
}

static struct notifier_block panic_block = {
	.notifier_call = on_panic,
	.priority = INT_MIN,
};

/*
 * X86_FEATURE_XENPV stands for "paravirtual MMU and entry": the gates that it
 * opens (no native cli, cr2 and cr3, sp0 on the task stack, inactive GS by MSR)
 * are the ones needed here.
 */
static void __init force_caps(void)
{
	setup_force_cpu_cap(X86_FEATURE_XENPV);
	setup_force_cpu_cap(X86_FEATURE_TSC_KNOWN_FREQ);
	setup_force_cpu_cap(X86_FEATURE_TSC_RELIABLE);
	setup_force_cpu_cap(X86_FEATURE_CONSTANT_TSC);
	setup_force_cpu_cap(X86_FEATURE_NONSTOP_TSC);
	setup_force_cpu_cap(X86_FEATURE_ALWAYS);
}

static void __init intr_mode_none(void)
{
}

void __init lucid_setup_platform(void)
{
	x86_init.oem.arch_setup = force_caps;
	x86_init.resources.memory_setup = memory_setup;
	x86_init.resources.probe_roms = x86_init_noop;
	x86_init.resources.reserve_resources = x86_init_noop;
	x86_init.resources.dmi_setup = x86_init_noop;
	x86_init.mpparse.find_mptable = x86_init_noop;
	x86_init.mpparse.early_parse_smp_cfg = x86_init_noop;
	lucid_setup_smp();
	x86_init.irqs.pre_vector_init = x86_init_noop;
	x86_init.irqs.intr_init = lucid_init_irq;
	x86_init.irqs.intr_mode_select = intr_mode_none;
	x86_init.irqs.intr_mode_init = intr_mode_none;
	x86_init.timers.setup_percpu_clockev = x86_init_noop;
	x86_init.timers.timer_init = lucid_time_init;
	x86_init.timers.wallclock_init = x86_init_noop;
	x86_platform.realmode_reserve = x86_init_noop;
	x86_platform.realmode_init = x86_init_noop;
	x86_platform.legacy.rtc = 0;
	x86_platform.legacy.warm_reset = 0;
	x86_platform.legacy.i8042 = X86_LEGACY_I8042_PLATFORM_ABSENT;
	x86_platform.legacy.no_vga = 1;
	x86_platform.legacy.devices.pnpbios = 0;
	lucid_setup_time();
	legacy_pic = &null_legacy_pic;
	disable_ioapic_support();

	machine_ops.restart = machine_restart_cmd;
	machine_ops.emergency_restart = machine_again;
	machine_ops.halt = machine_off;
	machine_ops.power_off = machine_off;
	atomic_notifier_chain_register(&panic_notifier_list, &panic_block);
}

static int __init register_power_off(void)
{
	pm_power_off = machine_off;
	return 0;
}
early_initcall(register_power_off);
