/* SPDX-License-Identifier: MIT */
/* What blk.c, which does the requests, and blk_open.c, which makes the disk, share. */
#ifndef DEVICE_BLK_STATE_H
#define DEVICE_BLK_STATE_H

#include <linux/virtio_blk.h>
#include <stdbool.h>

#include "device/blk.h"
#include "device/blk_file.h"
#include "device/blk_io.h"
#include "device/blk_vhost.h"
#include "device/device.h"
#include "device/throttle.h"

#define BLK_QUEUE_SIZE 128
#define SEGMENTS                                                                                   \
	(BLK_QUEUE_SIZE - 2) /* data buffers of a request; header and status are two more */
#define DISCARD_SECTORS (1U << 21) /* 1 GiB: giving up is quick */
#define ZERO_SECTORS (1U << 17) /* 64 MiB: a block device may have to write it */

struct blk_request {
	struct blk_op op;
	uint16_t head;
	bool may_punch; /* of BLK_IO_ZERO: a hole will do too */
	uint32_t written; /* bytes put into the guest's buffers, when all goes well */
	uint8_t *status;
	struct iovec *rest; /* data buffers that are still to be moved */
	unsigned rests;
	size_t cut; /* what STEP_BYTES left of the last buffer of the step */
	size_t step; /* bytes of the operation under way */
	uint64_t left; /* bytes still to be moved, the step's included */
	struct iovec iov[BLK_QUEUE_SIZE];
};

struct blk {
	struct device dev;
	struct virtio_blk_config config;
	struct blk_file file;
	struct blk_vhost *vhost; /* who serves it, or NULL: we do */
	struct blk_io *io;
	bool holes; /* what is given up reads as zeros */
	uint32_t discard_max, zero_max; /* sectors at once; 0: not to be had */
	struct throttle throttle;
	bool read_only;
	bool stopping;
	struct blk_request *request; /* one for each head */
};

/* Requests: blk.c. */
extern const struct device_ops blk_ops;
void blk_done(void *arg, struct blk_op *op, int result);
void blk_batch_done(void *arg);
void blk_on_throttle(void *arg);
void blk_on_resize(void *arg);

/* Frees what there is of it: blk_open.c. */
void blk_free(struct blk *blk);

#endif
