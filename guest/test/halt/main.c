/* SPDX-License-Identifier: MIT */
/*
 * Purpose: halting sleeps until an event, enables interrupts, returns at once when one is
 * pending, and wakes without a timer too, for a device.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

#define MS 1000000ull
#define VIRTIO_ENTROPY 4
#define ACKNOWLEDGE 1
#define DRIVER 2
#define DRIVER_OK 4
#define FEATURES_OK 8
#define VERSION_1 (1ull << 32)
#define SIZE 8

struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags, next;
};

struct ring {
	uint16_t flags, idx, slot[SIZE];
};

static uint64_t seen(void)
{
	return events_seen[LUCID_EVENT_TIMER];
}

static void with_timer(void)
{
	uint64_t before = seen(), start = now_ns(), slept;

	irq_disable();
	hc_set_timer(30 * MS);
	hc_halt();
	slept = now_ns() - start;
	check_eq(seen(), before + 1);
	check_eq(vcpu->vif, 1);
	check(slept >= 29 * MS);
	check(slept < 3000 * MS);
}

static void already_pending(void)
{
	uint64_t before = seen(), start;

	irq_disable();
	hc_set_timer(1000);
	check(wait_pending(LUCID_EVENT_TIMER, 1000 * MS));
	check_eq(seen(), before);
	start = now_ns();
	hc_halt();
	check_eq(seen(), before + 1);
	check(now_ns() - start < 1000 * MS);
	hc_set_timer(0);
}

static uint64_t find_entropy(void)
{
	uint64_t dev;

	for (dev = 0; dev < LUCID_DEVICES; dev++)
		if (hc_monitor(LUCID_MC_DEV_ID, dev, 0, 0, 0, 0) == VIRTIO_ENTROPY)
			return dev;
	failure("there is no random device");
}

/* Asks the random device for 64 bytes, and sleeps on it. */
static void for_device(void)
{
	uint64_t dev = find_entropy(), desc = page_alloc(), avail = page_alloc();
	uint64_t used = page_alloc(), buffer = page_alloc(), sum = 0, i;
	volatile struct desc *d = direct(desc);
	volatile struct ring *a = direct(avail);
	volatile uint16_t *used_idx = (uint16_t *)direct(used) + 1;
	unsigned event = LUCID_EVENT_DEVICE(dev);

	hc_monitor(LUCID_MC_DEV_SET_STATUS, dev, 0, 0, 0, 0);
	hc_monitor(LUCID_MC_DEV_SET_STATUS, dev, ACKNOWLEDGE | DRIVER, 0, 0, 0);
	hc_monitor(LUCID_MC_DEV_ACCEPT, dev, VERSION_1, 0, 0, 0);
	hc_monitor(LUCID_MC_DEV_SET_STATUS, dev, ACKNOWLEDGE | DRIVER | FEATURES_OK, 0, 0, 0);
	check_eq(hc_monitor(LUCID_MC_DEV_QUEUE_SETUP, dev, SIZE << 16, desc, avail, used), 0);
	hc_monitor(LUCID_MC_DEV_SET_STATUS, dev, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK, 0,
		0, 0);
	*d = (struct desc){buffer, 64, 2, 0};
	a->slot[0] = 0;
	__atomic_store_n(&a->idx, 1, __ATOMIC_SEQ_CST);
	hc_notify(dev, 0);
	while (!events_seen[event])
		hc_halt();
	check_eq(*used_idx, 1);
	for (i = 0; i < 8; i++)
		sum |= ((uint64_t *)direct(buffer))[i];
	check(sum);
}

/* A timer that has fired leaves nothing behind that wakes the next sleep. */
static void no_echo(void)
{
	uint64_t before = seen(), start;

	irq_enable();
	hc_set_timer(1 * MS);
	while (seen() == before)
		;
	hc_set_timer(30 * MS);
	start = now_ns();
	before = seen();
	hc_halt();
	check_eq(seen(), before + 1);
	check(now_ns() - start >= 29 * MS);
}

void test_main(void)
{
	with_timer();
	already_pending();
	for_device();
	no_echo();
}
