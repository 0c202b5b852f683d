/* SPDX-License-Identifier: MIT */
/* Split rings as the device sees them: take a chain, give it back, who wakes whom. */
#include <errno.h>
#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <string.h>

#include "base/log.h"
#include "device/virtqueue.h"

/* Sizes of the three parts; the two rings each end with an event index. */
#define DESC_BYTES(size) (16ULL * (size))
#define AVAIL_BYTES(size) (6 + 2ULL * (size))
#define USED_BYTES(size) (6 + 8ULL * (size))

#define AVAIL_EVENT_OFFSET(size) (4 + 8ULL * (size)) /* in the used ring, ours */
#define USED_EVENT_OFFSET(size) (4 + 2ULL * (size)) /* in the available ring, the guest's */

/* The 16-bit fields that both sides touch at the same time. vq_setup() has checked where they are.
 */
static uint16_t *field(const struct virtqueue *vq, uint64_t pa)
{
	uint16_t *p = ram_range(vq->ram, pa, sizeof(*p));

	if (!p)
		log_bug("a ring outside RAM");
	return p;
}

static uint16_t load(const struct virtqueue *vq, uint64_t pa)
{
	return __atomic_load_n(field(vq, pa), __ATOMIC_ACQUIRE);
}

static void store(const struct virtqueue *vq, uint64_t pa, uint16_t value)
{
	__atomic_store_n(field(vq, pa), value, __ATOMIC_RELEASE);
}

int vq_setup(struct virtqueue *vq, const struct ram *ram, unsigned size, uint64_t desc,
	uint64_t avail, uint64_t used)
{
	if (size == 0 || size > VQ_SIZE_MAX || (size & (size - 1)) != 0)
		return -EINVAL;
	if (desc % 16 != 0 || avail % 2 != 0 || used % 4 != 0)
		return -EINVAL;
	if (!ram_range(ram, desc, DESC_BYTES(size)) || !ram_range(ram, avail, AVAIL_BYTES(size)) ||
		!ram_range(ram, used, USED_BYTES(size)))
		return -EINVAL;

	bool event_idx = vq->event_idx, indirect = vq->indirect;
	*vq = (struct virtqueue){
		.ram = ram,
		.size = (uint16_t)size,
		.event_idx = event_idx,
		.indirect = indirect,
		.desc = desc,
		.avail = avail,
		.used = used,
	};
	return 0;
}

void vq_stop(struct virtqueue *vq)
{
	vq->size = 0;
	memset(vq->in_flight, 0, sizeof(vq->in_flight));
}

static uint64_t *flight_word(struct virtqueue *vq, uint16_t head)
{
	return &vq->in_flight[head / 64];
}

static uint64_t flight_bit(uint16_t head)
{
	return 1ULL << (head % 64);
}

static int nonsense(struct virtqueue *vq, const char *what)
{
	vq->error = what;
	return -EINVAL;
}

/* Adds one buffer to the chain: first all that the guest gives, then all that it wants. */
static int add_buffer(struct virtqueue *vq, struct vq_chain *chain, const struct vring_desc *d)
{
	if (d->len == 0)
		return nonsense(vq, "a buffer of no length");
	void *base = ram_range(vq->ram, d->addr, d->len);
	if (!base)
		return nonsense(vq, "a buffer outside RAM");
	unsigned n = chain->outs + chain->ins;
	if (n >= chain->max)
		return nonsense(vq, "too many buffers in a chain");

	chain->iov[n] = (struct iovec){.iov_base = base, .iov_len = d->len};
	if (d->flags & VRING_DESC_F_WRITE) {
		chain->ins++;
		chain->in_len += d->len;
	} else {
		if (chain->ins > 0)
			return nonsense(vq, "a readable buffer after a writable one");
		chain->outs++;
		chain->out_len += d->len;
	}
	return 0;
}

/* The table of descriptors that a chain runs through: the ring's own, or an indirect one. */
struct table {
	uint64_t pa;
	uint32_t count;
	bool indirect;
};

static int enter_indirect(struct virtqueue *vq, struct table *table, const struct vring_desc *d)
{
	if (!vq->indirect)
		return nonsense(vq, "an indirect descriptor that was not negotiated");
	if (table->indirect)
		return nonsense(vq, "an indirect descriptor in an indirect table");
	if (d->flags & VRING_DESC_F_NEXT)
		return nonsense(vq, "an indirect descriptor with a next one");
	if (d->len == 0 || d->len % sizeof(struct vring_desc) != 0)
		return nonsense(vq, "an indirect table of a wrong length");
	if (!ram_range(vq->ram, d->addr, d->len))
		return nonsense(vq, "an indirect table outside RAM");
	*table = (struct table){
		.pa = d->addr,
		.count = d->len / sizeof(struct vring_desc),
		.indirect = true,
	};
	return 0;
}

static int walk(struct virtqueue *vq, struct vq_chain *chain)
{
	struct table table = {.pa = vq->desc, .count = vq->size};
	uint16_t index = chain->head;
	uint32_t seen = 0;

	for (;;) {
		struct vring_desc d;

		if (index >= table.count)
			return nonsense(vq, "a descriptor index beyond its table");
		/* A chain longer than its table goes through some entry twice: a loop. */
		if (seen++ >= table.count)
			return nonsense(vq, "a chain that loops");
		if (!ram_read(vq->ram, table.pa + sizeof(d) * index, &d, sizeof(d)))
			log_bug("a descriptor table outside RAM");

		int r;
		if (d.flags & VRING_DESC_F_INDIRECT) {
			r = enter_indirect(vq, &table, &d);
			index = 0;
			seen = 0;
		} else {
			r = add_buffer(vq, chain, &d);
			if (r == 0 && !(d.flags & VRING_DESC_F_NEXT))
				return 0;
			index = d.next;
		}
		if (r < 0)
			return r;
	}
}

