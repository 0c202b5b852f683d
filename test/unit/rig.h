/* SPDX-License-Identifier: MIT */
/*
 * A test's stand-in for a guest: RAM, a loop and a bus, and a driver that lays
 * out rings by hand, so that it can also lay them out wrong.
 */
#ifndef TEST_UNIT_RIG_H
#define TEST_UNIT_RIG_H

/* What cmocka.h wants before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>

#include "base/loop.h"
#include "base/ram.h"
#include "device/bus.h"

#define RIG_RAM (16ULL << 20)
#define RIG_TRANSPORT                                                                              \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |                        \
		1ULL << VIRTIO_RING_F_EVENT_IDX)

struct rig {
	struct ram ram;
	struct loop *loop;
	struct bus bus;
	unsigned raised[64]; /* how often each event was */
	uint64_t next_free; /* guest physical, for rig_alloc() */
};

void rig_open(struct rig *rig);
/* The same with another amount of memory. */
void rig_open_with(struct rig *rig, uint64_t size);
void rig_close(struct rig *rig);

/* Guest memory, zeroed, aligned to 64 bytes. */
uint64_t rig_alloc(struct rig *rig, size_t size);
void *rig_at(const struct rig *rig, uint64_t pa, size_t n);

/* Runs the loop until done(arg), or fails the test after some seconds. */
void rig_run_until(struct rig *rig, bool (*done)(void *arg), void *arg);
/* Runs it for some rounds: enough for all that does not wait for the host. */
void rig_settle(struct rig *rig);

long rig_call(struct rig *rig, unsigned nr, uint64_t a0, uint64_t a1, uint64_t a2);
long rig_status(struct rig *rig, unsigned dev);
bool rig_is_broken(struct rig *rig, unsigned dev);

/* Takes a device up to FEATURES_OK, and from there to DRIVER_OK. */
void rig_negotiate(struct rig *rig, unsigned dev, uint64_t features);
void rig_go(struct rig *rig, unsigned dev);

/* A ring as its driver sees it. */
struct ring {
	struct rig *rig;
	unsigned dev, queue, size;
	uint64_t desc, avail, used;
	uint16_t offered; /* our available index */
	uint16_t seen; /* used elements read */
};

/* Lays out a ring, and with ring_open() gives it to a device. */
void ring_make(struct ring *ring, struct rig *rig, unsigned size);
void ring_open(struct ring *ring, struct rig *rig, unsigned dev, unsigned queue, unsigned size);

/* Fills in a descriptor of a table (the ring's own: ring->desc). */
void ring_desc(struct rig *rig, uint64_t table, unsigned i, uint64_t addr, uint32_t len,
	unsigned flags, unsigned next);
/* Makes head available, without a doorbell. */
void ring_offer(struct ring *ring, unsigned head);
void ring_kick(struct ring *ring);
/* The next used element; false if there is none. */
bool ring_used(struct ring *ring, uint32_t *id, uint32_t *len);
uint16_t ring_used_index(const struct ring *ring);
/* The device's avail_event, and the driver's used_event. */
uint16_t ring_avail_event(const struct ring *ring);
void ring_set_used_event(struct ring *ring, uint16_t index);
void ring_set_avail_index(struct ring *ring, uint16_t index);

#endif
