/* SPDX-License-Identifier: MIT */
/*
 * Where the frames of a network card go: what virtio-net and a kind of link agree on.
 *
 * A frame is given and taken with the header of virtio-net (struct
 * virtio_net_hdr_v1, NET_HEADER bytes) before it, in pieces of guest memory whose
 * contents may change at any time.
 */
#ifndef DEVICE_NET_LINK_H
#define DEVICE_NET_LINK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define NET_HEADER 12
/* Longest frame with its header: 64 KiB of IP, the Ethernet header, a VLAN tag. */
#define NET_FRAME_MAX (NET_HEADER + 65535 + 18)

struct net_link;

struct net_link_ops {
	/*
	 * Sends one frame. 1: done, or the frame is one that the link cannot take and
	 * is dropped; 0: not now, call again with the same frame when fd is writable;
	 * -errno: the link has ended.
	 */
	int (*send)(struct net_link *link, const struct iovec *iov, unsigned iovs);
	/*
	 * Receives one frame into room for at least NET_FRAME_MAX bytes; its length with
	 * the header, whose num_buffers is the caller's to fill in. 0: not now, call
	 * again with the same room when fd is readable; -errno: the link has ended.
	 */
	ssize_t (*receive)(struct net_link *link, const struct iovec *iov, unsigned iovs);
	/* The rooms and frames that were given to calls that returned 0 are no more. */
	void (*forget)(struct net_link *link);
	/* The guest's driver has settled on these features of virtio-net. May be NULL. */
	void (*settle)(struct net_link *link, uint64_t features);
	/* Closes and frees the link. */
	void (*close)(struct net_link *link);
};

struct net_link {
	const struct net_link_ops *ops;
	int fd; /* to wait on: readable, writable */
	uint64_t features; /* of virtio-net, that the link can do */
	uint16_t mtu; /* what the guest should use; 0: 1500 */
};

/*
 * passt's protocol: a stream socket on which each frame has its length before it.
 * Takes over fd, which must not block. NULL and errno on failure (fd is closed).
 */
struct net_link *net_stream(int fd);

/*
 * A descriptor that takes and gives one frame a call, with its header: a
 * SOCK_SEQPACKET socket, or a tap device with IFF_VNET_HDR and headers of
 * NET_HEADER bytes. Takes over fd, as above.
 */
struct net_link *net_packet(int fd);

#endif
