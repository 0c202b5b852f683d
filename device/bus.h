/* SPDX-License-Identifier: MIT */
/*
 * The device bus: virtio devices in LUCID_DEVICES places, configured by monitor
 * calls (LUCID_MC_DEV_*), notified by doorbell, answering by events.
 */
#ifndef DEVICE_BUS_H
#define DEVICE_BUS_H

#include "abi/lucid.h"
#include "base/loop.h"
#include "base/ram.h"

struct device;

struct bus {
	const struct ram *ram;
	struct loop *loop;
	/* Raises an event (LUCID_EVENT_*) in the guest. */
	void (*raise)(void *arg, unsigned event);
	void *raise_arg;
	struct device *device[LUCID_DEVICES];
};

/* What all devices of a kind (VIRTIO_ID_*) have moved: bytes to the guest and from it. */
void bus_moved(const struct bus *bus, uint32_t id, uint64_t *in, uint64_t *out);

/* Answers one LUCID_MC_DEV_* call of the guest; arguments are untrusted. */
long bus_call(struct bus *bus, unsigned nr, const uint64_t arg[5]);

/* The guest rang: bit q of queues for queue q of device dev; untrusted. */
void bus_doorbell(struct bus *bus, unsigned dev, uint64_t queues);

/* Places a device in the first free place; its number, or -ENOSPC. */
int bus_attach(struct bus *bus, struct device *device);

/*
 * Stops and frees every device; requests in flight are waited for. From then on
 * nothing is raised, and no user of a device is called back.
 */
void bus_destroy(struct bus *bus);

#endif