int vq_pop(struct virtqueue *vq, struct vq_chain *chain)
{
	if (vq->size == 0)
		return 0;
	/* The acquiring load orders what follows after the index that announced it. */
	uint16_t idx = load(vq, vq->avail + offsetof(struct vring_avail, idx));
	uint16_t ready = (uint16_t)(idx - vq->next_avail);
	if (ready == 0)
		return 0;
	if (ready > vq->size)
		return nonsense(vq, "an available index that jumps");

	uint16_t slot = vq->next_avail & (vq->size - 1);
	uint16_t head = load(vq, vq->avail + offsetof(struct vring_avail, ring) + 2ULL * slot);
	if (head >= vq->size)
		return nonsense(vq, "a head beyond the ring");
	if (*flight_word(vq, head) & flight_bit(head))
		return nonsense(vq, "a head that is in flight already");

	chain->head = head;
	chain->outs = chain->ins = 0;
	chain->out_len = chain->in_len = 0;
	int r = walk(vq, chain);
	if (r < 0)
		return r;
	chain->out = chain->iov;
	chain->in = chain->iov + chain->outs;
	*flight_word(vq, head) |= flight_bit(head);
	vq->next_avail++;
	return 1;
}

void vq_fill(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	struct vring_used_elem elem = {.id = head, .len = len};

	/* Stopped with the chain in flight: the ring is not ours any more. */
	if (head >= vq->size)
		return;
	uint16_t slot = vq->next_used & (vq->size - 1);
	if (!ram_write(vq->ram, vq->used + offsetof(struct vring_used, ring) + sizeof(elem) * slot,
		    &elem, sizeof(elem)))
		log_bug("a used ring outside RAM");
	*flight_word(vq, head) &= ~flight_bit(head);
	vq->next_used++;
}

void vq_publish(struct virtqueue *vq)
{
	if (vq->size == 0)
		return;
	/* The releasing store: data and elements are there before the index that announces them. */
	store(vq, vq->used + offsetof(struct vring_used, idx), vq->next_used);
}

void vq_push(struct virtqueue *vq, uint16_t head, uint32_t len)
{
	vq_fill(vq, head, len);
	vq_publish(vq);
}

/*
 * Both of the following are one half of a handshake: each side stores its own
 * index, then reads the other's, with a full barrier between. So at least one
 * of the two sees the other's news, and no wake-up is lost.
 */
bool vq_arm(struct virtqueue *vq)
{
	if (vq->size == 0)
		return false;
	/* Without event indexes doorbells are always on: used->flags stays 0. */
	if (vq->event_idx)
		store(vq, vq->used + AVAIL_EVENT_OFFSET(vq->size), vq->next_avail);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return load(vq, vq->avail + offsetof(struct vring_avail, idx)) != vq->next_avail;
}

bool vq_event_wanted(struct virtqueue *vq)
{
	uint16_t old = vq->signalled;

	if (vq->size == 0 || vq->next_used == old)
		return false;
	vq->signalled = vq->next_used;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!vq->event_idx) {
		uint16_t flags = load(vq, vq->avail + offsetof(struct vring_avail, flags));
		return !(flags & VRING_AVAIL_F_NO_INTERRUPT);
	}
	uint16_t event = load(vq, vq->avail + USED_EVENT_OFFSET(vq->size));
	return vring_need_event(event, vq->next_used, old);
}

void vq_advance(struct iovec **iov, unsigned *count, size_t n)
{
	while (n > 0) {
		struct iovec *first = *iov;

		if (*count == 0)
			log_bug("more bytes used than there are");
		size_t part = n < first->iov_len ? n : first->iov_len;
		first->iov_base = (char *)first->iov_base + part;
		first->iov_len -= part;
		n -= part;
		if (first->iov_len == 0) {
			(*iov)++;
			(*count)--;
		}
	}
}

size_t vq_peek(const struct vq_chain *chain, void *dst, size_t n)
{
	size_t done = 0;

	for (unsigned i = 0; i < chain->outs && done < n; i++) {
		size_t part = chain->out[i].iov_len;

		if (part > n - done)
			part = n - done;
		memcpy((char *)dst + done, chain->out[i].iov_base, part);
		done += part;
	}
	/* As in ram_read(): the copy is made here and once. */
	__asm__ volatile("" ::: "memory");
	return done;
}

void vq_skip(struct vq_chain *chain, size_t n)
{
	vq_advance(&chain->out, &chain->outs, n);
	chain->out_len -= n;
}

size_t vq_put(struct vq_chain *chain, const void *src, size_t n)
{
	size_t done = 0;

	while (done < n && chain->ins > 0) {
		size_t part = chain->in[0].iov_len;

		if (part > n - done)
			part = n - done;
		memcpy(chain->in[0].iov_base, (const char *)src + done, part);
		vq_advance(&chain->in, &chain->ins, part);
		done += part;
	}
	chain->in_len -= done;
	return done;
}
