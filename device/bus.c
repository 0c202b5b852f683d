/* SPDX-License-Identifier: MIT */
/* The transport of virtio devices: configuration calls, doorbells, status and reset. */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/bus.h"
#include "device/device.h"

#define TRANSPORT_FEATURES                                                                         \
	(1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |                        \
		1ULL << VIRTIO_RING_F_EVENT_IDX)

#define STATUS_DRIVERS                                                                             \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK |      \
		VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_FAILED)

bool device_running(const struct device *dev)
{
	return (dev->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET |
				      VIRTIO_CONFIG_S_FAILED)) == VIRTIO_CONFIG_S_DRIVER_OK;
}

static uint64_t offered(const struct device *dev)
{
	return dev->offered | TRANSPORT_FEATURES;
}

static void notify(struct device *dev, uint64_t queues)
{
	for (unsigned q = 0; q < dev->queues; q++) {
		/* Asked each time: the last queue may have shown that the driver is broken. */
		if ((queues >> q & 1) && device_running(dev) && dev->vq[q].size > 0)
			dev->ops->notify(dev, q);
	}
}

static void run_again(void *arg)
{
	struct device *dev = arg;
	uint64_t queues = dev->again;

	dev->again = 0;
	notify(dev, queues);
}

void device_again(struct device *dev, uint64_t queues)
{
	dev->again |= queues;
	loop_defer(dev->bus->loop, &dev->work);
}

bool device_signal(struct device *dev, unsigned queue)
{
	if (!device_running(dev) || !vq_event_wanted(&dev->vq[queue]))
		return false;
	dev->bus->raise(dev->bus->raise_arg, LUCID_EVENT_DEVICE(dev->place));
	return true;
}

void device_broken(struct device *dev, unsigned queue, const char *why)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	log_info("virtio %s %u: queue %u: %s; the device needs a reset", dev->name, dev->place,
		queue, why);
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		dev->bus->raise(dev->bus->raise_arg, LUCID_EVENT_CONFIG(dev->place));
}

void device_config_changed(struct device *dev)
{
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		dev->bus->raise(dev->bus->raise_arg, LUCID_EVENT_CONFIG(dev->place));
}

int device_init(struct device *dev, struct bus *bus)
{
	if (dev->queues > LUCID_DEVICE_QUEUES || dev->queue_max > VQ_SIZE_MAX)
		log_bug("a device with too many or too large queues");
	dev->vq = calloc(dev->queues, sizeof(*dev->vq));
	if (!dev->vq)
		return -ENOMEM;
	dev->work = (struct loop_work){.fn = run_again, .arg = dev};
	int r = bus_attach(bus, dev);
	if (r < 0)
		free(dev->vq);
	return r < 0 ? r : 0;
}

void device_fini(struct device *dev)
{
	loop_cancel(dev->bus->loop, &dev->work);
	free(dev->vq);
}

int bus_attach(struct bus *bus, struct device *device)
{
	for (unsigned i = 0; i < LUCID_DEVICES; i++) {
		if (bus->device[i])
			continue;
		bus->device[i] = device;
		device->bus = bus;
		device->place = i;
		return (int)i;
	}
	return -ENOSPC;
}

static void stop_queue(struct device *dev, unsigned queue)
{
	if (dev->vq[queue].size == 0)
		return;
	if (dev->ops->stop)
		dev->ops->stop(dev, queue);
	vq_stop(&dev->vq[queue]);
}

/* Brings everything to an end: no new work, no events, no ring in use. */
static void halt(struct device *dev)
{
	dev->status = 0;
	dev->again = 0;
	loop_cancel(dev->bus->loop, &dev->work);
	for (unsigned q = 0; q < dev->queues; q++)
		stop_queue(dev, q);
}

static void reset(struct device *dev)
{
	halt(dev);
	dev->accepted = 0;
	if (dev->ops->reset)
		dev->ops->reset(dev);
}

void bus_destroy(struct bus *bus)
{
	for (unsigned i = 0; i < LUCID_DEVICES; i++) {
		struct device *dev = bus->device[i];

		if (!dev)
			continue;
		halt(dev);
		bus->device[i] = NULL;
		dev->ops->destroy(dev);
	}
}

void bus_moved(const struct bus *bus, uint32_t id, uint64_t *in, uint64_t *out)
{
	*in = *out = 0;
	for (unsigned i = 0; i < LUCID_DEVICES; i++) {
		const struct device *dev = bus->device[i];

		if (!dev || dev->id != id)
			continue;
		*in += dev->bytes_in;
		*out += dev->bytes_out;
	}
}

void bus_doorbell(struct bus *bus, unsigned dev, uint64_t queues)
{
	if (dev < LUCID_DEVICES && bus->device[dev])
		notify(bus->device[dev], queues);
}

