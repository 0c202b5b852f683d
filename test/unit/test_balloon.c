/* SPDX-License-Identifier: MIT */
/* virtio-balloon and virtio-mem: what is given up is gone, and nothing beside it. */
#include <linux/virtio_balloon.h>
#include <linux/virtio_mem.h>
#include <string.h>

#include "device/balloon.h"
#include "device/mem.h"
#include "test/unit/rig.h"

#define PAGE 4096u
#define REGION (8ULL << 20) /* of the rig's 16 MiB */

static struct rig rig;
static struct ring inflate, deflate, stats, reporting, requests;
static struct balloon *balloon;
static struct mem *mem;
static unsigned told_count;

static void told(void *arg)
{
	(void)arg;
	told_count++;
}

static int setup_balloon(void **state)
{
	(void)state;
	rig_open(&rig);
	told_count = 0;
	balloon = balloon_create(&rig.bus, told, NULL);
	if (!balloon)
		return -1;
	rig_negotiate(&rig, 0,
		RIG_TRANSPORT | 1ULL << VIRTIO_BALLOON_F_STATS_VQ |
			1ULL << VIRTIO_BALLOON_F_REPORTING);
	ring_open(&inflate, &rig, 0, 0, 8);
	ring_open(&deflate, &rig, 0, 1, 8);
	ring_open(&stats, &rig, 0, 2, 8);
	ring_open(&reporting, &rig, 0, 3, 8);
	rig_go(&rig, 0);
	rig_settle(&rig);
	return 0;
}

static int setup_mem(void **state)
{
	(void)state;
	rig_open(&rig);
	mem = mem_create(&rig.bus, REGION, REGION);
	if (!mem)
		return -1;
	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&requests, &rig, 0, 0, 8);
	rig_go(&rig, 0);
	rig_settle(&rig);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

static void fill(uint64_t pa, size_t n)
{
	memset(rig_at(&rig, pa, n), 0x5a, n);
}

/* The number of pages in a range that hold what fill() wrote. */
static unsigned full_pages(uint64_t pa, unsigned pages)
{
	unsigned n = 0;

	for (unsigned i = 0; i < pages; i++)
		n += *(unsigned char *)rig_at(&rig, pa + i * PAGE, 1) == 0x5a;
	return n;
}

/* ---- Balloon ------------------------------------------------------------------------ */

static void give_pages(const uint32_t *pfns, unsigned count, uint32_t len)
{
	uint64_t list = rig_alloc(&rig, 8192);
	uint32_t id, n;

	memcpy(rig_at(&rig, list, count * sizeof(*pfns)), pfns, count * sizeof(*pfns));
	ring_desc(&rig, inflate.desc, 0, list, len, 0, 0);
	ring_offer(&inflate, 0);
	ring_kick(&inflate);
	rig_settle(&rig);
	while (ring_used(&inflate, &id, &n))
		;
}

static void pages_that_are_given(void **state)
{
	static const uint32_t pfns[] = {
		2048, 2049, 2050, 2060, 2072, 2071, 2070, 2070, 0xffffffff, 4095, 4096};

	(void)state;
	fill(REGION, 2048 * PAGE);
	give_pages(pfns, 11, sizeof(pfns));
	/* 2048 to 2050, 2060, 2070 to 2072 and 4095; what is outside RAM is ignored. */
	assert_int_equal(full_pages(REGION, 2048), 2048 - 8);
	assert_int_equal(full_pages(REGION + 3 * PAGE, 9), 9);
	assert_false(rig_is_broken(&rig, 0));
}

static void a_list_of_half_a_page(void **state)
{
	static const uint32_t pfns[] = {2048, 2049};

	(void)state;
	fill(REGION, 2 * PAGE);
	give_pages(pfns, 2, 7);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(full_pages(REGION, 2), 2);
}

