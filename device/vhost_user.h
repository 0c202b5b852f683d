/* SPDX-License-Identifier: MIT */
/*
 * vhost-user: the messages by which a process of the host is given a device to serve (its back
 * end; we are the front end). What it answers is checked: the length of each answer, that it is
 * one to what was asked, and that it comes in time.
 */
#ifndef DEVICE_VHOST_USER_H
#define DEVICE_VHOST_USER_H

#include <stddef.h>
#include <stdint.h>

/* Beside virtio's own feature bits: there are protocol features. */
#define VHOST_USER_F_PROTOCOL_FEATURES 30

/* Protocol features, by bit. */
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_CONFIG 9

#define VHOST_USER_CONFIG_MAX 256
#define VHOST_USER_REGIONS_MAX 8

/* Memory that the back end is to map; addresses are as the front end uses them everywhere. */
struct vhost_user_region {
	int fd;
	const void *base; /* where we map it, and what descriptors and rings call it */
	uint64_t size;
};

struct vhost_user_ring {
	unsigned size;
	const void *desc, *avail, *used; /* in one of the regions */
	int kick, call; /* eventfds */
};

/*
 * Agrees on features: at least those required, at most those wanted. *features gets what was
 * agreed on. 0; -ENOTSUP: the back end cannot do what is required; another -errno: it does
 * not speak vhost-user, or not in time.
 */
int vhost_user_open(int socket, uint64_t required, uint64_t wanted, uint64_t *features);

/* Reads the first n bytes of the device's configuration. 0 or -errno. */
int vhost_user_config(int socket, void *config, size_t n);

/* Hands memory and one ring over and sets the ring going. 0 or -errno. */
int vhost_user_start(int socket, const struct vhost_user_region *region, unsigned regions,
	const struct vhost_user_ring *ring);

#endif
