/* SPDX-License-Identifier: MIT */
/* The transport: what a driver may do and when, with a device that only counts. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "test/unit/rig.h"

#define ACKNOWLEDGED (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define FEATURE_A (1ULL << 5) /* offered */
#define FEATURE_B (1ULL << 6) /* offered and required */
#define FEATURE_C (1ULL << 7) /* not offered */

static struct rig rig;
static struct ring ring;
static unsigned notified[4], stopped[4], resets, destroyed;
static bool greedy; /* asks for another turn each time */
static const unsigned char config[10] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
static struct device *dev;

static void count_notify(struct device *d, unsigned queue)
{
	notified[queue]++;
	if (greedy)
		device_again(d, 1ULL << queue);
}

static void count_stop(struct device *d, unsigned queue)
{
	assert_true(d->vq[queue].size > 0);
	stopped[queue]++;
}

static void count_reset(struct device *d)
{
	(void)d;
	resets++;
}

static void count_destroy(struct device *d)
{
	destroyed++;
	device_fini(d);
	free(d);
}

static const struct device_ops ops = {
	.notify = count_notify,
	.stop = count_stop,
	.reset = count_reset,
	.destroy = count_destroy,
};

static int attach(void)
{
	dev = calloc(1, sizeof(*dev));
	*dev = (struct device){
		.ops = &ops,
		.name = "test",
		.id = 42,
		.offered = FEATURE_A | FEATURE_B,
		.required = FEATURE_B,
		.config = config,
		.config_size = sizeof(config),
		.queues = 4,
		.queue_max = 16,
	};
	int r = device_init(dev, &rig.bus);
	if (r < 0)
		free(dev);
	return r;
}

static int setup(void **state)
{
	(void)state;
	memset(notified, 0, sizeof(notified));
	memset(stopped, 0, sizeof(stopped));
	resets = destroyed = 0;
	greedy = false;
	rig_open(&rig);
	return attach();
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static long set_status(uint64_t status)
{
	return rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, status, 0);
}

static long queue_setup(uint64_t queue, uint64_t size)
{
	const uint64_t arg[5] = {0, queue | size << 16, 0x10000, 0x20000, 0x30000};

	return bus_call(&rig.bus, LUCID_MC_DEV_QUEUE_SETUP, arg);
}

static void up(void)
{
	rig_negotiate(&rig, 0, RIG_TRANSPORT | FEATURE_B);
	ring_open(&ring, &rig, 0, 1, 8);
	rig_go(&rig, 0);
	rig_settle(&rig);
	notified[1] = 0;
	resets = 0;
}

static void places(void **state)
{
	(void)state;
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ID, 0, 0, 0), 42);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ID, 1, 0, 0), 0);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_STATUS, 1, 0, 0), LUCID_E_NODEV);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ID, LUCID_DEVICES, 0, 0), LUCID_E_NODEV);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ID, UINT64_MAX, 0, 0), LUCID_E_NODEV);
	assert_int_equal(rig_call(&rig, 99, 0, 0, 0), LUCID_E_NOSYS);
	for (unsigned i = 1; i < LUCID_DEVICES; i++)
		assert_int_equal(attach(), 0);
	assert_int_equal(attach(), -ENOSPC);
	bus_destroy(&rig.bus);
	assert_int_equal(destroyed, LUCID_DEVICES);
	/* An end is not a reset: nobody is to hear of it. */
	assert_int_equal(resets, 0);
}

static void config_space_is_bounded(void **state)
{
	const uint64_t huge = UINT64_MAX;

	(void)state;
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 0, 1), 1);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 1, 2), 0x302);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 2, 8), 0x0a09080706050403);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 3, 8), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 10, 1), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 0, 0), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 0, 9), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, huge, 1), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, huge, 2), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 4, huge), LUCID_E_INVAL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_WRITE, 0, 0, 1), LUCID_E_INVAL);
}

static void features_are_negotiated(void **state)
{
	static const struct {
		uint64_t features;
		bool fit;
	} cases[] = {
		{RIG_TRANSPORT | FEATURE_A | FEATURE_B, true},
		{1ULL << VIRTIO_F_VERSION_1 | FEATURE_B, true},
		{RIG_TRANSPORT | FEATURE_A, false},
		{RIG_TRANSPORT | FEATURE_B | FEATURE_C, false},
		{(RIG_TRANSPORT | FEATURE_B) & ~(1ULL << VIRTIO_F_VERSION_1), false},
		{0, false},
		{UINT64_MAX, false},
	};

	(void)state;
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_FEATURES, 0, 0, 0),
		RIG_TRANSPORT | FEATURE_A | FEATURE_B);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		set_status(0);
		set_status(ACKNOWLEDGED);
		assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ACCEPT, 0, cases[i].features, 0), 0);
		assert_int_equal(set_status(ACKNOWLEDGED | VIRTIO_CONFIG_S_FEATURES_OK), 0);
		long status = rig_status(&rig, 0);
		assert_int_equal(!!(status & VIRTIO_CONFIG_S_FEATURES_OK), cases[i].fit);
		if (cases[i].fit)
			assert_int_equal(
				rig_call(&rig, LUCID_MC_DEV_ACCEPT, 0, 0, 0), LUCID_E_INVAL);
		else
			assert_int_equal(set_status(ACKNOWLEDGED | VIRTIO_CONFIG_S_DRIVER_OK),
				LUCID_E_INVAL);
	}
}

