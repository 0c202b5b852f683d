/* SPDX-License-Identifier: MIT */
/* The stand-in for a guest that device tests drive their devices with. */
#include <string.h>
#include <time.h>

#include "test/unit/rig.h"

#define ROUNDS 100
#define PATIENCE 10 /* seconds */

static void count_event(void *arg, unsigned event)
{
	struct rig *rig = arg;

	assert_true(event < 64);
	rig->raised[event]++;
}

void rig_open(struct rig *rig)
{
	rig_open_with(rig, RIG_RAM);
}

void rig_open_with(struct rig *rig, uint64_t size)
{
	*rig = (struct rig){.next_free = 4096};
	assert_int_equal(ram_create(&rig->ram, size), 0);
	rig->loop = loop_create();
	assert_non_null(rig->loop);
	rig->bus = (struct bus){
		.ram = &rig->ram,
		.loop = rig->loop,
		.raise = count_event,
		.raise_arg = rig,
	};
}

void rig_close(struct rig *rig)
{
	bus_destroy(&rig->bus);
	loop_destroy(rig->loop);
	ram_destroy(&rig->ram);
}

uint64_t rig_alloc(struct rig *rig, size_t size)
{
	uint64_t pa = rig->next_free;

	rig->next_free += (size + 63) & ~63ULL;
	assert_true(rig->next_free <= rig->ram.size);
	return pa;
}

void *rig_at(const struct rig *rig, uint64_t pa, size_t n)
{
	void *p = ram_range(&rig->ram, pa, n);

	assert_non_null(p);
	return p;
}

struct watch {
	struct rig *rig;
	struct loop_work work;
	bool (*done)(void *arg);
	void *arg;
	unsigned rounds;
	time_t deadline;
};

static void look(void *arg)
{
	struct watch *w = arg;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	w->rounds++;
	if (w->done ? w->done(w->arg) : w->rounds >= ROUNDS)
		loop_stop(w->rig->loop, 0);
	else if (now.tv_sec > w->deadline)
		loop_stop(w->rig->loop, -1);
	else
		loop_defer(w->rig->loop, &w->work);
}

void rig_run_until(struct rig *rig, bool (*done)(void *arg), void *arg)
{
	struct timespec now;
	struct watch w = {.rig = rig, .done = done, .arg = arg};

	clock_gettime(CLOCK_MONOTONIC, &now);
	w.deadline = now.tv_sec + PATIENCE;
	w.work = (struct loop_work){.fn = look, .arg = &w};
	loop_defer(rig->loop, &w.work);
	assert_int_equal(loop_run(rig->loop), 0);
}

void rig_settle(struct rig *rig)
{
	rig_run_until(rig, NULL, NULL);
}

long rig_call(struct rig *rig, unsigned nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	const uint64_t arg[5] = {a0, a1, a2};

	return bus_call(&rig->bus, nr, arg);
}

long rig_status(struct rig *rig, unsigned dev)
{
	return rig_call(rig, LUCID_MC_DEV_STATUS, dev, 0, 0);
}

bool rig_is_broken(struct rig *rig, unsigned dev)
{
	return rig_status(rig, dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

static void add_status(struct rig *rig, unsigned dev, unsigned bits)
{
	long status = rig_status(rig, dev);

	assert_true(status >= 0);
	assert_int_equal(
		rig_call(rig, LUCID_MC_DEV_SET_STATUS, dev, (uint64_t)status | bits, 0), 0);
	assert_int_equal(rig_status(rig, dev) & bits, bits);
}

void rig_negotiate(struct rig *rig, unsigned dev, uint64_t features)
{
	assert_int_equal(rig_call(rig, LUCID_MC_DEV_SET_STATUS, dev, 0, 0), 0);
	add_status(rig, dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	add_status(rig, dev, VIRTIO_CONFIG_S_DRIVER);
	assert_int_equal(rig_call(rig, LUCID_MC_DEV_ACCEPT, dev, features, 0), 0);
	add_status(rig, dev, VIRTIO_CONFIG_S_FEATURES_OK);
}

void rig_go(struct rig *rig, unsigned dev)
{
	add_status(rig, dev, VIRTIO_CONFIG_S_DRIVER_OK);
}

void ring_make(struct ring *ring, struct rig *rig, unsigned size)
{
	*ring = (struct ring){
		.rig = rig,
		.size = size,
		.desc = rig_alloc(rig, 16UL * size),
		.avail = rig_alloc(rig, 6 + 2UL * size),
		.used = rig_alloc(rig, 6 + 8UL * size),
	};
}

void ring_open(struct ring *ring, struct rig *rig, unsigned dev, unsigned queue, unsigned size)
{
	ring_make(ring, rig, size);
	ring->dev = dev;
	ring->queue = queue;
	const uint64_t arg[5] = {dev, queue | size << 16, ring->desc, ring->avail, ring->used};
	assert_int_equal(bus_call(&rig->bus, LUCID_MC_DEV_QUEUE_SETUP, arg), 0);
}

void ring_desc(struct rig *rig, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
	unsigned flags, unsigned next)
{
	struct vring_desc d = {
		.addr = addr,
		.len = len,
		.flags = (uint16_t)flags,
		.next = (uint16_t)next,
	};

	assert_true(ram_write(&rig->ram, table + 16ULL * i, &d, sizeof(d)));
}

static uint16_t get16(const struct ring *ring, uint64_t pa)
{
	uint16_t value;

	assert_true(ram_read(&ring->rig->ram, pa, &value, sizeof(value)));
	return value;
}

static void put16(struct ring *ring, uint64_t pa, uint16_t value)
{
	assert_true(ram_write(&ring->rig->ram, pa, &value, sizeof(value)));
}

void ring_set_avail_index(struct ring *ring, uint16_t index)
{
	put16(ring, ring->avail + 2, index);
}

void ring_offer(struct ring *ring, unsigned head)
{
	put16(ring, ring->avail + 4 + 2ULL * (ring->offered % ring->size), (uint16_t)head);
	ring_set_avail_index(ring, ++ring->offered);
}

void ring_kick(struct ring *ring)
{
	bus_doorbell(&ring->rig->bus, ring->dev, 1ULL << ring->queue);
}

uint16_t ring_used_index(const struct ring *ring)
{
	return get16(ring, ring->used + 2);
}

bool ring_used(struct ring *ring, uint32_t *id, uint32_t *len)
{
	struct vring_used_elem e;

	if (ring_used_index(ring) == ring->seen)
		return false;
	uint64_t slot = ring->seen++ % ring->size;
	assert_true(ram_read(&ring->rig->ram, ring->used + 4 + 8 * slot, &e, sizeof(e)));
	*id = e.id;
	*len = e.len;
	return true;
}

uint16_t ring_avail_event(const struct ring *ring)
{
	return get16(ring, ring->used + 4 + 8ULL * ring->size);
}

void ring_set_used_event(struct ring *ring, uint16_t index)
{
	put16(ring, ring->avail + 4 + 2ULL * ring->size, index);
}
