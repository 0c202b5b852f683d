// SPDX-License-Identifier: GPL-2.0
/* Clock and timer: the host's TSC, read directly, and a one-shot timer by hypercall. */
#include <linux/clockchips.h>
#include <linux/init.h>
#include <linux/interrupt.h>
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

static struct clock_event_device lucid_clockevent = {
	.name = "lucid",
	.features = CLOCK_EVT_FEAT_ONESHOT,
	.rating = 400,
	.set_next_event = set_next_event,
	.set_state_shutdown = set_shutdown,
	.set_state_oneshot_stopped = set_shutdown,
};

void lucid_timer_event(void)
{
	inc_irq_stat(apic_timer_irqs);
	if (lucid_clockevent.event_handler)
		lucid_clockevent.event_handler(&lucid_clockevent);
}

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
	lucid_clockevent.cpumask = cpumask_of(smp_processor_id());
	/* Nanoseconds, so that mult is 1; 2 us is what a timer takes anyway. */
	clockevents_config_and_register(&lucid_clockevent, NSEC_PER_SEC, 2000, LONG_MAX >> 8);
}
