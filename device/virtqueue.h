/* SPDX-License-Identifier: MIT */
/*
 * The device's side of a virtio 1.x split ring.
 *
 * The rings lie in guest RAM and their contents are hostile: they may change at
 * any time. Descriptors are copied once, checked, then used. What comes out of
 * vq_pop() is a list of pieces of RAM that stays valid whatever the guest does;
 * only their contents are the guest's to change.
 */
#ifndef DEVICE_VIRTQUEUE_H
#define DEVICE_VIRTQUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/ram.h"

#define VQ_SIZE_MAX 1024 /* greatest ring */
#define VQ_CHAIN_MAX 1024 /* most buffers in one chain that any device takes */

struct virtqueue {
	const struct ram *ram;
	uint16_t size; /* 0: not set up */
	bool event_idx; /* VIRTIO_F_RING_EVENT_IDX was accepted */
	bool indirect; /* VIRTIO_F_RING_INDIRECT_DESC was accepted */
	uint64_t desc, avail, used; /* guest physical, checked by vq_setup() */
	uint16_t next_avail; /* index of the next chain to take */
	uint16_t next_used; /* index of the next chain to give back */
	uint16_t signalled; /* next_used when the guest was last asked about */
	const char *error; /* what was wrong, after vq_pop() failed */
	uint64_t in_flight[VQ_SIZE_MAX / 64]; /* heads taken and not given back */
};

/*
 * A chain of buffers. The owner sets iov and max; the rest is vq_pop()'s. out
 * and in shrink from the front as they are used up.
 */
struct vq_chain {
	struct iovec *iov;
	unsigned max; /* entries in iov */
	uint16_t head;
	unsigned outs, ins;
	struct iovec *out, *in; /* from the guest; to the guest */
	size_t out_len, in_len; /* bytes in them */
};

/*
 * Takes a ring into use. -EINVAL if size is not a power of two up to
 * VQ_SIZE_MAX, or a part is misaligned or not wholly in RAM.
 */
int vq_setup(struct virtqueue *vq, const struct ram *ram, unsigned size, uint64_t desc,
	uint64_t avail, uint64_t used);

/* Forgets the ring, and every chain in flight. */
void vq_stop(struct virtqueue *vq);

/*
 * Takes the next chain: 1; 0: there is none; -EINVAL: the ring is nonsense
 * (vq->error says why) and the device needs a reset.
 */
int vq_pop(struct virtqueue *vq, struct vq_chain *chain);

/* Gives a chain back, with len bytes written to its in part. */
void vq_push(struct virtqueue *vq, uint16_t head, uint32_t len);

/*
 * The same in two steps, for chains that the guest must see together: vq_fill()
 * each of them, then vq_publish(). Nothing else happens to the queue between.
 */
void vq_fill(struct virtqueue *vq, uint16_t head, uint32_t len);
void vq_publish(struct virtqueue *vq);

/* Asks the guest for a doorbell. true: chains are there already and no doorbell will come for them.
 */
bool vq_arm(struct virtqueue *vq);

/* Whether the guest wants an event for what was given back since the last call. */
bool vq_event_wanted(struct virtqueue *vq);

/* Copies up to n bytes from the front of out without using them up; how many. */
size_t vq_peek(const struct vq_chain *chain, void *dst, size_t n);

/* Uses up n bytes of out; n is at most out_len. */
void vq_skip(struct vq_chain *chain, size_t n);

/* Copies up to n bytes to the front of in and uses that up; how many. */
size_t vq_put(struct vq_chain *chain, const void *src, size_t n);

/* Drops n bytes from the front of a list of count pieces. */
void vq_advance(struct iovec **iov, unsigned *count, size_t n);

#endif
