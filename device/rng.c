/* SPDX-License-Identifier: MIT */
/* virtio-rng: fills the guest's buffers from getrandom(). */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <sys/random.h>

#include "device/device.h"
#include "device/rng.h"

#define QUEUE_SIZE 8
#define REQUEST_MAX 65536 /* bytes for one chain; more is left unfilled, as the driver is told */

struct rng {
	struct device dev;
	struct iovec iov[VQ_CHAIN_MAX];
};

static uint32_t fill(struct vq_chain *chain)
{
	uint32_t done = 0;

	while (chain->ins > 0 && done < REQUEST_MAX) {
		size_t want = chain->in[0].iov_len;

		if (want > REQUEST_MAX - done)
			want = REQUEST_MAX - done;
		ssize_t n = getrandom(chain->in[0].iov_base, want, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		vq_advance(&chain->in, &chain->ins, (size_t)n);
		done += (uint32_t)n;
	}
	return done;
}

static void rng_notify(struct device *dev, unsigned queue)
{
	struct rng *rng = (struct rng *)dev;
	struct virtqueue *vq = &dev->vq[queue];
	struct vq_chain chain = {.iov = rng->iov, .max = VQ_CHAIN_MAX};

	for (unsigned turn = 0; turn < vq->size; turn++) {
		int r = vq_pop(vq, &chain);
		if (r == 0 && !vq_arm(vq))
			goto out;
		if (r > 0)
			vq_push(vq, chain.head, fill(&chain));
		if (r < 0) {
			device_broken(dev, queue, vq->error);
			goto out;
		}
	}
	device_again(dev, 1ULL << queue);
out:
	device_signal(dev, queue);
}

static void rng_destroy(struct device *dev)
{
	device_fini(dev);
	free(dev);
}

static const struct device_ops rng_ops = {
	.notify = rng_notify,
	.destroy = rng_destroy,
};

struct device *rng_create(struct bus *bus)
{
	struct rng *rng = calloc(1, sizeof(*rng));

	if (!rng)
		return NULL;
	rng->dev = (struct device){
		.ops = &rng_ops,
		.name = "rng",
		.id = VIRTIO_ID_RNG,
		.queues = 1,
		.queue_max = QUEUE_SIZE,
	};
	int r = device_init(&rng->dev, bus);
	if (r < 0) {
		free(rng);
		errno = -r;
		return NULL;
	}
	return &rng->dev;
}
