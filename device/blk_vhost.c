/* SPDX-License-Identifier: MIT */
/*
 * The driver's side of a virtio-blk ring, for a back end beyond vhost-user.
 *
 * Each operation has a slot: one descriptor of the ring, which leads to an indirect table of its
 * own, header and status. What the back end could change while we look at it is read once: an index
 * and a number from the used ring, a status byte.
 */
#include "device/blk_vhost.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "device/blk_file.h"
#include "device/vhost_user.h"

#define DEPTH BLK_VHOST_DEPTH
#define DRAIN_MS 30000 /* a back end that takes longer than this for an operation is lost */
#define CONFIG_SIZE 60 /* up to and with what there is of write zeroes */

struct slot {
	struct vring_desc table[BLK_VHOST_SEGMENTS + 2];
	struct virtio_blk_outhdr header;
	struct virtio_blk_discard_write_zeroes range;
	uint8_t status;
};

/* What the back end shares with us. */
struct shared {
	struct vring_desc desc[DEPTH];
	_Alignas(64) struct {
		uint16_t flags, idx, ring[DEPTH], used_event;
	} avail;
	_Alignas(64) struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[DEPTH];
		uint16_t avail_event;
	} used;
	struct slot slot[DEPTH];
};

struct blk_vhost {
	struct loop *loop;
	struct blk_io_user user;
	int socket; /* -1: the back end is gone */
	int kick, call;
	int memfd;
	void (*gone)(void *arg);
	void *gone_arg;
	bool event_idx;
	struct shared *shared;
	struct blk_op *op[DEPTH]; /* what the back end has, by slot */
	uint64_t length[DEPTH]; /* bytes that it moves */
	uint16_t unused[DEPTH]; /* slots */
	unsigned unused_count;
	uint16_t avail, kicked, used; /* indices: ours, as of the last kick, and of the back end */
	struct blk_op *failed, **failed_tail; /* to be answered with -EIO */
	struct loop_work work;
};

#define load(p) __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_RELEASE)

/* ---- The end of a back end ------------------------------------------------------- */

static void fail(struct blk_vhost *v, struct blk_op *op)
{
	op->next = NULL;
	*v->failed_tail = op;
	v->failed_tail = &op->next;
	loop_defer(v->loop, &v->work);
}

static bool answer_failed(struct blk_vhost *v)
{
	bool any = false;

	while (v->failed) {
		struct blk_op *op = v->failed;

		v->failed = op->next;
		if (!v->failed)
			v->failed_tail = &v->failed;
		v->user.done(v->user.arg, op, -EIO);
		any = true;
	}
	return any;
}

static void on_failed(void *arg)
{
	struct blk_vhost *v = arg;

	if (answer_failed(v))
		v->user.batch_done(v->user.arg);
}

static void lose(struct blk_vhost *v)
{
	if (v->socket < 0)
		return;
	loop_remove(v->loop, v->socket);
	loop_remove(v->loop, v->call);
	close(v->socket);
	v->socket = -1;
	/* First of all: it has guest memory, and what it had of that is the guest's again. */
	if (v->gone)
		v->gone(v->gone_arg);
	for (unsigned i = 0; i < DEPTH; i++) {
		if (v->op[i])
			fail(v, v->op[i]);
		v->op[i] = NULL;
	}
}

/* ---- Results --------------------------------------------------------------------- */

static int result_of(const struct blk_op *op, uint8_t status, uint64_t length)
{
	switch (status) {
	case VIRTIO_BLK_S_OK:
		return op->kind == BLK_IO_READ || op->kind == BLK_IO_WRITE ? (int)length : 0;
	case VIRTIO_BLK_S_UNSUPP:
		return -EOPNOTSUPP;
	default:
		return -EIO;
	}
}

/* Hands on all results there are; true if there were any. */
static bool reap(struct blk_vhost *v)
{
	struct shared *s = v->shared;
	bool any = false;

	while (v->socket >= 0 && v->used != load(&s->used.idx)) {
		uint32_t id = *(volatile uint32_t *)&s->used.ring[v->used % DEPTH].id;
		struct blk_op *op = id < DEPTH ? v->op[id] : NULL;

		if (!op) {
			log_info("a disk's back end gave back what it did not have");
			lose(v);
			break;
		}
		int result = result_of(op, *(volatile uint8_t *)&s->slot[id].status, v->length[id]);

		v->used++;
		v->op[id] = NULL;
		v->unused[v->unused_count++] = (uint16_t)id;
		v->user.done(v->user.arg, op, result);
		any = true;
	}
	return any;
}

