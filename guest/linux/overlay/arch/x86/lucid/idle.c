// SPDX-License-Identifier: GPL-2.0
/*
 * Halting, and looking for work before that. To sleep and be woken by another CPU costs two
 * system calls of the host and, if nothing else runs there, an interrupt to a CPU of the host
 * that sleeps, which takes 20 us and more where the host is a guest itself. Who looks for work
 * is woken by a store.
 *
 * How long is learnt: as long as other CPUs have woken this one soon after it slept, up to
 * lucid_poll= microseconds (0: never). What devices and timers wake is no reason, since the
 * monitor may need this very CPU of the host. Nobody looks whose CPU others want.
 */
#include <linux/cpumask.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/kernel.h>
#include <linux/percpu.h>
#include <linux/sched/idle.h>
#include <asm/hardirq.h>
#include <asm/irqflags.h>
#include <asm/tsc.h>

#include "lucid.h"

#define POLL_MIN_US 10
/* Between two looks at the clock so much has never passed but on another's account. */
#define PREEMPTED_US 30
/* Nobody looks for work then for so long; as often what was stolen is looked at. */
#define CROWDED_US 10000
/* A crowd has stolen this part of the time. */
#define CROWDED_PART 16

struct idle_poll {
	u64 us; /* how long to look for work the next time */
	u64 crowded_until; /* TSC values from here on */
	u64 looked; /* when stolen was read */
	u64 stolen; /* ns */
};

static DEFINE_PER_CPU(struct idle_poll, idle_poll);
static unsigned int poll_max_us __ro_after_init = 100;

static int __init set_poll_max(char *text)
{
	return kstrtouint(text, 0, &poll_max_us);
}
early_param("lucid_poll", set_poll_max);

static __always_inline u64 us_to_tsc(u64 us)
{
	return us * tsc_khz / 1000;
}

/* How often other CPUs have interrupted this one. */
static __always_inline unsigned int called(void)
{
	return this_cpu_read(irq_stat.irq_resched_count) + this_cpu_read(irq_stat.irq_call_count);
}

static bool crowded(struct idle_poll *p, u64 now)
{
	u64 since = now - p->looked, stolen;

	if (since > us_to_tsc(CROWDED_US)) {
		stolen = lucid_vcpu->steal - p->stolen;
		if (us_to_tsc(stolen / 1000) > since / CROWDED_PART)
			p->crowded_until = now + us_to_tsc(CROWDED_US);
		p->stolen += stolen;
		p->looked = now;
	}
	return now < p->crowded_until;
}

/*
 * Says that this CPU sleeps, so that nobody sends it a signal, and looks for what would wake
 * it. It has not followed flushes of kernel addresses meanwhile, as one that sleeps.
 */
static bool look_for_work(struct idle_poll *p, u64 begin)
{
	u64 now = begin, last, end = begin + us_to_tsc(p->us);
	bool found;

	xchg(&lucid_vcpu->halted, 1);
	for (;;) {
		found = need_resched() || READ_ONCE(lucid_vcpu->pending);
		if (found || now >= end || !READ_ONCE(lucid_vcpu->halted))
			break;
		cpu_relax();
		last = now;
		now = rdtsc();
		if (now - last > us_to_tsc(PREEMPTED_US)) {
			p->crowded_until = now + us_to_tsc(CROWDED_US);
			break;
		}
	}
	xchg(&lucid_vcpu->halted, 0);
	lucid_flush_kernel(0, 0);
	return found;
}

/* Whether it was worth it: had it looked for work for as long as it slept, would it have come? */
static void learn(struct idle_poll *p, bool by_other, u64 slept)
{
	if (by_other && slept < us_to_tsc(poll_max_us))
		p->us = clamp(p->us * 2, POLL_MIN_US, poll_max_us);
	else
		p->us = p->us / 2 < POLL_MIN_US ? 0 : p->us / 2;
}

void lucid_idle(void)
{
	struct idle_poll *p = this_cpu_ptr(&idle_poll);
	unsigned int calls = called();
	u64 begin;

	if (!poll_max_us || num_online_cpus() == 1) {
		lucid_halt();
		return;
	}
	begin = rdtsc();
	if (p->us && !crowded(p, begin)) {
		/* Who wakes a task for this CPU leaves it at a flag from here on. */
		if (current_set_polling_and_test() || look_for_work(p, begin)) {
			current_clr_polling();
			raw_local_irq_enable();
			return;
		}
		if (current_clr_polling_and_test()) {
			raw_local_irq_enable();
			return;
		}
	}
	lucid_halt();
	learn(p, called() != calls, rdtsc() - begin);
}
