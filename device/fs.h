/* SPDX-License-Identifier: MIT */
/* virtio-fs: a folder of the host, served by a process of its own. */
#ifndef DEVICE_FS_H
#define DEVICE_FS_H

#include "device/bus.h"

/*
 * Makes a file system that the guest mounts by its tag (at most 36 bytes). socket
 * leads to the server (device/fs_proto.h), must not block, and is the device's from
 * now on, also on failure. gone, unless NULL, is called once if the server ends by
 * itself: from then on the guest gets EIO. NULL and errno on failure.
 */
struct device *fs_create(
	struct bus *bus, const char *tag, int socket, void (*gone)(void *arg), void *arg);

#endif
