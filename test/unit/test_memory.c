/* SPDX-License-Identifier: MIT */
/* The size of a machine: what its user, its need and its idleness come to, and what a guest that
 * lies does not get. */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_mem.h>
#include <string.h>

#include "device/mem.h"
#include "monitor/memory.h"
#include "test/unit/rig.h"

#define MIB (1ULL << 20)
#define BALLOON 0
#define MEM 1

static struct rig rig;
static struct ring stats, requests;
static struct memory *memory;
static const struct memory_config grows = {.boot = 128 * MIB, .max = 1024 * MIB};
static const struct memory_config fixed = {.boot = 512 * MIB, .max = 512 * MIB};

static int set_up(const struct memory_config *config)
{
	rig_open_with(&rig, memory_ram_size(config));
	memory = memory_create(&rig.bus, config);
	if (!memory)
		return -1;
	rig_negotiate(&rig, BALLOON, RIG_TRANSPORT | 1ULL << VIRTIO_BALLOON_F_STATS_VQ);
	ring_open(&stats, &rig, BALLOON, 2, 8);
	rig_go(&rig, BALLOON);
	if (config->max == config->boot)
		return 0;
	rig_negotiate(&rig, MEM, RIG_TRANSPORT);
	ring_open(&requests, &rig, MEM, 0, 8);
	rig_go(&rig, MEM);
	return 0;
}

static int set_up_grows(void **state)
{
	(void)state;
	return set_up(&grows);
}

static int set_up_fixed(void **state)
{
	(void)state;
	return set_up(&fixed);
}

static int tear_down(void **state)
{
	(void)state;
	memory_destroy(memory);
	rig_close(&rig);
	return 0;
}

/* What the device asks the guest to have above its boot size. */
static uint64_t wanted(void)
{
	return (uint64_t)rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, MEM,
		offsetof(struct virtio_mem_config, requested_size), 8);
}

static uint64_t ballooned(void)
{
	return 4096 * (uint64_t)rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, BALLOON, 0, 4);
}

/* The driver takes or gives up blocks; the device's answer. */
static unsigned driver(unsigned type, uint64_t at, uint64_t size)
{
	struct virtio_mem_req req = {.type = (uint16_t)type};
	struct virtio_mem_resp resp;
	uint64_t in = rig_alloc(&rig, sizeof(resp)), out = rig_alloc(&rig, sizeof(req));
	uint32_t id, len;

	req.u.plug.addr = grows.boot + at;
	req.u.plug.nb_blocks = (uint16_t)(size / MEM_BLOCK);
	memcpy(rig_at(&rig, out, sizeof(req)), &req, sizeof(req));
	ring_desc(&rig, requests.desc, 0, out, sizeof(req), VRING_DESC_F_NEXT, 1);
	ring_desc(&rig, requests.desc, 1, in, sizeof(resp), VRING_DESC_F_WRITE, 0);
	ring_offer(&requests, 0);
	ring_kick(&requests);
	assert_true(ring_used(&requests, &id, &len));
	memcpy(&resp, rig_at(&rig, in, sizeof(resp)), sizeof(resp));
	return resp.type;
}

/* The monitor looks at the guest, and this is what the guest tells. */
static void look(uint64_t available, uint64_t total)
{
	struct virtio_balloon_stat s[2] = {
		{VIRTIO_BALLOON_S_AVAIL, available}, {VIRTIO_BALLOON_S_MEMTOT, total}};
	uint64_t list = rig_alloc(&rig, sizeof(s));
	uint32_t id, len;

	memory_ask(memory);
	while (ring_used(&stats, &id, &len))
		;
	memcpy(rig_at(&rig, list, sizeof(s)), s, sizeof(s));
	ring_desc(&rig, stats.desc, 0, list, sizeof(s), 0, 0);
	ring_offer(&stats, 0);
	ring_kick(&stats);
	rig_settle(&rig);
}

static void the_user_says(void **state)
{
	(void)state;
	assert_int_equal(memory_now(memory), grows.boot);
	assert_int_equal(memory_max(memory), grows.max);
	assert_int_equal(memory_set(memory, MEMORY_LEAST - MEM_BLOCK), -ERANGE);
	assert_int_equal(memory_set(memory, grows.max + 1), -ERANGE);
	assert_int_equal(memory_set(memory, ~0ULL), -ERANGE);
	assert_int_equal(memory_target(memory), grows.boot);

	assert_int_equal(memory_set(memory, 300 * MIB - 1), 0);
	assert_int_equal(memory_target(memory), 300 * MIB);
	assert_int_equal(wanted(), 172 * MIB);
	assert_int_equal(ballooned(), 0);
	assert_int_equal(memory_now(memory), grows.boot);
	assert_int_equal(driver(VIRTIO_MEM_REQ_PLUG, 0, 172 * MIB), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memory_now(memory), 300 * MIB);

	assert_int_equal(memory_set(memory, 100 * MIB), 0);
	assert_int_equal(wanted(), 0);
	assert_int_equal(ballooned(), 28 * MIB);
}

