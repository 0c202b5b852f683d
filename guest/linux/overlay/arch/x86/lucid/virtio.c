// SPDX-License-Identifier: GPL-2.0
/* The virtio transport: configuration by monitor calls, doorbells and events by the stub. */
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/platform_device.h>
#include <linux/slab.h>
#include <linux/virtio.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>

#include "lucid.h"

struct lucid_virtio {
	struct virtio_device vdev;
	unsigned int place;
};

static struct lucid_virtio *to_lucid(struct virtio_device *vdev)
{
	return container_of(vdev, struct lucid_virtio, vdev);
}

static long device_call(struct virtio_device *vdev, u64 nr, u64 a1, u64 a2, u64 a3, u64 a4)
{
	return lucid_call(nr, to_lucid(vdev)->place, a1, a2, a3, a4);
}

static void config_get(struct virtio_device *vdev, unsigned int offset, void *buf, unsigned int len)
{
	while (len) {
		unsigned int part = min(len, 8u);
		u64 value = device_call(vdev, LUCID_MC_DEV_CONFIG_READ, offset, part, 0, 0);

		memcpy(buf, &value, part);
		buf += part;
		offset += part;
		len -= part;
	}
}

static void config_set(struct virtio_device *vdev, unsigned int offset, const void *buf,
		       unsigned int len)
{
	while (len) {
		unsigned int part = min(len, 8u);
		u64 value = 0;

		memcpy(&value, buf, part);
		device_call(vdev, LUCID_MC_DEV_CONFIG_WRITE, offset, part, value, 0);
		buf += part;
		offset += part;
		len -= part;
	}
}

static u8 get_status(struct virtio_device *vdev)
{
	return device_call(vdev, LUCID_MC_DEV_STATUS, 0, 0, 0, 0);
}

static void set_status(struct virtio_device *vdev, u8 status)
{
	device_call(vdev, LUCID_MC_DEV_SET_STATUS, status, 0, 0, 0);
}

static void reset(struct virtio_device *vdev)
{
	set_status(vdev, 0);
}

static u64 get_features(struct virtio_device *vdev)
{
	return device_call(vdev, LUCID_MC_DEV_FEATURES, 0, 0, 0, 0);
}

static int finalize_features(struct virtio_device *vdev)
{
	vring_transport_features(vdev);
	device_call(vdev, LUCID_MC_DEV_ACCEPT, vdev->features, 0, 0, 0);
	return 0;
}

static bool notify(struct virtqueue *vq)
{
	lucid_notify(to_lucid(vq->vdev)->place, vq->index);
	return true;
}

static irqreturn_t queue_event(int irq, void *data)
{
	struct lucid_virtio *lv = data;
	irqreturn_t ret = IRQ_NONE;
	struct virtqueue *vq;

	virtio_device_for_each_vq(&lv->vdev, vq)
		ret |= vring_interrupt(irq, vq);
	return ret ? IRQ_HANDLED : IRQ_NONE;
}

static irqreturn_t config_event(int irq, void *data)
{
	struct lucid_virtio *lv = data;

	virtio_config_changed(&lv->vdev);
	return IRQ_HANDLED;
}

static void del_vqs(struct virtio_device *vdev)
{
	struct lucid_virtio *lv = to_lucid(vdev);
	struct virtqueue *vq, *next;

	free_irq(lucid_event_irq(LUCID_EVENT_DEVICE(lv->place)), lv);
	free_irq(lucid_event_irq(LUCID_EVENT_CONFIG(lv->place)), lv);
	list_for_each_entry_safe(vq, next, &vdev->vqs, list) {
		device_call(vdev, LUCID_MC_DEV_QUEUE_STOP, vq->index, 0, 0, 0);
		vring_del_virtqueue(vq);
	}
}

static struct virtqueue *setup_vq(struct virtio_device *vdev, unsigned int index,
				  struct virtqueue_info *info)
{
	long max = device_call(vdev, LUCID_MC_DEV_QUEUE_MAX, index, 0, 0, 0);
	struct virtqueue *vq;
	long err;