static bool features_fit(const struct device *dev)
{
	uint64_t needed = dev->required | 1ULL << VIRTIO_F_VERSION_1;

	return (dev->accepted & ~offered(dev)) == 0 && (dev->accepted & needed) == needed;
}

static long set_status(struct device *dev, uint64_t value)
{
	uint8_t old = dev->status;

	if (value == 0) {
		reset(dev);
		return 0;
	}
	/* A driver only ever adds bits; NEEDS_RESET is ours, and it may well write back what it
	 * read. */
	if (value & ~(uint64_t)(STATUS_DRIVERS | VIRTIO_CONFIG_S_NEEDS_RESET))
		return LUCID_E_INVAL;
	if ((old & STATUS_DRIVERS) & ~value)
		return LUCID_E_INVAL;
	uint8_t next = (uint8_t)((value & STATUS_DRIVERS) | (old & VIRTIO_CONFIG_S_NEEDS_RESET));

	/* A refusal shows by the bit not being there when the driver reads it back. */
	if ((next & ~old & VIRTIO_CONFIG_S_FEATURES_OK) && !features_fit(dev))
		next &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	if ((next & VIRTIO_CONFIG_S_DRIVER_OK) && !(next & VIRTIO_CONFIG_S_FEATURES_OK))
		return LUCID_E_INVAL;
	dev->status = next;

	/* Drivers may have filled queues before this, when doorbells did nothing. */
	if (next & ~old & VIRTIO_CONFIG_S_DRIVER_OK)
		device_again(dev, ~0ULL);
	return 0;
}

static long accept_features(struct device *dev, uint64_t features)
{
	if (dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return LUCID_E_INVAL;
	dev->accepted = features;
	return 0;
}

static long config_read(const struct device *dev, uint64_t offset, uint64_t length)
{
	long value = 0;

	if (length < 1 || length > sizeof(value) || length > dev->config_size ||
		offset > dev->config_size - length)
		return LUCID_E_INVAL;
	memcpy(&value, (const char *)dev->config + offset, length);
	return value;
}

static long config_write(struct device *dev, uint64_t offset, uint64_t length, uint64_t value)
{
	if (length < 1 || length > sizeof(value) || length > dev->config_size ||
		offset > dev->config_size - length || !dev->ops->config_write ||
		dev->ops->config_write(dev, (unsigned)offset, (unsigned)length, value) < 0)
		return LUCID_E_INVAL;
	return 0;
}

static long queue_setup(struct device *dev, uint64_t which, const uint64_t ring[3])
{
	const uint8_t state = VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK |
			      VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED;
	uint64_t queue = which & 0xffff, size = which >> 16;

	if (queue >= dev->queues || size > dev->queue_max)
		return LUCID_E_INVAL;
	/* Between agreeing on features, which the ring depends on, and going live. */
	if ((dev->status & state) != VIRTIO_CONFIG_S_FEATURES_OK)
		return LUCID_E_INVAL;
	struct virtqueue *vq = &dev->vq[queue];
	if (vq->size > 0)
		return LUCID_E_INVAL;
	vq->event_idx = dev->accepted >> VIRTIO_RING_F_EVENT_IDX & 1;
	vq->indirect = dev->accepted >> VIRTIO_RING_F_INDIRECT_DESC & 1;
	return vq_setup(vq, dev->bus->ram, (unsigned)size, ring[0], ring[1], ring[2]) < 0
		       ? LUCID_E_INVAL
		       : 0;
}

long bus_call(struct bus *bus, unsigned nr, const uint64_t arg[5])
{
	if (arg[0] >= LUCID_DEVICES)
		return LUCID_E_NODEV;
	struct device *dev = bus->device[arg[0]];
	if (!dev)
		return nr == LUCID_MC_DEV_ID ? 0 : LUCID_E_NODEV;

	switch (nr) {
	case LUCID_MC_DEV_ID:
		return dev->id;
	case LUCID_MC_DEV_FEATURES:
		return (long)offered(dev);
	case LUCID_MC_DEV_ACCEPT:
		return accept_features(dev, arg[1]);
	case LUCID_MC_DEV_STATUS:
		return dev->status;
	case LUCID_MC_DEV_SET_STATUS:
		return set_status(dev, arg[1]);
	case LUCID_MC_DEV_CONFIG_READ:
		return config_read(dev, arg[1], arg[2]);
	case LUCID_MC_DEV_CONFIG_WRITE:
		return config_write(dev, arg[1], arg[2], arg[3]);
	case LUCID_MC_DEV_QUEUE_MAX:
		return arg[1] < dev->queues ? dev->queue_max : 0;
	case LUCID_MC_DEV_QUEUE_SETUP:
		return queue_setup(dev, arg[1], &arg[2]);
	case LUCID_MC_DEV_QUEUE_STOP:
		if (arg[1] >= dev->queues)
			return LUCID_E_INVAL;
		stop_queue(dev, (unsigned)arg[1]);
		return 0;
	default:
		return LUCID_E_NOSYS;
	}
}
