/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock: stream connections between programs of the guest and sockets of the host. The
 * guest is context 3, the host 2.
 */
#ifndef DEVICE_VSOCK_H
#define DEVICE_VSOCK_H

#include <stdint.h>

#include "device/bus.h"

#define VSOCK_GUEST_CID 3

struct vsock;

/*
 * The guest wants a connection to a port of the host. Returns a connected stream socket,
 * non-blocking, which the device takes over, or -1 to refuse.
 */
typedef int vsock_open_fn(void *arg, uint32_t port);

/* Makes the device; open may be NULL: all is refused. NULL and errno on failure. */
struct vsock *vsock_create(struct bus *bus, vsock_open_fn *open, void *arg);

/*
 * Connects a non-blocking stream socket, which is taken over, to a port of the guest. Once the
 * guest has accepted, "OK PORT\n" with the host's port is written to it; if it refuses, the
 * socket is closed. 0, or -errno with the socket closed: -ENOTCONN: the guest does not drive the
 * device; -EMFILE: too many connections.
 */
int vsock_connect(struct vsock *vsock, int fd, uint32_t port);

#endif