	if (max <= 0)
		return ERR_PTR(-ENOENT);
	vq = vring_create_virtqueue(index, max, SMP_CACHE_BYTES, vdev, true, true, info->ctx,
				    notify, info->callback, info->name);
	if (!vq)
		return ERR_PTR(-ENOMEM);
	vq->num_max = max;
	err = device_call(vdev, LUCID_MC_DEV_QUEUE_SETUP,
			  index | (u64)virtqueue_get_vring_size(vq) << 16,
			  virtqueue_get_desc_addr(vq), virtqueue_get_avail_addr(vq),
			  virtqueue_get_used_addr(vq));
	if (err) {
		vring_del_virtqueue(vq);
		return ERR_PTR(err);
	}
	return vq;
}

static int find_vqs(struct virtio_device *vdev, unsigned int count, struct virtqueue *vqs[],
		    struct virtqueue_info infos[], struct irq_affinity *affinity)
{
	struct lucid_virtio *lv = to_lucid(vdev);
	unsigned int i, index = 0;
	int err;

	err = request_irq(lucid_event_irq(LUCID_EVENT_DEVICE(lv->place)), queue_event, 0,
			  dev_name(&vdev->dev), lv);
	if (err)
		return err;
	err = request_irq(lucid_event_irq(LUCID_EVENT_CONFIG(lv->place)), config_event, 0,
			  dev_name(&vdev->dev), lv);
	if (err) {
		free_irq(lucid_event_irq(LUCID_EVENT_DEVICE(lv->place)), lv);
		return err;
	}
	for (i = 0; i < count; i++) {
		vqs[i] = NULL;
		if (!infos[i].name)
			continue;
		vqs[i] = setup_vq(vdev, index++, &infos[i]);
		if (IS_ERR(vqs[i])) {
			err = PTR_ERR(vqs[i]);
			del_vqs(vdev);
			return err;
		}
	}
	return 0;
}

static const char *bus_name(struct virtio_device *vdev)
{
	return "lucid";
}

/* Without this, virtio waits for a grace period: 12 ms a device, when the machine powers off. */
static void synchronize_cbs(struct virtio_device *vdev)
{
	struct lucid_virtio *lv = to_lucid(vdev);

	synchronize_irq(lucid_event_irq(LUCID_EVENT_DEVICE(lv->place)));
	synchronize_irq(lucid_event_irq(LUCID_EVENT_CONFIG(lv->place)));
}

static const struct virtio_config_ops config_ops = {
	.synchronize_cbs = synchronize_cbs,
	.get = config_get,
	.set = config_set,
	.get_status = get_status,
	.set_status = set_status,
	.reset = reset,
	.find_vqs = find_vqs,
	.del_vqs = del_vqs,
	.get_features = get_features,
	.finalize_features = finalize_features,
	.bus_name = bus_name,
};

static void release(struct device *dev)
{
	kfree(container_of(dev, struct lucid_virtio, vdev.dev));
}

static int __init add_device(struct device *parent, unsigned int place, u32 id)
{
	struct lucid_virtio *lv = kzalloc(sizeof(*lv), GFP_KERNEL);
	int err;

	if (!lv)
		return -ENOMEM;
	lv->place = place;
	lv->vdev.dev.parent = parent;
	lv->vdev.dev.release = release;
	lv->vdev.id.device = id;
	lv->vdev.id.vendor = 0x4c756364; /* "Lucd" */
	lv->vdev.config = &config_ops;
	err = register_virtio_device(&lv->vdev);
	if (err)
		put_device(&lv->vdev.dev);
	return err;
}

static int __init scan(void)
{
	struct platform_device *parent;
	unsigned int place;

	parent = platform_device_register_simple("lucid-virtio", -1, NULL, 0);
	if (IS_ERR(parent))
		return PTR_ERR(parent);
	/* Devices reach all of memory: there is no DMA but the monitor's copies. */
	dma_coerce_mask_and_coherent(&parent->dev, DMA_BIT_MASK(64));
	for (place = 0; place < LUCID_DEVICES; place++) {
		long id = lucid_call(LUCID_MC_DEV_ID, place, 0, 0, 0, 0);

		if (id > 0 && add_device(&parent->dev, place, id))
			pr_err("lucid: device %u (virtio %ld) is not to be had\n", place, id);
	}
	return 0;
}
device_initcall(scan);