static void take_results(struct blk_vhost *v)
{
	bool any = false;

	/*
	 * Asks for a call at the next one, and looks whether that has come meanwhile. If so, no
	 * call need come for it, nor for what follows: the event asked for is behind. So it is
	 * asked anew.
	 */
	do {
		any |= reap(v);
		store(&v->shared->avail.used_event, v->used);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	} while (v->socket >= 0 && v->used != load(&v->shared->used.idx));
	blk_vhost_submit(v);
	if (any)
		v->user.batch_done(v->user.arg);
}

static void on_call(void *arg, uint32_t events)
{
	struct blk_vhost *v = arg;
	uint64_t count;

	(void)events;
	if (read(v->call, &count, sizeof(count)) == sizeof(count))
		take_results(v);
}

/* It has nothing to say by itself: what comes is its end, or nonsense. */
static void on_socket(void *arg, uint32_t events)
{
	struct blk_vhost *v = arg;

	(void)events;
	take_results(v);
	lose(v);
}

/* ---- Operations ------------------------------------------------------------------- */

static void describe(struct vring_desc *d, const void *data, size_t len, unsigned flags)
{
	*d = (struct vring_desc){
		.addr = (uintptr_t)data, .len = (uint32_t)len, .flags = (uint16_t)flags};
}

/* Fills the indirect table; how many descriptors. */
static unsigned lay_out(struct slot *s, const struct blk_op *op, uint64_t *length)
{
	const unsigned in = op->kind == BLK_IO_READ ? VRING_DESC_F_WRITE : 0;
	unsigned n = 0;

	*length = 0;
	describe(&s->table[n++], &s->header, sizeof(s->header), 0);
	if (op->kind == BLK_IO_READ || op->kind == BLK_IO_WRITE) {
		for (unsigned i = 0; i < op->iovs; i++) {
			describe(&s->table[n++], op->iov[i].iov_base, op->iov[i].iov_len, in);
			*length += op->iov[i].iov_len;
		}
	} else if (op->kind != BLK_IO_SYNC) {
		s->range = (struct virtio_blk_discard_write_zeroes){
			.sector = op->offset / SECTOR,
			.num_sectors = (uint32_t)(op->length / SECTOR),
			.flags = op->may_unmap ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0,
		};
		describe(&s->table[n++], &s->range, sizeof(s->range), 0);
	}
	s->status = 0xff;
	describe(&s->table[n++], &s->status, 1, VRING_DESC_F_WRITE);
	for (unsigned i = 0; i + 1 < n; i++) {
		s->table[i].flags |= VRING_DESC_F_NEXT;
		s->table[i].next = (uint16_t)(i + 1);
	}
	return n;
}

void blk_vhost_queue(struct blk_vhost *v, struct blk_op *op)
{
	static const uint32_t type[] = {
		[BLK_IO_READ] = VIRTIO_BLK_T_IN,
		[BLK_IO_WRITE] = VIRTIO_BLK_T_OUT,
		[BLK_IO_SYNC] = VIRTIO_BLK_T_FLUSH,
		[BLK_IO_PUNCH] = VIRTIO_BLK_T_DISCARD,
		[BLK_IO_ZERO] = VIRTIO_BLK_T_WRITE_ZEROES,
	};

	if (v->socket < 0) {
		fail(v, op);
		return;
	}
	if (v->unused_count == 0 || op->iovs > BLK_VHOST_SEGMENTS)
		log_bug("more disk operations than were agreed on");
	uint16_t id = v->unused[--v->unused_count];
	struct slot *s = &v->shared->slot[id];

	s->header = (struct virtio_blk_outhdr){.type = type[op->kind]};
	if (op->kind == BLK_IO_READ || op->kind == BLK_IO_WRITE)
		s->header.sector = op->offset / SECTOR;
	v->op[id] = op;
	describe(&v->shared->desc[id], s->table,
		lay_out(s, op, &v->length[id]) * sizeof(s->table[0]), VRING_DESC_F_INDIRECT);
	v->shared->avail.ring[v->avail % DEPTH] = id;
	store(&v->shared->avail.idx, ++v->avail);
}

void blk_vhost_submit(struct blk_vhost *v)
{
	const uint64_t one = 1;
	uint16_t event, last = v->kicked;

	if (v->socket < 0 || v->kicked == v->avail)
		return;
	v->kicked = v->avail;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	event = load(&v->shared->used.avail_event);
	if (v->event_idx && !vring_need_event(event, v->avail, last))
		return;
	if (write(v->kick, &one, sizeof(one)) != sizeof(one))
		log_info("a disk's back end does not listen");
}

