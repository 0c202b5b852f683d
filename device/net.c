/* SPDX-License-Identifier: MIT */
/*
 * virtio-net: two queues between the guest's driver and a link.
 *
 * Frames go from the guest's buffers to the link and back without a copy here.
 * The length of a frame that comes in is not known before it is read. So enough
 * of the driver's buffers for the longest one are taken from the ring beforehand,
 * the pool; a frame uses up as many from its front as it needs (mergeable
 * buffers), and the rest waits for the next one.
 *
 * Frames that have gone out are given back at once, but a small one is not worth an event of its
 * own: it would wake a guest that waits for the answer. The event comes with that, with more
 * frames, or after a millisecond.
 *
 * While the link takes nothing, the frame in hand is held and the queue rests; the
 * guest's own queues fill up then, and its programs wait, as with any card.
 */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "device/device.h"
#include "device/net.h"

#define QUEUE_SIZE 256
#define POOL_IOV 512 /* buffers in the pool */
#define CHAIN_IOV 64 /* most of them in one chain */
#define QUIET_NS 1000000 /* so long may a frame that went out go without an event */
#define QUIET_FRAMES 32 /* and so many of them */
#define QUIET_BYTES 4096 /* and no more than so much, since a sender may wait for room */
#define TURN_FRAMES 64 /* in each direction, before other sources have their turn */

enum { RX, TX, QUEUES };

struct net {
	struct device dev;
	struct virtio_net_config config;
	struct net_link *link; /* NULL: it has ended */
	void (*gone)(void *arg, int error);
	void *gone_arg;
	bool live; /* between the driver's start and its reset */

	/* Buffers for what comes in: chains, and their pieces one after another. */
	struct {
		uint16_t head;
		uint16_t iovs;
		size_t len; /* buffers may overlap: more than fits into 32 bits */
	} pool[POOL_IOV];
	unsigned pool_chains, pool_iovs;
	size_t pool_len;
	struct iovec pool_iov[POOL_IOV];

	/* What went out without an event. */
	unsigned quiet_frames;
	size_t quiet_bytes;
	int timer; /* set while there is any */
	bool timer_set;

	/* The frame that is on its way out, if held. */
	bool held;
	uint16_t tx_head;
	unsigned tx_iovs;
	size_t tx_len; /* without its header */
	struct iovec tx_iov[QUEUE_SIZE];
};

static void watch(struct net *net)
{
	uint32_t events = 0;

	if (!net->link)
		return;
	if (device_running(&net->dev) && net->pool_len >= NET_FRAME_MAX)
		events |= EPOLLIN;
	if (device_running(&net->dev) && net->held)
		events |= EPOLLOUT;
	loop_change(net->dev.bus->loop, net->link->fd, events);
}

static void close_link(struct net *net)
{
	if (!net->link)
		return;
	loop_remove(net->dev.bus->loop, net->link->fd);
	net->link->ops->close(net->link);
	net->link = NULL;
}

/* The other side is gone: the guest sees no carrier, and what it sends is dropped. */
static void link_down(struct net *net, int error)
{
	close_link(net);
	net->config.status = 0;
	device_config_changed(&net->dev);
	if (net->gone)
		net->gone(net->gone_arg, error);
}

/* ---- Events of what went out ------------------------------------------------------- */

static void told(struct net *net)
{
	net->quiet_frames = 0;
	net->quiet_bytes = 0;
}

static void tell_sent(struct net *net)
{
	told(net);
	device_signal(&net->dev, TX);
}

static void set_timer(struct net *net)
{
	const struct itimerspec soon = {.it_value.tv_nsec = QUIET_NS};

	if (!net->timer_set && timerfd_settime(net->timer, 0, &soon, NULL) < 0)
		tell_sent(net);
	else
		net->timer_set = true;
}

static void on_timer(void *arg, uint32_t events)
{
	struct net *net = arg;
	uint64_t count;

	(void)events;
	if (read(net->timer, &count, sizeof(count)) != sizeof(count))
		return;
	net->timer_set = false;
	if (net->quiet_frames > 0)
		tell_sent(net);
}

/* After a turn of sending: now, or not yet. */
static void signal_sent(struct net *net)
{
	if (net->quiet_frames >= QUIET_FRAMES || net->quiet_bytes >= QUIET_BYTES)
		tell_sent(net);
	else if (net->quiet_frames > 0)
		set_timer(net);
}

/* After a turn of receiving: that event is one of both queues. */
static void signal_received(struct net *net)
{
	if (!device_signal(&net->dev, RX) || net->quiet_frames == 0)
		return;
	told(net);
	vq_event_wanted(&net->dev.vq[TX]);
}

