/* SPDX-License-Identifier: MIT */
/*
 * A disk that another process serves: block operations through a virtio ring of our own, by
 * vhost-user. The back end sees guest memory, where the data goes, and this ring, which the
 * guest never sees; what it gives back is checked. When it ends, or answers nonsense, all that
 * it had fails with -EIO, and so does all that comes.
 */
#ifndef DEVICE_BLK_VHOST_H
#define DEVICE_BLK_VHOST_H

#include <linux/virtio_blk.h>

#include "base/ram.h"
#include "device/blk_io.h"

#define BLK_VHOST_DEPTH 128 /* operations at once, and the size of the ring: a power of two */
#define BLK_VHOST_SEGMENTS 126 /* pieces of one operation; header and status are two more */

struct blk_vhost;

/*
 * Takes the socket of a back end, connected, and agrees with it on a disk: *config and *features
 * are as it says. data lies in ram. gone is called once when the back end ends. NULL and errno; the
 * socket is closed then.
 */
struct blk_vhost *blk_vhost_create(struct loop *loop, const struct ram *ram, int socket,
	void (*gone)(void *arg), void *gone_arg, struct virtio_blk_config *config,
	uint64_t *features);
void blk_vhost_destroy(struct blk_vhost *v);

/* Whose operations these are; blk_io's, which has to say so before the first of them. */
void blk_vhost_user(struct blk_vhost *v, const struct blk_io_user *user);

/* As blk_io's: at most BLK_VHOST_DEPTH operations are there at once. */
void blk_vhost_queue(struct blk_vhost *v, struct blk_op *op);
void blk_vhost_submit(struct blk_vhost *v);
void blk_vhost_drain(struct blk_vhost *v);

#endif
