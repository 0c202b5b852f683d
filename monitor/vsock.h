/* SPDX-License-Identifier: MIT */
/*
 * The host's end of virtio-vsock, by Firecracker's convention: a Unix socket that takes
 * "CONNECT PORT\n" leads to that port of the guest; what a program of the guest connects to leads
 * to the Unix socket of the same name and "_PORT".
 */
#ifndef MONITOR_VSOCK_H
#define MONITOR_VSOCK_H

#include <stdbool.h>

#include "device/bus.h"

struct vsock_host;

/*
 * Makes the device and the socket "vsock" in the directory dir (not owned). outward: the guest may
 * connect to sockets of the host. NULL and errno on failure.
 */
struct vsock_host *vsock_host_create(struct bus *bus, int dir, bool outward);
/* Before loop_destroy(); the device is the bus's. */
void vsock_host_destroy(struct vsock_host *host);

#endif