/* ---- To the guest ------------------------------------------------------------ */

/* Fills the pool from the ring; false: the driver is broken. */
static bool fill_pool(struct net *net)
{
	struct virtqueue *vq = &net->dev.vq[RX];

	while (net->pool_len < NET_FRAME_MAX && net->pool_iovs + CHAIN_IOV <= POOL_IOV) {
		struct iovec *iov = &net->pool_iov[net->pool_iovs];
		struct vq_chain chain = {.iov = iov, .max = CHAIN_IOV};
		int r = vq_pop(vq, &chain);

		if (r == 0 && vq_arm(vq))
			continue;
		if (r == 0)
			break;
		if (r < 0 || chain.outs > 0 || chain.ins == 0 || iov->iov_len < NET_HEADER) {
			device_broken(&net->dev, RX,
				r < 0 ? vq->error : "a receive buffer that cannot hold a header");
			return false;
		}
		net->pool[net->pool_chains].head = chain.head;
		net->pool[net->pool_chains].iovs = (uint16_t)chain.ins;
		net->pool[net->pool_chains].len = chain.in_len;
		net->pool_chains++;
		net->pool_iovs += chain.ins;
		net->pool_len += chain.in_len;
	}
	return true;
}

/*
 * Another machine may have sent what this driver has not agreed to take. The
 * header is in guest memory already; who changes it there fools himself.
 */
