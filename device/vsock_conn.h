/* SPDX-License-Identifier: MIT */
/*
 * Connections of virtio-vsock: sockets of the host, and the queue to the guest. What the guest
 * sends, and the device as a whole, is vsock.c's.
 *
 * Flow control is the protocol's: each side says how much it has room for (buf_alloc) and how
 * much of it has been used up (fwd_cnt). What the guest sends is kept here, within the room that
 * it was given, until the socket takes it; what the host sends stays in the socket until the guest
 * has room.
 *
 * Packets that found no buffer of the guest's are a few bits a connection. Resets of what is no
 * connection are kept in a small queue, and while that is full nothing more is taken from the
 * guest, so that a guest that never gives buffers costs nothing.
 */
#ifndef DEVICE_VSOCK_CONN_H
#define DEVICE_VSOCK_CONN_H

#include <linux/virtio_vsock.h>
#include <stdbool.h>
#include <stdint.h>

#include "device/device.h"

#define VSOCK_RX 0 /* the queue to the guest */
#define VSOCK_TX 1
#define VSOCK_HOST_CID 2
#define VSOCK_CONNECTIONS_MAX 256
#define VSOCK_BUFFER_SIZE (256U << 10) /* of a connection, for what the guest sends */
#define VSOCK_PACKET_MAX 65536
#define VSOCK_RESETS_MAX 64
#define VSOCK_SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* Packets that are due, in the order in which they go out. */
enum {
	DUE_REQUEST = 1 << 0,
	DUE_RESPONSE = 1 << 1,
	DUE_CREDIT = 1 << 2,
	DUE_SHUTDOWN = 1 << 3, /* what is in shut_sent */
	DUE_RESET = 1 << 4, /* and then the connection is gone */
};

struct connection {
	struct connections *all;
	struct connection *next;
	int fd; /* -1: closed, only a reset is due */
	uint32_t host_port, guest_port;
	bool open; /* the guest has accepted, or was the one who asked */
	unsigned due;
	uint32_t peer_alloc, peer_fwd, sent; /* the guest's room, what it used up, what it got */
	uint32_t forwarded, told; /* what the socket has taken, and what the guest knows of it */
	unsigned shut_sent, shut_received; /* VIRTIO_VSOCK_SHUTDOWN_* */
	uint32_t start, len; /* of what waits in the buffer, a ring */
	unsigned char *buffer;
};

struct reset {
	uint32_t host_port, guest_port;
};

/* Those of a device; zeroed, but for dev. */
struct connections {
	struct device *dev;
	struct connection *first;
	unsigned count;
	bool starved; /* the guest has given no buffers for what is due */
	bool held; /* packets of the guest wait until resets are out */
	struct reset reset[VSOCK_RESETS_MAX];
	unsigned resets;
	struct iovec iov[VQ_CHAIN_MAX];
	unsigned char packet[VSOCK_PACKET_MAX];
};

/* NULL if there is none between these ports. */
struct connection *connection_find(
	struct connections *all, uint32_t host_port, uint32_t guest_port);
/* Takes over the socket. NULL if there are too many, with the socket closed. */
struct connection *connection_create(
	struct connections *all, int fd, uint32_t host_port, uint32_t guest_port);
/* Forgets it, and closes the socket. */
void connection_destroy(struct connection *c);

/* Watches the socket for what is of interest now; to be called when that may have changed. */
void connection_watch(struct connection *c);
/* Gives the socket what it takes of what the guest has sent. */
void connection_write(struct connection *c);
/* The end of a connection, from our side: the socket is closed, and a reset due. */
void connection_reset(struct connection *c);

/* A packet that belongs to no connection: a reset is due, unless it is one itself. */
void connections_refuse(struct connections *all, const struct virtio_vsock_hdr *h);
/* Sends what is due, as far as there are buffers; connections may be gone then. */
void connections_flush(struct connections *all);

#endif
