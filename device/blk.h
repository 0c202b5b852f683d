/* SPDX-License-Identifier: MIT */
/* virtio-blk: an image or a block device of the host as a disk of the guest. */
#ifndef DEVICE_BLK_H
#define DEVICE_BLK_H

#include "device/bus.h"

#define BLK_READ_ONLY 1 /* the guest cannot write, and the file is opened for reading alone */
#define BLK_SYNC 2 /* no io_uring: each request stops the loop while it runs */

struct blk_limits {
	uint64_t iops, bandwidth; /* operations and bytes a second; 0: none */
};

/*
 * Opens path and makes the device on the bus; the n-th disk made is the guest's
 * n-th /dev/vd. The file is locked (flock; exclusively unless BLK_READ_ONLY)
 * against a second machine. If its size changes while it runs, so does the disk's: the file is
 * measured anew whenever somebody closes it who had it open for writing. limits may be NULL. To be
 * called by the process that will run the loop, before it confines itself.
 *
 * NULL and errno on failure; *why is then a phrase about path for the user, such
 * as "is a directory" or "its size is not a multiple of 512 bytes", in static
 * memory. errno is that of the failed call, or EISDIR, EINVAL, EFBIG, EBUSY.
 * The bus frees the device.
 */
struct device *blk_create(struct bus *bus, const char *path, unsigned flags,
	const struct blk_limits *limits, const char **why);

/*
 * The same for a disk that another process serves by vhost-user at the socket, which is closed
 * in any case. path is for messages. gone is called once if that process ends: the guest gets I/O
 * errors from then on, and no memory of it may be touched when gone returns. The size is what it
 * says at the start.
 */
struct device *blk_create_vhost(struct bus *bus, int socket, const char *path, unsigned flags,
	const struct blk_limits *limits, void (*gone)(void *arg), void *arg, const char **why);

#endif