static bool header_fits(const struct net *net)
{
	struct virtio_net_hdr_v1 header; /* in one piece, but anywhere */
	uint64_t has = net->dev.accepted;

	memcpy(&header, net->pool_iov[0].iov_base, sizeof(header));
	/* As in ram_read(): the copy is made here and once. */
	__asm__ volatile("" ::: "memory");
	if ((header.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(has >> VIRTIO_NET_F_GUEST_CSUM & 1))
		return false;
	switch (header.gso_type) {
	case VIRTIO_NET_HDR_GSO_NONE:
		return true;
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has >> VIRTIO_NET_F_GUEST_TSO4 & 1;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has >> VIRTIO_NET_F_GUEST_TSO6 & 1;
	default:
		return false;
	}
}

/* Gives the front of the pool, which holds a frame of len bytes, to the guest. */
static void deliver(struct net *net, size_t len)
{
	struct virtqueue *vq = &net->dev.vq[RX];
	char *header = net->pool_iov[0].iov_base;
	unsigned chains = 0, iovs = 0;
	uint16_t count;

	net->dev.bytes_in += len - NET_HEADER;

	for (size_t left = len; left > 0; chains++) {
		size_t part = net->pool[chains].len < left ? net->pool[chains].len : left;

		vq_fill(vq, net->pool[chains].head, (uint32_t)part);
		iovs += net->pool[chains].iovs;
		net->pool_len -= net->pool[chains].len;
		left -= part;
	}
	count = (uint16_t)chains;
	memcpy(header + offsetof(struct virtio_net_hdr_v1, num_buffers), &count, sizeof(count));
	/* The driver takes all buffers of a frame at once: they have to appear at once. */
	vq_publish(vq);

	net->pool_chains -= chains;
	net->pool_iovs -= iovs;
	memmove(net->pool, net->pool + chains, net->pool_chains * sizeof(net->pool[0]));
	memmove(net->pool_iov, net->pool_iov + iovs, net->pool_iovs * sizeof(net->pool_iov[0]));
}

static void receive(struct net *net)
{
	for (unsigned turn = 0; turn < TURN_FRAMES && net->link; turn++) {
		if (!fill_pool(net) || net->pool_len < NET_FRAME_MAX)
			break;
		ssize_t n = net->link->ops->receive(net->link, net->pool_iov, net->pool_iovs);
		if (n == 0)
			break;
		if (n < 0)
			link_down(net, (int)-n);
		else if (header_fits(net))
			deliver(net, (size_t)n);
	}
	signal_received(net);
}

/* ---- From the guest ---------------------------------------------------------- */

/* Takes the next frame in hand; false: there is none. */
static bool take(struct net *net)
{
	struct virtqueue *vq = &net->dev.vq[TX];
	struct vq_chain chain = {.iov = net->tx_iov, .max = QUEUE_SIZE};
	int r;

	do
		r = vq_pop(vq, &chain);
	while (r == 0 && vq_arm(vq));
	if (r == 0)
		return false;
	if (r < 0 || chain.ins > 0 || chain.out_len < NET_HEADER) {
		device_broken(&net->dev, TX, r < 0 ? vq->error : "a frame without a header");
		return false;
	}
	net->held = true;
	net->tx_head = chain.head;
	net->tx_iovs = chain.outs;
	net->tx_len = chain.out_len - NET_HEADER;
	return true;
}

static void transmit(struct net *net)
{
	unsigned turn = 0;

	while (turn++ < TURN_FRAMES && (net->held || take(net))) {
		int r = net->link ? net->link->ops->send(net->link, net->tx_iov, net->tx_iovs) : 1;

		if (r == 0)
			break;
		if (r < 0)
			link_down(net, -r);
		else if (net->link)
			net->dev.bytes_out += net->tx_len;
		net->held = false;
		vq_push(&net->dev.vq[TX], net->tx_head, 0);
		net->quiet_frames++;
		net->quiet_bytes += net->tx_len;
	}
	if (turn > TURN_FRAMES)
		device_again(&net->dev, 1U << TX);
	signal_sent(net);
}

/* ---- Device ------------------------------------------------------------------ */

static void on_link(void *arg, uint32_t events)
{
	struct net *net = arg;

	if (net->held && (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)))
		transmit(net);
	if (device_running(&net->dev) && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		receive(net);
	watch(net);
}

static void net_notify(struct device *dev, unsigned queue)
{
	struct net *net = (struct net *)dev;

	if (!net->live) {
		net->live = true;
		if (net->link && net->link->ops->settle)
			net->link->ops->settle(net->link, dev->accepted);
	}
	if (queue == TX && !(net->held && net->link))
		transmit(net);
	else if (queue == RX)
		fill_pool(net);
	watch(net);
}

static void net_stop(struct device *dev, unsigned queue)
{
	struct net *net = (struct net *)dev;

	(void)queue;
	/* Frames may be lost when a driver goes; one half must not be sent. */
	net->live = false;
	net->held = false;
	told(net);
	net->pool_chains = net->pool_iovs = 0;
	net->pool_len = 0;
	if (net->link)
		net->link->ops->forget(net->link);
	watch(net);
}

static void close_timer(struct net *net)
{
	loop_remove(net->dev.bus->loop, net->timer);
	close(net->timer);
}

static void net_destroy(struct device *dev)
{
	struct net *net = (struct net *)dev;

	close_link(net);
	close_timer(net);
	device_fini(dev);
	free(dev);
}

static const struct device_ops net_ops = {
	.notify = net_notify,
	.stop = net_stop,
	.destroy = net_destroy,
};

static void describe(struct net *net, const uint8_t mac[6])
{
	uint64_t features = 1ULL << VIRTIO_NET_F_MAC | 1ULL << VIRTIO_NET_F_STATUS |
			    1ULL << VIRTIO_NET_F_MRG_RXBUF;

	memcpy(net->config.mac, mac, sizeof(net->config.mac));
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->config.max_virtqueue_pairs = 1;
	net->config.mtu = net->link->mtu;
	if (net->link->mtu)
		features |= 1ULL << VIRTIO_NET_F_MTU;
	net->dev = (struct device){
		.ops = &net_ops,
		.name = "net",
		.id = VIRTIO_ID_NET,
		.offered = features | net->link->features,
		.required = 1ULL << VIRTIO_NET_F_MRG_RXBUF,
		.config = &net->config,
		.config_size = sizeof(net->config),
		.queues = QUEUES,
		.queue_max = QUEUE_SIZE,
	};
}

struct device *net_create(struct bus *bus, struct net_link *link, const uint8_t mac[6],
	void (*gone)(void *arg, int error), void *arg)
{
	struct net *net = calloc(1, sizeof(*net));
	int r = -ENOMEM;

	if (!net)
		goto fail;
	net->timer = -1;
	net->link = link;
	net->gone = gone;
	net->gone_arg = arg;
	describe(net, mac);
	net->dev.bus = bus;
	net->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	r = net->timer < 0 ? -errno : loop_add(bus->loop, net->timer, EPOLLIN, on_timer, net);
	if (r < 0)
		goto fail;
	/* Watched from the driver's start on. */
	r = loop_add(bus->loop, link->fd, 0, on_link, net);
	if (r == 0) {
		r = device_init(&net->dev, bus);
		if (r == 0)
			return &net->dev;
		loop_remove(bus->loop, link->fd);
	}
	close_timer(net);
	net->timer = -1;
fail:
	if (net && net->timer >= 0)
		close(net->timer);
	link->ops->close(link);
	free(net);
	errno = -r;
	return NULL;
}
