/* SPDX-License-Identifier: MIT */
/*
 * virtio-mem. The host asks for a size; the guest's driver plugs and unplugs blocks until it has
 * that, as far as it can. A block that is unplugged is punched out of RAM. What the guest touches
 * without having plugged it, it could as well have plugged: the region's size is the limit that
 * the user has set.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "device/device.h"
#include "device/mem.h"

#define QUEUE_SIZE 16

struct mem {
	struct device dev;
	struct virtio_mem_config config;
	bool *plugged; /* one for each block */
	struct iovec iov[VQ_CHAIN_MAX];
};

/* The first block of a request, or -1: it does not lie in the region. */
static int64_t first_block(const struct mem *m, uint64_t addr, uint64_t count)
{
	uint64_t blocks = m->config.region_size / MEM_BLOCK, first;

	if (addr < m->config.addr || (addr - m->config.addr) % MEM_BLOCK != 0 || count == 0)
		return -1;
	first = (addr - m->config.addr) / MEM_BLOCK;
	return first < blocks && count <= blocks - first ? (int64_t)first : -1;
}

static uint64_t count_plugged(const struct mem *m, uint64_t first, uint64_t count)
{
	uint64_t n = 0;

	for (uint64_t i = first; i < first + count; i++)
		n += m->plugged[i];
	return n;
}

static uint16_t plug(struct mem *m, uint64_t first, uint64_t count)
{
	if (count_plugged(m, first, count) != 0)
		return VIRTIO_MEM_RESP_ERROR;
	if (m->config.plugged_size + count * MEM_BLOCK > m->config.requested_size)
		return VIRTIO_MEM_RESP_NACK;
	memset(m->plugged + first, true, count);
	m->config.plugged_size += count * MEM_BLOCK;
	return VIRTIO_MEM_RESP_ACK;
}

static uint16_t unplug(struct mem *m, uint64_t first, uint64_t count)
{
	if (count_plugged(m, first, count) != count)
		return VIRTIO_MEM_RESP_ERROR;
	memset(m->plugged + first, false, count);
	m->config.plugged_size -= count * MEM_BLOCK;
	ram_discard(m->dev.bus->ram, m->config.addr + first * MEM_BLOCK, count * MEM_BLOCK);
	return VIRTIO_MEM_RESP_ACK;
}

static void unplug_all(struct mem *m)
{
	memset(m->plugged, false, m->config.region_size / MEM_BLOCK);
	m->config.plugged_size = 0;
	ram_discard(m->dev.bus->ram, m->config.addr, m->config.region_size);
}

static uint16_t state(const struct mem *m, uint64_t first, uint64_t count)
{
	uint64_t n = count_plugged(m, first, count);

	if (n == count)
		return VIRTIO_MEM_STATE_PLUGGED;
	return n == 0 ? VIRTIO_MEM_STATE_UNPLUGGED : VIRTIO_MEM_STATE_MIXED;
}

static struct virtio_mem_resp answer(struct mem *m, const struct virtio_mem_req *req)
{
	struct virtio_mem_resp resp = {.type = VIRTIO_MEM_RESP_ERROR};
	/* All three requests with an address have it in the same place. */
	uint64_t count = req->u.plug.nb_blocks;
	int64_t first = first_block(m, req->u.plug.addr, count);

	if (req->type == VIRTIO_MEM_REQ_UNPLUG_ALL) {
		unplug_all(m);
		resp.type = VIRTIO_MEM_RESP_ACK;
	} else if (first < 0) {
		return resp;
	} else if (req->type == VIRTIO_MEM_REQ_PLUG) {
		resp.type = plug(m, (uint64_t)first, count);
	} else if (req->type == VIRTIO_MEM_REQ_UNPLUG) {
		resp.type = unplug(m, (uint64_t)first, count);
	} else if (req->type == VIRTIO_MEM_REQ_STATE) {
		resp.type = VIRTIO_MEM_RESP_ACK;
		resp.u.state.state = state(m, (uint64_t)first, count);
	}
	return resp;
}

static void mem_notify(struct device *dev, unsigned queue)
{
	struct mem *m = (struct mem *)dev;
	struct virtqueue *vq = &dev->vq[queue];
	bool idle = false;

	for (unsigned turn = 0; turn < QUEUE_SIZE && !idle; turn++) {
		struct vq_chain chain = {.iov = m->iov, .max = VQ_CHAIN_MAX};
		int r = device_running(dev) ? vq_pop(vq, &chain) : 0;
		struct virtio_mem_resp resp;
		struct virtio_mem_req req;

		if (r == 0) {
			idle = !device_running(dev) || !vq_arm(vq);
			continue;
		}
		if (r < 0 || vq_peek(&chain, &req, sizeof(req)) != sizeof(req) ||
			chain.in_len < sizeof(resp)) {
			device_broken(dev, queue, r < 0 ? vq->error : "a request cut short");
			continue;
		}
		resp = answer(m, &req);
		vq_put(&chain, &resp, sizeof(resp));
		vq_push(vq, chain.head, sizeof(resp));
	}
	device_signal(dev, queue);
	if (!idle)
		device_again(dev, 1ULL << queue);
}

static void mem_destroy(struct device *dev)
{
	struct mem *m = (struct mem *)dev;

	device_fini(dev);
	free(m->plugged);
	free(m);
}

static const struct device_ops mem_ops = {
	.notify = mem_notify,
	.destroy = mem_destroy,
};

struct mem *mem_create(struct bus *bus, uint64_t base, uint64_t size)
{
	struct mem *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->plugged = calloc(size / MEM_BLOCK, sizeof(*m->plugged));
	m->config = (struct virtio_mem_config){
		.block_size = MEM_BLOCK,
		.addr = base,
		.region_size = size,
		.usable_region_size = size,
	};
	m->dev = (struct device){
		.ops = &mem_ops,
		.name = "mem",
		.id = VIRTIO_ID_MEM,
		.config = &m->config,
		.config_size = sizeof(m->config),
		.queues = 1,
		.queue_max = QUEUE_SIZE,
	};
	int r = m->plugged ? device_init(&m->dev, bus) : -ENOMEM;
	if (r < 0) {
		free(m->plugged);
		free(m);
		errno = -r;
		return NULL;
	}
	return m;
}

void mem_set(struct mem *m, uint64_t bytes)
{
	m->config.requested_size = bytes;
	device_config_changed(&m->dev);
}

uint64_t mem_target(const struct mem *m)
{
	return m->config.requested_size;
}

uint64_t mem_plugged(const struct mem *m)
{
	return m->config.plugged_size;
}
