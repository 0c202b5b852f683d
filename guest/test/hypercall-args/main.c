/* SPDX-License-Identifier: MIT */
/*
 * Purpose: hypercalls with arguments that make no sense are errors or nothing at all.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define AT 0x10000000ull

static const uint64_t odd[] = {0, 1, 0xfff, 0x1000, LUCID_USER_BASE, LUCID_IMAGE_BASE,
	LUCID_IMAGE_BASE + 0x1000000, LUCID_INFO_ADDR, LUCID_VCPU_ADDR, LUCID_WINDOW_END,
	LUCID_USER_END, LUCID_DIRECT_BASE, LUCID_DIRECT_END, LUCID_KERNEL_BASE, LUCID_KERNEL_END,
	LUCID_STUB_BASE, LUCID_USER_ADDR, LUCID_STUB_END, 0x800000000000, 1ull << 63, ~0ull};
#define ODD (sizeof(odd) / sizeof(odd[0]))

static uint64_t cr3;

/* Whatever was flushed or premapped: all is still where it was. */
static void alive(void)
{
	uint64_t seen = trapped.count;

	check_eq(peek(AT), 0x1234);
	check_eq(info->magic, LUCID_MAGIC);
	check_eq(vcpu->cr3, cr3);
	check_eq(trapped.count, seen);
}

static void flushes(void)
{
	unsigned i, j;

	for (i = 0; i < ODD; i++) {
		for (j = 0; j < ODD; j++) {
			hc_flush(odd[i], odd[j]);
			hc_flush_kernel(odd[i], odd[j]);
			alive();
		}
	}
}

static void premaps(void)
{
	unsigned i;

	for (i = 0; i < ODD; i++) {
		hc_premap(odd[i], 0);
		hc_premap(odd[i], 1);
		hc_premap(odd[i], ~0ull);
		alive();
	}
}

static void notifies(void)
{
	unsigned i, j;

	for (i = 0; i < ODD; i++)
		for (j = 0; j < ODD; j++)
			hc_notify(odd[i], odd[j]);
	for (i = 0; i <= LUCID_DEVICES; i++)
		for (j = 0; j <= LUCID_DEVICE_QUEUES; j++)
			hc_notify(i, j);
	alive();
}

/* Whether there is a device or not: the answer comes, and is a small number. */
static void monitor_calls(void)
{
	static const uint64_t unknown[] = {
		5, 7, 18, 0x7f, 0x80, 0xff, 0x100, 0xffffffff, 0x100000000, 0x100000001, ~0ull};
	unsigned i, j, nr;

	for (i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
		for (j = 0; j < ODD; j++)
			check_eq(hc_monitor(unknown[i], odd[j], odd[j], 0, 1, 2), LUCID_E_NOSYS);
	for (i = 0; i < ODD; i++) {
		if (odd[i] < LUCID_DEVICES)
			continue;
		for (nr = LUCID_MC_DEV_ID; nr <= LUCID_MC_DEV_QUEUE_STOP; nr++) {
			long ret = hc_monitor(nr, odd[i], odd[i], odd[i], odd[i], odd[i]);

			if (ret > 0)
				failure("call %u on device %x: %x", (uint64_t)nr, odd[i], ret);
		}
	}
	check_eq(hc_monitor(LUCID_MC_SHUTDOWN, 3, 0, 0, 0, 0), LUCID_E_INVAL);
	check_eq(hc_monitor(LUCID_MC_SHUTDOWN, ~0ull, 0, 0, 0, 0), LUCID_E_INVAL);
	check(hc_monitor(LUCID_MC_WALLCLOCK, 1, 2, 3, 4, 5) > 0);
	alive();
}

/* Every argument of every device call, on every device there is. */
static void device_calls(void)
{
	unsigned dev, nr, i, j;

	for (dev = 0; dev < LUCID_DEVICES; dev++) {
		if (hc_monitor(LUCID_MC_DEV_ID, dev, 0, 0, 0, 0) <= 0)
			continue;
		for (nr = LUCID_MC_DEV_ID; nr <= LUCID_MC_DEV_QUEUE_STOP; nr++)
			for (i = 0; i < ODD; i++)
				for (j = 0; j < ODD; j++)
					hc_monitor(nr, dev, odd[i], odd[j], odd[i], odd[j]);
		hc_monitor(LUCID_MC_DEV_SET_STATUS, dev, 0, 0, 0, 0);
		check_eq(hc_monitor(LUCID_MC_DEV_STATUS, dev, 0, 0, 0, 0), 0);
	}
	alive();
}

void test_main(void)
{
	uint64_t page = page_alloc();

	cr3 = space_new();
	map_page(cr3, AT, page, PTE_USER);
	hc_set_cr3(cr3);
	poke(AT, 0x1234);
	alive();
	flushes();
	premaps();
	notifies();
	monitor_calls();
	device_calls();
}
