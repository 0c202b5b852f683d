// SPDX-License-Identifier: GPL-2.0
/* Clock and timer: the host's TSC, read directly, and a one-shot timer by hypercall. */
#include <linux/clockchips.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/sched/cputime.h>
#include <linux/static_call.h>
#include <asm/paravirt.h>
#include <asm/tsc.h>
#include <asm/x86_init.h>

#include "lucid.h"

static int set_next_event(unsigned long delta, struct clock_event_device *dev)
{
	lucid_set_timer(delta);
	return 0;
}

static int set_shutdown(struct clock_event_device *dev)
{
	lucid_set_timer(0);
	return 0;
}

static DEFINE_PER_CPU(struct clock_event_device, clockevents) = {
	.name = "lucid",
	.features = CLOCK_EVT_FEAT_ONESHOT,
	.rating = 400,
	.set_next_event = set_next_event,
	.set_state_shutdown = set_shutdown,
	.set_state_oneshot_stopped = set_shutdown,
};

void lucid_timer_event(void)
{
	struct clock_event_device *dev = this_cpu_ptr(&clockevents);

	inc_irq_stat(apic_timer_irqs);
	lucid_update_steal();
	if (dev->event_handler)
		dev->event_handler(dev);
}

void lucid_start_timer(void)
{
	struct clock_event_device *dev = this_cpu_ptr(&clockevents);

	dev->cpumask = cpumask_of(smp_processor_id());
	/* Nanoseconds, so that mult is 1; 2 us is what a timer takes anyway. */
	clockevents_config_and_register(dev, NSEC_PER_SEC, 2000, LONG_MAX >> 8);
}

/* What the host gave to others; each CPU brings its own up to date at its ticks. */
static u64 steal_clock(int cpu)
{
	return READ_ONCE(lucid_vcpu_of(cpu)->steal);
}

static int __init start_steal_clock(void)
{
	static_call_update(pv_steal_clock, steal_clock);
	static_key_slow_inc(&paravirt_steal_enabled);
	static_key_slow_inc(&paravirt_steal_rq_enabled);
	return 0;
}
arch_initcall(start_steal_clock);

static unsigned long tsc_khz_op(void)
{
	return lucid_info->tsc_khz;
}

static void get_wallclock(struct timespec64 *now)
{
	*now = ns_to_timespec64(lucid_call(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0));
}

static int set_wallclock(const struct timespec64 *now)
{
	return -ENODEV;
}

/* Before tsc_early_init() asks. */
void __init lucid_setup_time(void)
{
	x86_platform.calibrate_tsc = tsc_khz_op;
	x86_platform.calibrate_cpu = tsc_khz_op;
	x86_platform.get_wallclock = get_wallclock;
	x86_platform.set_wallclock = set_wallclock;
}

void __init lucid_time_init(void)
{
	lucid_start_timer();
}
