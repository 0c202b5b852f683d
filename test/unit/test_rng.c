/* SPDX-License-Identifier: MIT */
/* virtio-rng: fills what it is given, in bounded portions. */
#include <string.h>

#include "device/rng.h"
#include "test/unit/rig.h"

static struct rig rig;
static struct ring ring;

static int setup(void **state)
{
	(void)state;
	rig_open(&rig);
	if (!rng_create(&rig.bus))
		return -1;
	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&ring, &rig, 0, 0, 8);
	rig_go(&rig, 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static bool is_zero(uint64_t pa, size_t n)
{
	const unsigned char *p = rig_at(&rig, pa, n);

	for (size_t i = 0; i < n; i++) {
		if (p[i])
			return false;
	}
	return true;
}

static void fills_buffers_and_nothing_beside(void **state)
{
	uint64_t a = rig_alloc(&rig, 256), b = rig_alloc(&rig, 256);
	uint32_t id, len;

	(void)state;
	ring_desc(&rig, ring.desc, 0, a, 64, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	ring_desc(&rig, ring.desc, 1, b, 32, VRING_DESC_F_WRITE, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(len, 96);
	assert_false(is_zero(a, 64));
	assert_true(is_zero(a + 64, 192));
	assert_false(is_zero(b, 32));
	assert_true(is_zero(b + 32, 224));
	assert_int_equal(rig.raised[LUCID_EVENT_DEVICE(0)], 1);
}

static void large_requests_are_bounded(void **state)
{
	uint64_t a = rig_alloc(&rig, 1 << 20);
	uint32_t id, len;

	(void)state;
	ring_desc(&rig, ring.desc, 0, a, 1 << 20, VRING_DESC_F_WRITE, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(len, 65536);
	assert_false(is_zero(a, 65536));
	assert_true(is_zero(a + 65536, (1 << 20) - 65536));
}

static void a_read_only_buffer_is_given_back_empty(void **state)
{
	uint64_t a = rig_alloc(&rig, 64);
	uint32_t id, len;

	(void)state;
	ring_desc(&rig, ring.desc, 0, a, 64, 0, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(len, 0);
	assert_true(is_zero(a, 64));
}

static void nonsense_breaks_it_until_a_reset(void **state)
{
	uint64_t a = rig_alloc(&rig, 64);
	uint32_t id, len;

	(void)state;
	ring_desc(&rig, ring.desc, 0, RIG_RAM - 1, 2, VRING_DESC_F_WRITE, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);

	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&ring, &rig, 0, 0, 8);
	ring_desc(&rig, ring.desc, 0, a, 64, VRING_DESC_F_WRITE, 0);
	ring_offer(&ring, 0);
	rig_go(&rig, 0);
	rig_settle(&rig);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(len, 64);
}

static bool all_used(void *arg)
{
	(void)arg;
	return ring_used_index(&ring) == ring.offered;
}

/* A driver that asks for a doorbell's worth, then one for each index: none is lost. */
static void no_request_is_forgotten(void **state)
{
	uint64_t a = rig_alloc(&rig, 64);

	(void)state;
	for (unsigned i = 0; i < 8; i++)
		ring_desc(&rig, ring.desc, i, a, 8, VRING_DESC_F_WRITE, 0);
	for (unsigned turn = 0; turn < 1000; turn++) {
		uint16_t old = ring.offered;
		for (unsigned i = 0; i <= turn % 8; i++)
			ring_offer(&ring, i);
		if (vring_need_event(ring_avail_event(&ring), ring.offered, old))
			ring_kick(&ring);
		rig_run_until(&rig, all_used, NULL);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(fills_buffers_and_nothing_beside),
		TEST(large_requests_are_bounded),
		TEST(a_read_only_buffer_is_given_back_empty),
		TEST(nonsense_breaks_it_until_a_reset),
		TEST(no_request_is_forgotten),
	};

	return cmocka_run_group_tests_name("rng", tests, NULL, NULL);
}
