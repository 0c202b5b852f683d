/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that sets its timer to a flood by itself, and rings the doorbell for nothing,
 * keeps nobody but itself busy: the monitor still answers.
 * Expected: success.
 */
#include "guest/test/lib/host.h"

void test_main(void)
{
	static const uint64_t every_ns[4] = {0, 1, 0, 1}, none[4];
	static const uint64_t huge = ~0ull - 1, one = 1;
	unsigned i;

	irq_enable();
	check_eq(host_call(__NR_timerfd_settime, 5, 0, (uint64_t)every_ns, 0, 0, 0), 0);
	for (i = 0; i < 2000; i++) {
		host_call(__NR_write, 4, (uint64_t)&one, 8, 0, 0, 0);
		vcpu->notify[i % LUCID_DEVICES] = ~0ul;
		if (i % 10 == 0)
			check(hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0) > 0);
	}
	host_call(__NR_write, 4, (uint64_t)&huge, 8, 0, 0, 0);
	check_eq(host_call(__NR_timerfd_settime, 5, 0, (uint64_t)none, 0, 0, 0), 0);
	check(hc_monitor(LUCID_MC_WALLCLOCK, 0, 0, 0, 0, 0) > 0);
	report("%u timer events", events_seen[LUCID_EVENT_TIMER]);
}