void blk_vhost_drain(struct blk_vhost *v)
{
	struct pollfd p[2] = {{.fd = v->call, .events = POLLIN}, {.events = 0}};
	uint64_t count;

	blk_vhost_submit(v);
	while (v->socket >= 0 && v->unused_count < DEPTH) {
		p[1].fd = v->socket;
		store(&v->shared->avail.used_event, v->used);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (reap(v)) {
			blk_vhost_submit(v);
			continue;
		}
		int ready = poll(p, 2, DRAIN_MS);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0 || p[1].revents)
			lose(v);
		else if (read(v->call, &count, sizeof(count)) < 0 && errno != EAGAIN)
			lose(v);
	}
	answer_failed(v);
	loop_cancel(v->loop, &v->work);
	v->user.batch_done(v->user.arg);
}

/* ---- Creation ------------------------------------------------------------------- */

static int share(struct blk_vhost *v)
{
	v->memfd = memfd_create("lucid-disk", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (v->memfd < 0 || ftruncate(v->memfd, sizeof(struct shared)) < 0)
		return -errno;
	/* Or the back end could make our next look at it our end. */
	if (fcntl(v->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	v->shared =
		mmap(NULL, sizeof(struct shared), PROT_READ | PROT_WRITE, MAP_SHARED, v->memfd, 0);
	if (v->shared == MAP_FAILED) {
		v->shared = NULL;
		return -errno;
	}
	v->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	v->call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v->kick < 0 || v->call < 0 ? -errno : 0;
}

static int agree(struct blk_vhost *v, const struct ram *ram, struct virtio_blk_config *config,
	uint64_t *features)
{
	const uint64_t required = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC;
	const uint64_t wanted = 1ULL << VIRTIO_RING_F_EVENT_IDX | 1ULL << VIRTIO_BLK_F_RO |
				1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_FLUSH |
				1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
	const struct vhost_user_region region[] = {
		{ram->fd, ram->base, ram->size},
		{v->memfd, v->shared, sizeof(*v->shared)},
	};
	const struct vhost_user_ring ring = {
		.size = DEPTH,
		.desc = v->shared->desc,
		.avail = &v->shared->avail,
		.used = &v->shared->used,
		.kick = v->kick,
		.call = v->call,
	};
	int r = vhost_user_open(v->socket, required, wanted, features);

	memset(config, 0, sizeof(*config));
	if (r == 0)
		r = vhost_user_config(v->socket, config, CONFIG_SIZE);
	v->event_idx = *features >> VIRTIO_RING_F_EVENT_IDX & 1;
	return r < 0 ? r : vhost_user_start(v->socket, region, 2, &ring);
}

static void release(struct blk_vhost *v)
{
	if (v->socket >= 0)
		close(v->socket);
	if (v->shared)
		munmap(v->shared, sizeof(*v->shared));
	if (v->memfd >= 0)
		close(v->memfd);
	if (v->kick >= 0)
		close(v->kick);
	if (v->call >= 0)
		close(v->call);
	free(v);
}

struct blk_vhost *blk_vhost_create(struct loop *loop, const struct ram *ram, int socket,
	void (*gone)(void *arg), void *gone_arg, struct virtio_blk_config *config,
	uint64_t *features)
{
	struct blk_vhost *v = calloc(1, sizeof(*v));
	int r;

	if (!v) {
		close(socket);
		errno = ENOMEM;
		return NULL;
	}
	*v = (struct blk_vhost){.loop = loop,
		.socket = socket,
		.kick = -1,
		.call = -1,
		.memfd = -1,
		.gone = gone,
		.gone_arg = gone_arg};
	v->failed_tail = &v->failed;
	v->work = (struct loop_work){.fn = on_failed, .arg = v};
	for (unsigned i = 0; i < DEPTH; i++)
		v->unused[v->unused_count++] = (uint16_t)(DEPTH - 1 - i);
	*features = 0;
	r = share(v);
	if (r == 0)
		r = agree(v, ram, config, features);
	if (r == 0)
		r = loop_add(loop, v->call, EPOLLIN, on_call, v);
	if (r == 0) {
		r = loop_add(loop, socket, EPOLLIN, on_socket, v);
		if (r < 0)
			loop_remove(loop, v->call);
	}
	if (r == 0)
		return v;
	release(v);
	errno = -r;
	return NULL;
}

void blk_vhost_destroy(struct blk_vhost *v)
{
	if (v->socket >= 0) {
		loop_remove(v->loop, v->call);
		loop_remove(v->loop, v->socket);
	}
	loop_cancel(v->loop, &v->work);
	release(v);
}

void blk_vhost_user(struct blk_vhost *v, const struct blk_io_user *user)
{
	v->user = *user;
}
