/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon. The guest names its own pages; whatever it names wrongly harms itself alone.
 * Pages next to each other are punched out together.
 */
#include <errno.h>
#include <linux/virtio_balloon.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "device/balloon.h"
#include "device/device.h"

#define QUEUE_SIZE 128
#define QUEUE_INFLATE 0
#define QUEUE_DEFLATE 1
#define QUEUE_STATS 2
#define QUEUE_REPORTING 3
#define QUEUES 4
#define PAGE 4096ULL
#define PFNS_MAX 1024 /* in one chain; the driver sends 256 */
#define STATS_MAX 32
#define TURN_CHAINS 8 /* before others get their turn: each is many calls of the host */

struct balloon {
	struct device dev;
	struct virtio_balloon_config config;
	void (*told)(void *arg);
	void *arg;
	struct balloon_stats stats;
	bool held; /* the chain for statistics is here */
	bool asked;
	uint16_t head;
	uint64_t reported;
	struct iovec iov[VQ_CHAIN_MAX];
	uint32_t pfn[PFNS_MAX];
};

static void discard(const struct balloon *b, uint64_t pa, uint64_t len)
{
	ram_discard(b->dev.bus->ram, pa, len);
}

/* ---- Inflating ------------------------------------------------------------------- */

/* The driver names its pages in the order in which it got them: forwards or backwards in runs. */
static void punch(struct balloon *b, size_t count)
{
	for (size_t i = 0; i < count;) {
		size_t run = 1;
		int step = 0;

		if (i + 1 < count && b->pfn[i + 1] == b->pfn[i] + 1)
			step = 1;
		else if (i + 1 < count && b->pfn[i + 1] == b->pfn[i] - 1)
			step = -1;
		while (step && i + run < count &&
			b->pfn[i + run] == b->pfn[i + run - 1] + (uint32_t)step)
			run++;
		discard(b, PAGE * b->pfn[step < 0 ? i + run - 1 : i], PAGE * run);
		i += run;
	}
}

static bool inflate(struct balloon *b, const struct vq_chain *chain)
{
	size_t n = vq_peek(chain, b->pfn, sizeof(b->pfn));

	if (n == 0 || n % sizeof(b->pfn[0]) != 0 || chain->out_len > sizeof(b->pfn))
		return false;
	punch(b, n / sizeof(b->pfn[0]));
	return true;
}

/* ---- Reporting ---------------------------------------------------------------------- */

/* Each buffer of the chain is free memory itself. */
static void report(struct balloon *b, const struct vq_chain *chain)
{
	const unsigned char *base = b->dev.bus->ram->base;

	for (unsigned i = 0; i < chain->ins; i++) {
		uint64_t pa = (uint64_t)((unsigned char *)chain->in[i].iov_base - base);
		uint64_t end = (pa + chain->in[i].iov_len) & ~(PAGE - 1);

		pa = (pa + PAGE - 1) & ~(PAGE - 1);
		if (pa >= end)
			continue;
		discard(b, pa, end - pa);
		b->reported += end - pa;
	}
}

/* ---- Statistics ---------------------------------------------------------------------- */

static void take_stat(struct balloon_stats *s, const struct virtio_balloon_stat *stat)
{
	switch (stat->tag) {
	case VIRTIO_BALLOON_S_MEMTOT:
		s->total = stat->val;
		break;
	case VIRTIO_BALLOON_S_MEMFREE:
		s->free = stat->val;
		break;
	case VIRTIO_BALLOON_S_AVAIL:
		s->available = stat->val;
		break;
	case VIRTIO_BALLOON_S_CACHES:
		s->caches = stat->val;
		break;
	default:
		break;
	}
}

/* The guest gives a chain with statistics and waits; to give it back is to ask for the next. */
static void take_stats(struct balloon *b)
{
	struct virtqueue *vq = &b->dev.vq[QUEUE_STATS];
	struct virtio_balloon_stat stat[STATS_MAX];
	struct vq_chain chain = {.iov = b->iov, .max = VQ_CHAIN_MAX};
	int r;

	while ((r = vq_pop(vq, &chain)) == 0)
		if (!vq_arm(vq))
			return;
	if (r < 0 || b->held) {
		device_broken(&b->dev, QUEUE_STATS, r < 0 ? vq->error : "statistics not asked for");
		return;
	}
	size_t n = vq_peek(&chain, stat, sizeof(stat)) / sizeof(stat[0]);

	for (size_t i = 0; i < n; i++)
		take_stat(&b->stats, &stat[i]);
	b->held = true;
	b->head = chain.head;
	b->stats.count++;
	if (b->asked && b->told)
		b->told(b->arg);
	b->asked = false;
}