static void a_size_that_is_fixed(void **state)
{
	(void)state;
	assert_int_equal(memory_ram_size(&fixed), fixed.boot);
	assert_int_equal(memory_pressure(memory, 0, fixed.boot, true), 0);
	assert_int_equal(memory_set(memory, fixed.boot + MEM_BLOCK), -ERANGE);
	assert_int_equal(memory_set(memory, 200 * MIB), 0);
	assert_int_equal(ballooned(), 312 * MIB);
}

static void need_grows_by_steps(void **state)
{
	(void)state;
	assert_int_equal(memory_pressure(memory, 0, grows.boot, false), 128 * MIB);
	assert_int_equal(wanted(), 128 * MIB);
	/* That one is on its way still, and does but for one who is at his end. */
	assert_int_equal(memory_pressure(memory, 0, grows.boot, false), 128 * MIB);
	assert_int_equal(memory_pressure(memory, 0, grows.boot, true), 256 * MIB);
	assert_int_equal(driver(VIRTIO_MEM_REQ_PLUG, 0, 256 * MIB), VIRTIO_MEM_RESP_ACK);
	/* From then on by half of what it has. */
	assert_int_equal(memory_pressure(memory, 0, 384 * MIB, false), 192 * MIB);
}

static void need_ends_at_the_greatest(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++)
		assert_in_range(memory_pressure(memory, 0, ~0ULL, true), 1, grows.max - grows.boot);
	assert_int_equal(memory_target(memory), grows.max);
	assert_int_equal(wanted(), grows.max - grows.boot);
	/* The driver cannot take more than that either. */
	assert_int_equal(
		driver(VIRTIO_MEM_REQ_PLUG, 0, grows.max - grows.boot), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memory_pressure(memory, 0, grows.max, true), 0);
	assert_int_equal(driver(VIRTIO_MEM_REQ_PLUG, grows.max - grows.boot, MEM_BLOCK),
		VIRTIO_MEM_RESP_ERROR);
}

static void idleness_shrinks_slowly(void **state)
{
	uint64_t target = 640 * MIB;
	int looks = 0;

	(void)state;
	assert_int_equal(memory_set(memory, target), 0);
	assert_int_equal(driver(VIRTIO_MEM_REQ_PLUG, 0, 512 * MIB), VIRTIO_MEM_RESP_ACK);
	/* The first is asked for before there is anything to tell. */
	look(600 * MIB, target);
	while (memory_target(memory) == target && looks++ < 20)
		look(600 * MIB, target);
	assert_in_range(looks, 4, 6);
	assert_int_equal(memory_target(memory), target - 150 * MIB);
	/* A look at which it needs half of what it has begins the wait anew. */
	target = memory_target(memory);
	for (int i = 0; i < 10; i++)
		look(i == 3 ? 200 * MIB : 450 * MIB, target);
	assert_in_range(memory_target(memory), grows.boot, target - 1);
	for (int i = 0; i < 60; i++)
		look(450 * MIB, 490 * MIB);
	assert_int_equal(memory_target(memory), grows.boot);
	assert_int_equal(wanted(), 0);
}

/* Blocks that the guest cannot give up; then it can. */
static void what_stays_is_ballooned(void **state)
{
	(void)state;
	assert_int_equal(memory_set(memory, 256 * MIB), 0);
	assert_int_equal(driver(VIRTIO_MEM_REQ_PLUG, 0, 128 * MIB), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(memory_set(memory, 100 * MIB), 0);
	assert_int_equal(wanted(), 0);
	assert_int_equal(driver(VIRTIO_MEM_REQ_UNPLUG, 8 * MIB, 120 * MIB), VIRTIO_MEM_RESP_ACK);
	assert_int_equal(ballooned(), 28 * MIB);
	for (int i = 0; i < 3; i++)
		look(90 * MIB, 136 * MIB);
	assert_int_equal(ballooned(), 36 * MIB);
	assert_int_equal(driver(VIRTIO_MEM_REQ_UNPLUG, 0, 8 * MIB), VIRTIO_MEM_RESP_ACK);
	for (int i = 0; i < 3; i++)
		look(90 * MIB, 128 * MIB);
	assert_int_equal(ballooned(), 28 * MIB);
}

static void lies_are_not_acted_upon(void **state)
{
	(void)state;
	assert_int_equal(memory_set(memory, 640 * MIB), 0);
	for (int i = 0; i < 20; i++) {
		look(2000 * MIB, 640 * MIB); /* more than all */
		look(~0ULL, ~0ULL); /* more than it can have */
		look(~0ULL - 1, ~0ULL);
	}
	assert_int_equal(memory_target(memory), 640 * MIB);
}

#define GROWS(f) cmocka_unit_test_setup_teardown(f, set_up_grows, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		GROWS(the_user_says),
		cmocka_unit_test_setup_teardown(a_size_that_is_fixed, set_up_fixed, tear_down),
		GROWS(need_grows_by_steps),
		GROWS(need_ends_at_the_greatest),
		GROWS(idleness_shrinks_slowly),
		GROWS(what_stays_is_ballooned),
		GROWS(lies_are_not_acted_upon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