static void memory_that_is_free(void **state)
{
	uint32_t id, len;

	(void)state;
	fill(REGION, 64 * PAGE);
	ring_desc(&rig, reporting.desc, 0, REGION + PAGE, 4 * PAGE,
		VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1);
	/* Parts of pages stay. */
	ring_desc(
		&rig, reporting.desc, 1, REGION + 10 * PAGE + 100, 2 * PAGE, VRING_DESC_F_WRITE, 0);
	ring_offer(&reporting, 0);
	ring_kick(&reporting);
	assert_true(ring_used(&reporting, &id, &len));
	assert_int_equal(full_pages(REGION, 64), 64 - 5);
	assert_int_equal(*(unsigned char *)rig_at(&rig, REGION + 12 * PAGE + 50, 1), 0x5a);
	assert_int_equal(balloon_reported(balloon), 5 * PAGE);
}

static void give_stats(uint16_t tag, uint64_t value)
{
	struct virtio_balloon_stat s[2] = {{tag, value}, {77, 1}};
	uint64_t list = rig_alloc(&rig, sizeof(s));

	memcpy(rig_at(&rig, list, sizeof(s)), s, sizeof(s));
	ring_desc(&rig, stats.desc, 0, list, sizeof(s), 0, 0);
	ring_offer(&stats, 0);
	ring_kick(&stats);
	rig_settle(&rig);
}

static void statistics(void **state)
{
	uint32_t id, len;

	(void)state;
	balloon_ask(balloon); /* nothing to ask yet */
	give_stats(VIRTIO_BALLOON_S_AVAIL, 1234);
	assert_int_equal(balloon_stats(balloon)->available, 1234);
	assert_int_equal(told_count, 0);
	assert_false(ring_used(&stats, &id, &len)); /* it is kept until they are asked for */
	balloon_ask(balloon);
	balloon_ask(balloon);
	assert_true(ring_used(&stats, &id, &len));
	assert_false(ring_used(&stats, &id, &len));
	give_stats(VIRTIO_BALLOON_S_AVAIL, 99);
	assert_int_equal(balloon_stats(balloon)->available, 99);
	assert_int_equal(told_count, 1);
	/* A second chain beside the one that is held. */
	give_stats(VIRTIO_BALLOON_S_AVAIL, 1);
	assert_true(rig_is_broken(&rig, 0));
}

static void a_reset_forgets_held_statistics(void **state)
{
	(void)state;
	give_stats(VIRTIO_BALLOON_S_AVAIL, 1234);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	balloon_ask(balloon);
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&stats), 0);
	/* A queue that stops alone takes its chain with it, too. */
	rig_negotiate(&rig, 0, RIG_TRANSPORT | 1ULL << VIRTIO_BALLOON_F_STATS_VQ);
	ring_open(&stats, &rig, 0, 2, 8);
	rig_go(&rig, 0);
	give_stats(VIRTIO_BALLOON_S_AVAIL, 5);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_STOP, 0, 2, 0), 0);
	balloon_ask(balloon);
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&stats), 0);
	assert_false(rig_is_broken(&rig, 0));
}

static long config(unsigned offset, unsigned length)
{
	return rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, offset, length);
}

static void targets(void **state)
{
	uint64_t write[5] = {0, 4, 4, 77, 0};

	(void)state;
	balloon_set(balloon, 1 << 20);
	assert_int_equal(config(0, 4), 256);
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
	assert_int_equal(bus_call(&rig.bus, LUCID_MC_DEV_CONFIG_WRITE, write), 0);
	assert_int_equal(balloon_actual(balloon), 77 * PAGE);
	write[1] = 0; /* the target is not its to write */
	assert_int_equal(bus_call(&rig.bus, LUCID_MC_DEV_CONFIG_WRITE, write), LUCID_E_INVAL);
	write[1] = 4;
	write[2] = 8;
	assert_int_equal(bus_call(&rig.bus, LUCID_MC_DEV_CONFIG_WRITE, write), LUCID_E_INVAL);
	write[1] = ~0ULL;
	assert_int_equal(bus_call(&rig.bus, LUCID_MC_DEV_CONFIG_WRITE, write), LUCID_E_INVAL);
	assert_int_equal(config(0, 4), 256);
}

/* ---- Memory in blocks ------------------------------------------------------------------ */

static struct virtio_mem_resp request(unsigned type, uint64_t addr, unsigned blocks)
{
	struct virtio_mem_req req = {.type = (uint16_t)type};
	struct virtio_mem_resp resp;
	uint64_t in = rig_alloc(&rig, sizeof(resp)), out = rig_alloc(&rig, sizeof(req));
	uint32_t id, len;

