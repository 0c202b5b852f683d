/* SPDX-License-Identifier: MIT */
/*
 * Reads, writes and syncs of one host file for virtio-blk: through io_uring, or
 * where the host does not let us have one, by ordinary calls from the loop; or of a disk that
 * another process serves. All look alike: what was queued is done some time after
 * blk_io_submit(), in any order, possibly in part.
 */
#ifndef DEVICE_BLK_IO_H
#define DEVICE_BLK_IO_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/loop.h"

enum blk_io_kind {
	BLK_IO_READ,
	BLK_IO_WRITE,
	BLK_IO_SYNC, /* data and what is needed to find it, as fdatasync() */
	BLK_IO_PUNCH, /* give up the range, which then reads as zeros */
	BLK_IO_ZERO, /* zeros that keep their place on the disk */
};

/* One operation; the caller's until blk_io_queue(), and again from done on. */
struct blk_op {
	enum blk_io_kind kind;
	struct iovec *iov; /* READ, WRITE */
	unsigned iovs;
	uint64_t offset; /* all but SYNC */
	uint64_t length; /* PUNCH, ZERO */
	bool may_unmap; /* ZERO: the place on the disk may be given up */
	struct blk_op *next; /* blk_io's */
};

struct blk_io_user {
	/* One operation is done: bytes read or written, 0, or -errno. May queue another,
	 * which is submitted by itself. */
	void (*done)(void *arg, struct blk_op *op, int result);
	/* No more results for now. */
	void (*batch_done)(void *arg);
	void *arg;
};

struct blk_io;
struct blk_vhost;

/*
 * For fd (not owned), with at most depth operations queued or in flight. sync:
 * do not even try io_uring. To be called by the process that will run the loop.
 * NULL and errno on failure.
 */
struct blk_io *blk_io_create(
	struct loop *loop, int fd, unsigned depth, bool sync, const struct blk_io_user *user);
/* The same for what another process serves (not owned). */
struct blk_io *blk_io_vhost(struct loop *loop, struct blk_vhost *v, const struct blk_io_user *user);
/* Nothing may be in flight. */
void blk_io_destroy(struct blk_io *io);

/* Whether operations go through io_uring. */
bool blk_io_is_async(const struct blk_io *io);

void blk_io_queue(struct blk_io *io, struct blk_op *op);
void blk_io_submit(struct blk_io *io);
/* Waits until nothing is queued or in flight; done is called for each operation. */
void blk_io_drain(struct blk_io *io);

#endif
