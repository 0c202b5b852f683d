/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk: requests of the guest become operations on a host file, or on a disk that another
 * process serves.
 *
 * A request's buffers go to the host's readv and writev as they are. A request
 * lives in the slot of its chain's head: no two in flight have the same one.
 *
 * The guest is told to flush (the host's page cache is a volatile write cache).
 * A flush becomes fdatasync(), which covers every write that has completed when
 * it is submitted; and as a write is acknowledged only once it has completed, it
 * covers all that the guest knows to be written. No other order is promised.
 */
#include <errno.h>
#include <linux/virtio_blk.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "device/blk_state.h"

#define STEP_BYTES (4U << 20) /* one operation moves this much at most, so that none lasts long */

static void finish(struct blk *blk, struct blk_request *rq, uint8_t status)
{
	*(volatile uint8_t *)rq->status = status;
	vq_push(&blk->dev.vq[0], rq->head, rq->written);
}

static uint8_t status_of(int result)
{
	if (result == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	return result < 0 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
}

/* ---- Data ------------------------------------------------------------------ */

/* Queues the next step of a read or write: whole buffers, then part of one. */
static void move(struct blk *blk, struct blk_request *rq)
{
	size_t bytes = 0;
	unsigned n = 0;

	while (n < rq->rests && rq->rest[n].iov_len <= STEP_BYTES - bytes)
		bytes += rq->rest[n++].iov_len;
	rq->cut = 0;
	if (bytes < STEP_BYTES && n < rq->rests) {
		struct iovec *last = &rq->rest[n++];

		rq->cut = last->iov_len - (STEP_BYTES - bytes);
		last->iov_len -= rq->cut;
		bytes = STEP_BYTES;
	}
	rq->step = bytes;
	rq->op.iov = rq->rest;
	rq->op.iovs = n;
	blk_io_queue(blk->io, &rq->op);
}

static void moved(struct blk *blk, struct blk_request *rq, int result)
{
	/* Nothing moved: the file has become shorter behind our back. */
	if (result <= 0 || (size_t)result > rq->step) {
		finish(blk, rq, VIRTIO_BLK_S_IOERR);
		return;
	}
	size_t done = (size_t)result;

	if (rq->op.kind == BLK_IO_READ)
		blk->dev.bytes_in += done;
	else
		blk->dev.bytes_out += done;

	rq->left -= done;
	rq->op.offset += done;
	if (rq->left == 0 || blk->stopping) {
		finish(blk, rq, rq->left == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
		return;
	}
	/* Make the cut buffer whole again before using up what was moved. */
	rq->rest[rq->op.iovs - 1].iov_len += rq->cut;
	vq_advance(&rq->rest, &rq->rests, done);
	move(blk, rq);
}

/* Whether [sector, sector + count) is on the disk; any values. */
static bool on_disk(const struct blk *blk, uint64_t sector, uint64_t count)
{
	return count <= blk->file.sectors && sector <= blk->file.sectors - count;
}

/* A request is answered in one of two ways: a status now, or none yet. */
#define LATER 0xff

static uint8_t start_move(struct blk *blk, struct blk_request *rq, enum blk_io_kind kind,
	uint64_t sector, struct iovec *iov, unsigned iovs, uint64_t length)
{
	if (kind == BLK_IO_WRITE && blk->read_only)
		return VIRTIO_BLK_S_IOERR;
	if (length % SECTOR != 0 || !on_disk(blk, sector, length / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	if (length == 0)
		return VIRTIO_BLK_S_OK;
	rq->op = (struct blk_op){.kind = kind, .offset = sector * SECTOR};
	rq->rest = iov;
	rq->rests = iovs;
	rq->left = length;
	move(blk, rq);
	return LATER;
}

/* ---- Ranges ---------------------------------------------------------------- */

static uint8_t start_range(
	struct blk *blk, struct blk_request *rq, struct vq_chain *chain, bool zero)
{
	struct virtio_blk_discard_write_zeroes range;

	if (blk->read_only)
		return VIRTIO_BLK_S_IOERR;
	if (!(zero ? blk->zero_max : blk->discard_max))
		return VIRTIO_BLK_S_UNSUPP;
	/* One range a request, as max_discard_seg and max_write_zeroes_seg say. */
	if (chain->out_len != sizeof(range))
		return VIRTIO_BLK_S_IOERR;
	vq_peek(chain, &range, sizeof(range));

	/* Only to write zeros may the driver ask for the place to be given up; to discard is to do
	 * so. */
	if (range.flags & ~(zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0U))
		return VIRTIO_BLK_S_UNSUPP;
	if (range.num_sectors > (zero ? blk->zero_max : blk->discard_max) ||
		!on_disk(blk, range.sector, range.num_sectors))
		return VIRTIO_BLK_S_IOERR;
	if (range.num_sectors == 0)
		return VIRTIO_BLK_S_OK;

	bool unmap = range.flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	rq->may_punch = zero && blk->holes;
	rq->op = (struct blk_op){
		.kind = !zero || (unmap && blk->holes) ? BLK_IO_PUNCH : BLK_IO_ZERO,
		.may_unmap = unmap,
		.offset = range.sector * SECTOR,
		.length = range.num_sectors * SECTOR,
	};
	blk_io_queue(blk->io, &rq->op);
	return LATER;
}

/* Some file systems know only one of the two ways to make zeros. */
static bool try_other_way(struct blk *blk, struct blk_request *rq, int result)
{
	if (result != -EOPNOTSUPP || !rq->may_punch || blk->stopping)
		return false;
	rq->may_punch = false;
	rq->op.kind = rq->op.kind == BLK_IO_PUNCH ? BLK_IO_ZERO : BLK_IO_PUNCH;
	blk_io_queue(blk->io, &rq->op);
	return true;
}

/* ---- Requests -------------------------------------------------------------- */

void blk_done(void *arg, struct blk_op *op, int result)
{
	struct blk *blk = arg;
	struct blk_request *rq = (struct blk_request *)op;

	if (op->kind == BLK_IO_READ || op->kind == BLK_IO_WRITE)
		moved(blk, rq, result);
	else if (!try_other_way(blk, rq, result))
		finish(blk, rq, status_of(result));
}

void blk_batch_done(void *arg)
{
	struct blk *blk = arg;

	device_signal(&blk->dev, 0);
}

static uint8_t give_id(const struct blk *blk, struct vq_chain *chain)
{
	char id[VIRTIO_BLK_ID_BYTES] = "";

	snprintf(id, sizeof(id), "lucid-disk-%u", blk->dev.place);
	vq_put(chain, id, sizeof(id));
	return VIRTIO_BLK_S_OK;
}

static uint8_t start_kind(struct blk *blk, struct blk_request *rq, struct vq_chain *chain,
	const struct virtio_blk_outhdr *header)
{
	switch (header->type) {
	case VIRTIO_BLK_T_IN:
		return start_move(
			blk, rq, BLK_IO_READ, header->sector, chain->in, chain->ins, chain->in_len);
	case VIRTIO_BLK_T_OUT:
		return start_move(blk, rq, BLK_IO_WRITE, header->sector, chain->out, chain->outs,
			chain->out_len);
	case VIRTIO_BLK_T_FLUSH:
		rq->op = (struct blk_op){.kind = BLK_IO_SYNC};
		blk_io_queue(blk->io, &rq->op);
		return LATER;
	case VIRTIO_BLK_T_GET_ID:
		return give_id(blk, chain);
	case VIRTIO_BLK_T_DISCARD:
		return start_range(blk, rq, chain, false);
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return start_range(blk, rq, chain, true);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/* A request is a header to read, data, and a status byte to write; however cut into buffers. */
static bool start(struct blk *blk, struct vq_chain *chain, struct blk_request *rq)
{
	struct virtio_blk_outhdr header;

	if (chain->out_len < sizeof(header) || chain->in_len < 1 || chain->in_len > UINT32_MAX)
		return false;
	vq_peek(chain, &header, sizeof(header));
	vq_skip(chain, sizeof(header));
	rq->head = chain->head;
	rq->may_punch = false;
	rq->written = (uint32_t)chain->in_len;

	struct iovec *last = &chain->in[chain->ins - 1];
	rq->status = (uint8_t *)last->iov_base + --last->iov_len;
	chain->in_len--;
	if (last->iov_len == 0)
		chain->ins--;

	throttle_pay(&blk->throttle, chain->out_len + chain->in_len);
	uint8_t status = start_kind(blk, rq, chain, &header);
	if (status != LATER)
		finish(blk, rq, status);
	return true;
}

/* Takes one chain: true unless there is no use in trying for another one now. */
static bool take(struct blk *blk)
{
	struct virtqueue *vq = &blk->dev.vq[0];
	struct iovec iov[BLK_QUEUE_SIZE];
	struct vq_chain chain = {.iov = iov, .max = BLK_QUEUE_SIZE};

	int r = vq_pop(vq, &chain);
	if (r == 0)
		return vq_arm(vq);
	if (r < 0) {
		device_broken(&blk->dev, 0, vq->error);
		return false;
	}
	/* The head names the slot, so the buffers could not be put there at once. */
	struct blk_request *rq = &blk->request[chain.head];
	memcpy(rq->iov, iov, (chain.outs + chain.ins) * sizeof(*iov));
	chain.out = rq->iov;
	chain.in = rq->iov + chain.outs;
	if (!start(blk, &chain, rq)) {
		device_broken(&blk->dev, 0, "a request without header or status");
		return false;
	}
	return true;
}

static void blk_notify(struct device *dev, unsigned queue)
{
	struct blk *blk = (struct blk *)dev;
	unsigned turn = 0;

	while (turn < dev->vq[queue].size && throttle_may(&blk->throttle) && take(blk))
		turn++;
	if (turn == dev->vq[queue].size)
		device_again(dev, 1);
	blk_io_submit(blk->io);
	device_signal(dev, queue);
}

static void blk_stop(struct device *dev, unsigned queue)
{
	struct blk *blk = (struct blk *)dev;

	(void)queue;
	blk->stopping = true;
	blk_io_drain(blk->io);
	blk->stopping = false;
}

/* ---- Limits and size --------------------------------------------------------- */

void blk_on_throttle(void *arg)
{
	struct blk *blk = arg;

	device_again(&blk->dev, 1);
}

void blk_on_resize(void *arg)
{
	struct blk *blk = arg;

	blk->config.capacity = blk->file.sectors;
	log_info("disk %u: %llu MiB from now on", blk->dev.place,
		(unsigned long long)(blk->file.sectors >> 11));
	device_config_changed(&blk->dev);
}

static void blk_destroy(struct device *dev)
{
	device_fini(dev);
	blk_free((struct blk *)dev);
}

const struct device_ops blk_ops = {
	.notify = blk_notify,
	.stop = blk_stop,
	.destroy = blk_destroy,
};