	req.u.plug.addr = addr;
	req.u.plug.nb_blocks = (uint16_t)blocks;
	memcpy(rig_at(&rig, out, sizeof(req)), &req, sizeof(req));
	ring_desc(&rig, requests.desc, 0, out, sizeof(req), VRING_DESC_F_NEXT, 1);
	ring_desc(&rig, requests.desc, 1, in, sizeof(resp), VRING_DESC_F_WRITE, 0);
	ring_offer(&requests, 0);
	ring_kick(&requests);
	assert_true(ring_used(&requests, &id, &len));
	assert_int_equal(len, sizeof(resp));
	memcpy(&resp, rig_at(&rig, in, sizeof(resp)), sizeof(resp));
	return resp;
}

static void blocks_come_and_go(void **state)
{
	(void)state;
	assert_int_equal(request(VIRTIO_MEM_REQ_PLUG, REGION, 1).type, VIRTIO_MEM_RESP_NACK);
	mem_set(mem, 3 * MEM_BLOCK);
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
	assert_int_equal(request(VIRTIO_MEM_REQ_PLUG, REGION, 2).type, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(mem_plugged(mem), 2 * MEM_BLOCK);
	assert_int_equal(
		request(VIRTIO_MEM_REQ_PLUG, REGION + 2 * MEM_BLOCK, 2).type, VIRTIO_MEM_RESP_NACK);
	assert_int_equal(
		request(VIRTIO_MEM_REQ_PLUG, REGION + MEM_BLOCK, 1).type, VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(
		request(VIRTIO_MEM_REQ_STATE, REGION, 2).u.state.state, VIRTIO_MEM_STATE_PLUGGED);
	assert_int_equal(
		request(VIRTIO_MEM_REQ_STATE, REGION, 3).u.state.state, VIRTIO_MEM_STATE_MIXED);
	fill(REGION, 4 * MEM_BLOCK);
	assert_int_equal(
		request(VIRTIO_MEM_REQ_UNPLUG, REGION + MEM_BLOCK, 1).type, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(full_pages(REGION, 2048), 3 * 512);
	assert_int_equal(request(VIRTIO_MEM_REQ_UNPLUG, REGION, 2).type, VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(request(VIRTIO_MEM_REQ_UNPLUG_ALL, 0, 0).type, VIRTIO_MEM_RESP_ACK);
	assert_int_equal(mem_plugged(mem), 0);
	assert_int_equal(full_pages(REGION, 2048), 0);
}

static void blocks_out_of_place(void **state)
{
	static const struct {
		uint64_t addr;
		unsigned blocks;
	} bad[] = {{0, 1}, {REGION - MEM_BLOCK, 1}, {REGION + 1, 1}, {REGION, 0}, {REGION, 5},
		{2 * REGION, 1}, {~0ULL - MEM_BLOCK + 1, 1}, {REGION + 3 * MEM_BLOCK, 65535}};

	(void)state;
	mem_set(mem, REGION);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		for (unsigned type = VIRTIO_MEM_REQ_PLUG; type <= VIRTIO_MEM_REQ_STATE; type++)
			if (type != VIRTIO_MEM_REQ_UNPLUG_ALL)
				assert_int_equal(request(type, bad[i].addr, bad[i].blocks).type,
					VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(request(99, REGION, 1).type, VIRTIO_MEM_RESP_ERROR);
	assert_int_equal(mem_plugged(mem), 0);
	assert_false(rig_is_broken(&rig, 0));
	ring_desc(&rig, requests.desc, 0, rig_alloc(&rig, 8), 8, 0, 0);
	ring_offer(&requests, 0);
	ring_kick(&requests);
	assert_true(rig_is_broken(&rig, 0));
}

#define BALLOON(f) cmocka_unit_test_setup_teardown(f, setup_balloon, teardown)
#define MEM(f) cmocka_unit_test_setup_teardown(f, setup_mem, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BALLOON(pages_that_are_given),
		BALLOON(a_list_of_half_a_page),
		BALLOON(memory_that_is_free),
		BALLOON(statistics),
		BALLOON(a_reset_forgets_held_statistics),
		BALLOON(targets),
		MEM(blocks_come_and_go),
		MEM(blocks_out_of_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
