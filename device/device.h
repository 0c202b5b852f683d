/* SPDX-License-Identifier: MIT */
/*
 * What the bus and a kind of device agree on. The bus answers the guest's
 * configuration calls and keeps status, features and rings; the device does the
 * work behind the rings. A device embeds struct device as its first member.
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "device/bus.h"
#include "device/virtqueue.h"

struct device_ops {
	/*
	 * There may be new chains in a queue. Called only while the driver runs
	 * the device and the queue is set up; takes a bounded number of chains,
	 * and calls device_again() if there may be more.
	 */
	void (*notify)(struct device *dev, unsigned queue);
	/*
	 * When it returns, nothing of the queue is in flight, held or will be
	 * touched again. The ring is still there while it runs. May be NULL.
	 */
	void (*stop)(struct device *dev, unsigned queue);
	/* The guest resets the device, all queues have stopped. May be NULL. */
	void (*reset)(struct device *dev);
	/*
	 * The guest writes a field of the configuration; offset and length are within it, value
	 * is untrusted. 0 or -EINVAL. NULL: there is none to write.
	 */
	int (*config_write)(struct device *dev, unsigned offset, unsigned length, uint64_t value);
	/* Frees the device; all queues have stopped. */
	void (*destroy)(struct device *dev);
};

struct device {
	const struct device_ops *ops;
	const char *name; /* for messages */
	uint32_t id; /* VIRTIO_ID_* */
	uint64_t offered; /* feature bits; the transport's own are added */
	uint64_t required; /* those without which it cannot be driven */
	const void *config; /* configuration space, little endian */
	size_t config_size;
	unsigned queues; /* up to LUCID_DEVICE_QUEUES */
	uint16_t queue_max; /* greatest size of each, a power of two */
	struct virtqueue *vq;
	/* What it has moved, for figures: bytes to the guest and from it. */
	uint64_t bytes_in, bytes_out;
	/* The bus's: */
	struct bus *bus;
	unsigned place;
	uint64_t accepted;
	uint8_t status; /* VIRTIO_CONFIG_S_* */
	uint64_t again; /* queues whose notify is to be called from the loop */
	struct loop_work work;
};

/* Makes the rings of a device whose fields above are set, and places it. 0, or -errno. */
int device_init(struct device *dev, struct bus *bus);

/* Frees what device_init() made; for destroy. */
void device_fini(struct device *dev);

/* The driver has set the device going, and neither side has given up. */
bool device_running(const struct device *dev);

/* Calls notify for these queues (a bit each) from the loop. */
void device_again(struct device *dev, uint64_t queues);

/*
 * Raises the device's event if the guest wants one for what was given back on a queue; whether it
 * did. The event is for all queues: the guest looks at each.
 */
bool device_signal(struct device *dev, unsigned queue);

/* Tells the driver that the configuration is another one. */
void device_config_changed(struct device *dev);

/* The driver did what no driver may: nothing more is done for it until it resets the device. */
void device_broken(struct device *dev, unsigned queue, const char *why);

#endif
