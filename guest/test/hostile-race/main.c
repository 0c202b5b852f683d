/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a second vCPU changes all that the machine shares with the monitor, the vCPU pages, the
 * stub's pages, the console ring and the memory of a queue, while the first one makes the monitor
 * read it.
 * Expected: the VM lives or ends.
 * Options: --cpus 2
 * Variants: what=0..5
 */
#include "guest/test/lib/test.h"
#include "abi/space.h"

static uint64_t ring;
static unsigned what;

static void wreck(void)
{
	static const struct {
		uint64_t at, size;
	} page[] = {
		{LUCID_VCPUS_ADDR, LUCID_VCPU_SIZE}, /* the first one's */
		{LUCID_VCPUS_ADDR, 2 * LUCID_VCPU_SIZE},
		{STUB_SHARED_ADDR, STUB_SHARED_SIZE},
		{STUB_MACHINE_ADDR, STUB_MACHINE_SIZE},
		{LUCID_CONSOLE_ADDR, LUCID_CONSOLE_SIZE},
	};
	uint64_t at = what < 5 ? page[what].at : ring, size = what < 5 ? page[what].size : 3 * PAGE;
	uint64_t x = RANDOM_SEED;

	for (;;) {
		random_next(&x);
		((volatile uint64_t *)at)[(x >> 40) % (size / 8)] = x & 64 ? x : x & 7;
	}
}

/* Its queues all lie on the same three pages, which the other one writes. */
static void drive(uint64_t device, uint64_t base)
{
	uint64_t features, queue;

	hc_monitor(LUCID_MC_DEV_SET_STATUS, device, 0, 0, 0, 0);
	hc_monitor(LUCID_MC_DEV_SET_STATUS, device, 3, 0, 0, 0);
	features = (uint64_t)hc_monitor(LUCID_MC_DEV_FEATURES, device, 0, 0, 0, 0);
	hc_monitor(LUCID_MC_DEV_ACCEPT, device, features, 0, 0, 0);
	hc_monitor(LUCID_MC_DEV_SET_STATUS, device, 11, 0, 0, 0);
	for (queue = 0; queue < 4; queue++)
		hc_monitor(LUCID_MC_DEV_QUEUE_SETUP, device, queue | 16 << 16, base, base + PAGE,
			base + 2 * PAGE);
	hc_monitor(LUCID_MC_DEV_SET_STATUS, device, 15, 0, 0, 0);
	for (queue = 0; queue < 4; queue++)
		hc_notify(device, queue);
}

void test_main(void)
{
	const uint64_t base = pages_alloc(3);
	unsigned i;

	ring = base + LUCID_DIRECT_BASE;
	what = (unsigned)cmdline_number("what", 0);
	cpu_start(1, wreck);
	for (i = 0; i < 400; i++) {
		drive(i % 8, base);
		hc_monitor(LUCID_MC_CONSOLE, 0, 0, 0, 0, 0);
		hc_set_timer(1000);
	}
	report("lives on");
}
