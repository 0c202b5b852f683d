/* SPDX-License-Identifier: MIT */
/* File operations for virtio-blk: the io_uring way, the plain one, and that to another process. */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "device/blk_io.h"
#include "device/blk_vhost.h"

/* The plain way does this many bytes before it lets the loop look at other sources. */
#define TURN_BYTES (4U << 20)

struct blk_io {
	struct loop *loop;
	struct blk_vhost *vhost; /* or NULL, and the file is ours */
	int fd;
	struct blk_io_user user;
	bool async;
	unsigned in_flight; /* queued ones included */
	struct loop_work work; /* plain: do what is queued; io_uring: submit again */
	struct io_uring ring;
	unsigned unsubmitted;
	struct blk_op *queue, **queue_tail; /* plain */
};

/* ---- io_uring -------------------------------------------------------------- */

/* liburing 2.3, Debian 12's, does not export its functions for these two. */
static int register_ring(struct io_uring *ring, unsigned opcode, const void *arg, unsigned count)
{
	return syscall(__NR_io_uring_register, ring->ring_fd, opcode, arg, count) < 0 ? -errno : 0;
}

/*
 * System calls that a ring makes pass by seccomp, so the ring itself is bound:
 * to these operations, on this one file.
 */
static int restrict_ring(struct io_uring *ring)
{
	const struct io_uring_restriction rules[] = {
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_READV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITEV},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FSYNC},
		{.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FALLOCATE},
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED, .sqe_flags = IOSQE_FIXED_FILE},
		{.opcode = IORING_RESTRICTION_SQE_FLAGS_REQUIRED, .sqe_flags = IOSQE_FIXED_FILE},
	};

	return register_ring(
		ring, IORING_REGISTER_RESTRICTIONS, rules, sizeof(rules) / sizeof(rules[0]));
}

static int open_ring(struct io_uring *ring, int fd, unsigned depth)
{
	int r = io_uring_queue_init(depth, ring, IORING_SETUP_R_DISABLED);

	if (r < 0)
		return r;
	/* Spaces are forked from the monitor; the ring is not for them. */
	r = io_uring_ring_dontfork(ring);
	if (r == 0)
		r = io_uring_register_files(ring, &fd, 1);
	if (r == 0)
		r = restrict_ring(ring);
	if (r == 0)
		r = register_ring(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (r < 0)
		io_uring_queue_exit(ring);
	return r;
}

static void prepare(struct io_uring_sqe *sqe, struct blk_op *op)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
	const int zero = FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE;

	/* Index 0 of the registered files. */
	switch (op->kind) {
	case BLK_IO_READ:
		io_uring_prep_readv(sqe, 0, op->iov, op->iovs, op->offset);
		break;
	case BLK_IO_WRITE:
		io_uring_prep_writev(sqe, 0, op->iov, op->iovs, op->offset);
		break;
	case BLK_IO_SYNC:
		io_uring_prep_fsync(sqe, 0, IORING_FSYNC_DATASYNC);
		break;
	case BLK_IO_PUNCH:
		io_uring_prep_fallocate(sqe, 0, punch, (off_t)op->offset, (off_t)op->length);
		break;
	case BLK_IO_ZERO:
		io_uring_prep_fallocate(sqe, 0, zero, (off_t)op->offset, (off_t)op->length);
		break;
	}
	sqe->flags |= IOSQE_FIXED_FILE;
	io_uring_sqe_set_data(sqe, op);
}

static void ring_queue(struct blk_io *io, struct blk_op *op)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&io->ring);

	if (!sqe)
		log_bug("more disk operations than were agreed on");
	prepare(sqe, op);
	io->unsubmitted++;
}

/* Hands on all results there are; true if there were any. A done callback may queue, not submit. */
static bool ring_reap(struct blk_io *io)
{
	struct io_uring_cqe *cqe;
	bool any = false;

	while (io_uring_peek_cqe(&io->ring, &cqe) == 0) {
		struct blk_op *op = io_uring_cqe_get_data(cqe);
		int result = cqe->res;

		io_uring_cqe_seen(&io->ring, cqe);
		io->in_flight--;
		io->user.done(io->user.arg, op, result);
		any = true;
	}
	return any;
}

static void ring_enter(struct blk_io *io, unsigned wait)
{
	int n = wait ? io_uring_submit_and_wait(&io->ring, wait) : io_uring_submit(&io->ring);

	if (n > 0)
		io->unsubmitted -= (unsigned)n;
	else if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY && n != -ENOMEM)
		log_bug("io_uring_enter failed");
}

/*
 * What is in the page cache is done by the time io_uring_enter() returns. To
 * take those results here spares the loop a round, and the host a wake-up.
 */