static void status_only_grows(void **state)
{
	(void)state;
	up();
	assert_int_equal(set_status(ACKNOWLEDGED), LUCID_E_INVAL);
	assert_int_equal(set_status(0x100), LUCID_E_INVAL);
	assert_int_equal(set_status(UINT64_MAX), LUCID_E_INVAL);
	assert_int_equal(set_status((uint64_t)rig_status(&rig, 0) | 0x10), LUCID_E_INVAL);
	/* NEEDS_RESET is not the driver's to set. */
	assert_int_equal(
		set_status((uint64_t)rig_status(&rig, 0) | VIRTIO_CONFIG_S_NEEDS_RESET), 0);
	assert_false(rig_is_broken(&rig, 0));
	assert_int_equal(set_status(0), 0);
	assert_int_equal(rig_status(&rig, 0), 0);
	assert_int_equal(resets, 1);
}

static void queues_are_set_up_at_the_right_time(void **state)
{
	(void)state;
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_MAX, 0, 3, 0), 16);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_MAX, 0, 4, 0), 0);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_MAX, 0, UINT64_MAX, 0), 0);
	assert_int_equal(queue_setup(0, 8), LUCID_E_INVAL);
	rig_negotiate(&rig, 0, RIG_TRANSPORT | FEATURE_B);
	assert_int_equal(queue_setup(4, 8), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0xffff, 8), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0, 0), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0, 12), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0, 32), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0, 1ULL << 32 | 8), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0, 16), 0);
	assert_int_equal(queue_setup(0, 16), LUCID_E_INVAL);
	rig_go(&rig, 0);
	assert_int_equal(queue_setup(1, 8), LUCID_E_INVAL);

	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_STOP, 0, 0, 0), 0);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_STOP, 0, 0, 0), 0);
	assert_int_equal(stopped[0], 1);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_STOP, 0, 4, 0), LUCID_E_INVAL);
	assert_int_equal(queue_setup(0, 16), LUCID_E_INVAL);
}

static void doorbells_reach_running_devices_alone(void **state)
{
	(void)state;
	rig_negotiate(&rig, 0, RIG_TRANSPORT | FEATURE_B);
	ring_open(&ring, &rig, 0, 1, 8);
	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_int_equal(notified[1], 0);

	/* What was rung for too early is looked at when the device starts. */
	rig_go(&rig, 0);
	rig_settle(&rig);
	assert_int_equal(notified[1], 1);
	assert_int_equal(notified[0], 0);

	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_int_equal(notified[1], 2);
	assert_int_equal(notified[0] + notified[2] + notified[3], 0);
	bus_doorbell(&rig.bus, 0, 0);
	bus_doorbell(&rig.bus, 1, ~0ULL);
	bus_doorbell(&rig.bus, LUCID_DEVICES, ~0ULL);
	bus_doorbell(&rig.bus, UINT32_MAX, ~0ULL);
	assert_int_equal(notified[1], 2);

	set_status((uint64_t)rig_status(&rig, 0) | VIRTIO_CONFIG_S_FAILED);
	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_int_equal(notified[1], 2);
}

static void a_broken_device_waits_for_its_reset(void **state)
{
	(void)state;
	up();
	device_broken(dev, 1, "a test");
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
	device_broken(dev, 1, "a test");
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_int_equal(notified[1], 0);
	/* A driver that adds a bit to what it reads does not heal it. */
	assert_int_equal(set_status((uint64_t)rig_status(&rig, 0) | VIRTIO_CONFIG_S_FAILED), 0);
	assert_true(rig_is_broken(&rig, 0));
	set_status(0);
	assert_int_equal(stopped[1], 1);
	up();
	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_int_equal(notified[1], 1);
}

static void a_reset_forgets_what_was_put_off(void **state)
{
	(void)state;
	up();
	device_again(dev, ~0ULL);
	set_status(0);
	rig_negotiate(&rig, 0, RIG_TRANSPORT | FEATURE_B);
	rig_settle(&rig);
	assert_int_equal(notified[1], 0);
	/* Nor is the ring there any more. */
	rig_go(&rig, 0);
	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_int_equal(notified[1], 0);
}

/* A device that never gets done does not keep the loop to itself. */
static void a_greedy_device_shares_the_loop(void **state)
{
	(void)state;
	up();
	greedy = true;
	bus_doorbell(&rig.bus, 0, 2);
	assert_int_equal(notified[1], 1);
	rig_settle(&rig);
	assert_in_range(notified[1], 50, 150);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(places),
		TEST(config_space_is_bounded),
		TEST(features_are_negotiated),
		TEST(status_only_grows),
		TEST(queues_are_set_up_at_the_right_time),
		TEST(doorbells_reach_running_devices_alone),
		TEST(a_broken_device_waits_for_its_reset),
		TEST(a_reset_forgets_what_was_put_off),
		TEST(a_greedy_device_shares_the_loop),
	};

	return cmocka_run_group_tests_name("bus", tests, NULL, NULL);
}