void balloon_ask(struct balloon *b)
{
	if (!b->held || !device_running(&b->dev))
		return;
	b->held = false;
	b->asked = true;
	vq_push(&b->dev.vq[QUEUE_STATS], b->head, 0);
	device_signal(&b->dev, QUEUE_STATS);
	/* So that it is not missed when the ring's rules want no doorbell. */
	device_again(&b->dev, 1ULL << QUEUE_STATS);
}

/* ---- The device ------------------------------------------------------------------------ */

static bool take_chain(struct balloon *b, unsigned queue, struct vq_chain *chain)
{
	switch (queue) {
	case QUEUE_INFLATE:
		return inflate(b, chain);
	case QUEUE_REPORTING:
		report(b, chain);
		return true;
	default: /* pages that the guest takes back come when they are touched */
		return true;
	}
}

static void balloon_notify(struct device *dev, unsigned queue)
{
	struct balloon *b = (struct balloon *)dev;
	struct virtqueue *vq = &dev->vq[queue];
	bool idle = false;

	if (queue == QUEUE_STATS) {
		take_stats(b);
		return;
	}
	for (unsigned turn = 0; turn < TURN_CHAINS && !idle; turn++) {
		struct vq_chain chain = {.iov = b->iov, .max = VQ_CHAIN_MAX};
		int r = device_running(dev) ? vq_pop(vq, &chain) : 0;

		if (r == 0) {
			idle = !device_running(dev) || !vq_arm(vq);
			continue;
		}
		if (r < 0 || !take_chain(b, queue, &chain)) {
			device_broken(dev, queue, r < 0 ? vq->error : "a list of half a page");
			continue;
		}
		vq_push(vq, chain.head, 0);
	}
	device_signal(dev, queue);
	if (!idle)
		device_again(dev, 1ULL << queue);
}

static void balloon_stop(struct device *dev, unsigned queue)
{
	struct balloon *b = (struct balloon *)dev;

	if (queue == QUEUE_STATS)
		b->held = b->asked = false;
}

static void balloon_reset(struct device *dev)
{
	struct balloon *b = (struct balloon *)dev;

	b->config.actual = 0;
}

/* The one field that a driver writes: how much it has given up. */
static int balloon_write(struct device *dev, unsigned offset, unsigned length, uint64_t value)
{
	struct balloon *b = (struct balloon *)dev;

	if (offset != offsetof(struct virtio_balloon_config, actual) || length != 4)
		return -EINVAL;
	b->config.actual = (uint32_t)value;
	return 0;
}

static void balloon_destroy(struct device *dev)
{
	device_fini(dev);
	free(dev);
}

static const struct device_ops balloon_ops = {
	.notify = balloon_notify,
	.stop = balloon_stop,
	.reset = balloon_reset,
	.config_write = balloon_write,
	.destroy = balloon_destroy,
};

struct balloon *balloon_create(struct bus *bus, void (*told)(void *arg), void *arg)
{
	struct balloon *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->told = told;
	b->arg = arg;
	b->dev = (struct device){
		.ops = &balloon_ops,
		.name = "balloon",
		.id = VIRTIO_ID_BALLOON,
		.offered = 1ULL << VIRTIO_BALLOON_F_STATS_VQ |
			   1ULL << VIRTIO_BALLOON_F_DEFLATE_ON_OOM |
			   1ULL << VIRTIO_BALLOON_F_REPORTING,
		.config = &b->config,
		.config_size = sizeof(b->config),
		.queues = QUEUES,
		.queue_max = QUEUE_SIZE,
	};
	int r = device_init(&b->dev, bus);
	if (r < 0) {
		free(b);
		errno = -r;
		return NULL;
	}
	return b;
}

void balloon_set(struct balloon *b, uint64_t bytes)
{
	uint32_t pages = (uint32_t)(bytes / PAGE);

	/* Also if it is the old one: after an out-of-memory the guest begins anew by this alone. */
	b->config.num_pages = pages;
	device_config_changed(&b->dev);
}

uint64_t balloon_target(const struct balloon *b)
{
	return PAGE * b->config.num_pages;
}

uint64_t balloon_actual(const struct balloon *b)
{
	return PAGE * b->config.actual;
}

const struct balloon_stats *balloon_stats(const struct balloon *b)
{
	return &b->stats;
}

uint64_t balloon_reported(const struct balloon *b)
{
	return b->reported;
}
