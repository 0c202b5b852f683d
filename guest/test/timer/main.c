/* SPDX-License-Identifier: MIT */
/*
 * Purpose: the timer: when it fires, that it fires once, disarming and rearming, and figures at
 * both ends of what it takes.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define MS 1000000ull

static uint64_t seen(void)
{
	return events_seen[LUCID_EVENT_TIMER];
}

static void wait_one(uint64_t before)
{
	uint64_t end = now_ns() + 2000 * MS;

	while (seen() == before)
		if (now_ns() > end)
			failure("the timer did not fire");
}

static void never_early(uint64_t delta)
{
	uint64_t before = seen(), start = now_ns(), late;

	hc_set_timer(delta);
	wait_one(before);
	late = now_ns() - start;
	/* The host's clock and the TSC differ by what the calibration is off. */
	if (late + delta / 1000 + 10000 < delta)
		failure("armed for %u ns, fired after %u", delta, late);
}

void test_main(void)
{
	static const uint64_t far[] = {1ull << 40, 1ull << 62, 1ull << 63, ~0ull};
	uint64_t before, i;

	irq_enable();
	never_early(1);
	never_early(50000);
	never_early(MS);
	never_early(20 * MS);
	/* Once. */
	before = seen();
	spin_ns(20 * MS);
	check_eq(seen(), before);
	/* Disarmed, and put off. */
	hc_set_timer(5 * MS);
	hc_set_timer(0);
	hc_set_timer(0);
	spin_ns(15 * MS);
	check_eq(seen(), before);
	hc_set_timer(5 * MS);
	hc_set_timer(10000 * MS);
	spin_ns(15 * MS);
	check_eq(seen(), before);
	for (i = 0; i < 4; i++) {
		hc_set_timer(far[i]);
		spin_ns(3 * MS);
		check_eq(seen(), before);
	}
	/* Brought forward. */
	never_early(2 * MS);
}
