/* SPDX-License-Identifier: MIT */
/* Links that carry frames with their virtio-net header: a tap device, or the switch's socket. */
#include <errno.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "device/net_link.h"

#define OFFLOADS                                                                                   \
	(1ULL << VIRTIO_NET_F_CSUM | 1ULL << VIRTIO_NET_F_GUEST_CSUM |                             \
		1ULL << VIRTIO_NET_F_HOST_TSO4 | 1ULL << VIRTIO_NET_F_HOST_TSO6 |                  \
		1ULL << VIRTIO_NET_F_GUEST_TSO4 | 1ULL << VIRTIO_NET_F_GUEST_TSO6)

static int packet_send(struct net_link *link, const struct iovec *iov, unsigned iovs)
{
	while (writev(link->fd, iov, (int)iovs) < 0) {
		switch (errno) {
		case EINTR:
			continue;
		case EAGAIN:
			return 0;
		case EPIPE:
		case ECONNRESET:
		case EBADFD: /* the tap device was deleted */
			return -errno;
		default:
			/* A frame that the host finds wrong, a tap that is down, a lack of memory.
			 */
			return 1;
		}
	}
	return 1;
}

static ssize_t packet_receive(struct net_link *link, const struct iovec *iov, unsigned iovs)
{
	ssize_t n;

	do
		n = readv(link->fd, iov, (int)iovs);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	/* The end of a socket; or one that gives frames without their header, which is no switch.
	 */
	return n <= NET_HEADER ? -EPIPE : n;
}

static void packet_forget(struct net_link *link)
{
	(void)link;
}

static void packet_settle(struct net_link *link, uint64_t features)
{
	unsigned offloads = 0;

	if (features >> VIRTIO_NET_F_GUEST_CSUM & 1)
		offloads |= TUN_F_CSUM;
	if (features >> VIRTIO_NET_F_GUEST_TSO4 & 1)
		offloads |= TUN_F_TSO4;
	if (features >> VIRTIO_NET_F_GUEST_TSO6 & 1)
		offloads |= TUN_F_TSO6;
	/* A socket refuses, and needs none: the receiver checks each header. */
	ioctl(link->fd, TUNSETOFFLOAD, offloads);
}

static void packet_close(struct net_link *link)
{
	close(link->fd);
	free(link);
}

struct net_link *net_packet(int fd)
{
	static const struct net_link_ops ops = {
		.send = packet_send,
		.receive = packet_receive,
		.forget = packet_forget,
		.settle = packet_settle,
		.close = packet_close,
	};
	struct net_link *link = calloc(1, sizeof(*link));

	if (!link) {
		close(fd);
		return NULL;
	}
	*link = (struct net_link){.ops = &ops, .fd = fd, .features = OFFLOADS};
	return link;
}