static void ring_submit(struct blk_io *io)
{
	if (io->unsubmitted > 0)
		ring_enter(io, 0);
	bool any = ring_reap(io);

	/* Either done queued more, or the host is short of something and will not say when it has
	 * it. */
	if (io->unsubmitted > 0)
		loop_defer(io->loop, &io->work);
	if (any)
		io->user.batch_done(io->user.arg);
}

static void ring_ready(void *arg, uint32_t events)
{
	(void)events;
	ring_submit(arg);
}

static void ring_drain(struct blk_io *io)
{
	while (io->in_flight > 0) {
		ring_enter(io, 1);
		ring_reap(io);
	}
}

/* ---- Plain calls ----------------------------------------------------------- */

static int plain_do(const struct blk_io *io, const struct blk_op *op)
{
	off_t offset = (off_t)op->offset, length = (off_t)op->length;
	ssize_t r = 0;

	do {
		switch (op->kind) {
		case BLK_IO_READ:
			r = preadv(io->fd, op->iov, (int)op->iovs, offset);
			break;
		case BLK_IO_WRITE:
			r = pwritev(io->fd, op->iov, (int)op->iovs, offset);
			break;
		case BLK_IO_SYNC:
			r = fdatasync(io->fd);
			break;
		case BLK_IO_PUNCH:
			r = fallocate(
				io->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length);
			break;
		case BLK_IO_ZERO:
			r = fallocate(
				io->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, length);
			break;
		}
	} while (r < 0 && errno == EINTR);
	return r < 0 ? -errno : (int)r;
}

/* Does one queued operation; the bytes it moved. */
static unsigned plain_step(struct blk_io *io)
{
	struct blk_op *op = io->queue;

	io->queue = op->next;
	if (!io->queue)
		io->queue_tail = &io->queue;
	io->in_flight--;
	int r = plain_do(io, op);
	io->user.done(io->user.arg, op, r);
	return r > 0 ? (unsigned)r : 0;
}

static void plain_turn(struct blk_io *io)
{
	unsigned moved = 0;

	while (io->queue && moved < TURN_BYTES)
		moved += plain_step(io);
	if (io->queue)
		loop_defer(io->loop, &io->work);
	io->user.batch_done(io->user.arg);
}

/* ---- Either ---------------------------------------------------------------- */

static void put_off(void *arg)
{
	struct blk_io *io = arg;

	if (io->async)
		ring_submit(io);
	else
		plain_turn(io);
}

struct blk_io *blk_io_create(
	struct loop *loop, int fd, unsigned depth, bool sync, const struct blk_io_user *user)
{
	struct blk_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	io->loop = loop;
	io->fd = fd;
	io->user = *user;
	io->work = (struct loop_work){.fn = put_off, .arg = io};
	io->queue_tail = &io->queue;
	if (sync || open_ring(&io->ring, fd, depth) < 0)
		return io;

	/* The ring's own descriptor is readable while there are results: no eventfd is needed. */
	int r = loop_add(loop, io->ring.ring_fd, EPOLLIN, ring_ready, io);
	if (r < 0) {
		io_uring_queue_exit(&io->ring);
		free(io);
		errno = -r;
		return NULL;
	}
	io->async = true;
	return io;
}

struct blk_io *blk_io_vhost(struct loop *loop, struct blk_vhost *v, const struct blk_io_user *user)
{
	struct blk_io *io = calloc(1, sizeof(*io));

	if (!io)
		return NULL;
	*io = (struct blk_io){.loop = loop, .vhost = v, .fd = -1};
	blk_vhost_user(v, user);
	return io;
}

void blk_io_destroy(struct blk_io *io)
{
	loop_cancel(io->loop, &io->work);
	if (io->async) {
		loop_remove(io->loop, io->ring.ring_fd);
		io_uring_queue_exit(&io->ring);
	}
	free(io);
}

bool blk_io_is_async(const struct blk_io *io)
{
	return io->async || io->vhost;
}

void blk_io_queue(struct blk_io *io, struct blk_op *op)
{
	if (io->vhost) {
		blk_vhost_queue(io->vhost, op);
		return;
	}
	io->in_flight++;
	if (io->async) {
		ring_queue(io, op);
		return;
	}
	op->next = NULL;
	*io->queue_tail = op;
	io->queue_tail = &op->next;
}

void blk_io_submit(struct blk_io *io)
{
	if (io->vhost)
		blk_vhost_submit(io->vhost);
	else if (io->async)
		ring_submit(io);
	else if (io->queue)
		loop_defer(io->loop, &io->work);
}

void blk_io_drain(struct blk_io *io)
{
	if (io->vhost) {
		blk_vhost_drain(io->vhost);
		return;
	}
	if (io->async)
		ring_drain(io);
	while (!io->async && io->queue)
		plain_step(io);
	io->user.batch_done(io->user.arg);
}
