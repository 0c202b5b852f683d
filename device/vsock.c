/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock: packets of the guest become bytes of host sockets, and back.
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
#include <errno.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/device.h"
#include "device/vsock.h"

#define QUEUE_SIZE 128
#define QUEUE_RX 0 /* to the guest */
#define QUEUE_TX 1
#define QUEUES 3 /* and one for events, of which there are none */
#define HOST_CID 2
#define CONNECTIONS_MAX 256
#define BUFFER_SIZE (256U << 10) /* of a connection, for what the guest sends */
#define PACKET_MAX 65536
#define RESETS_MAX 64
/* Local ports are told from those that programs choose. */
#define FIRST_PORT (1U << 30)
#define SHUT_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

/* Packets that are due, in the order in which they go out. */
enum {
	DUE_REQUEST = 1 << 0,
	DUE_RESPONSE = 1 << 1,
	DUE_CREDIT = 1 << 2,
	DUE_SHUTDOWN = 1 << 3, /* what is in shut_sent */
	DUE_RESET = 1 << 4, /* and then the connection is gone */
};

struct connection {
	struct vsock *vs;
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

struct vsock {
	struct device dev;
	struct virtio_vsock_config config;
	vsock_open_fn *open;
	void *arg;
	struct connection *connections;
	unsigned count;
	uint32_t next_port;
	bool starved; /* the guest has given no buffers for what is due */
	bool held; /* packets of the guest wait until resets are out */
	struct reset reset[RESETS_MAX];
	unsigned resets;
	struct iovec iov[VQ_CHAIN_MAX];
	unsigned char packet[PACKET_MAX];
};

static void ready(void *arg, uint32_t events);

/* ---- Connections ------------------------------------------------------------------ */

static struct connection *find(struct vsock *vs, uint32_t host_port, uint32_t guest_port)
{
	struct connection *c = vs->connections;

	while (c && (c->host_port != host_port || c->guest_port != guest_port))
		c = c->next;
	return c;
}

static uint32_t room_of_guest(const struct connection *c)
{
	uint32_t waiting = c->sent - c->peer_fwd;

	return waiting < c->peer_alloc ? c->peer_alloc - waiting : 0;
}

static bool may_read(const struct connection *c)
{
	return c->open && !c->vs->starved && room_of_guest(c) > 0 &&
	       !(c->shut_sent & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->shut_received & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

/* What of the socket is of interest now. */
static void watch(struct connection *c)
{
	uint32_t events = 0;

	if (c->fd < 0)
		return;
	if (may_read(c))
		events |= EPOLLIN;
	if (!c->open) /* whoever connects may lose patience with the guest */
		events |= EPOLLRDHUP;
	if (c->len > 0)
		events |= EPOLLOUT;
	loop_change(c->vs->dev.bus->loop, c->fd, events);
}

static void close_socket(struct connection *c)
{
	if (c->fd < 0)
		return;
	loop_remove(c->vs->dev.bus->loop, c->fd);
	close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static void destroy(struct connection *c)
{
	struct connection **at = &c->vs->connections;

	close_socket(c);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->vs->count--;
	free(c->buffer);
	free(c);
}

/* Takes over the socket. NULL if there are too many, with the socket closed. */
static struct connection *create(struct vsock *vs, int fd, uint32_t host_port, uint32_t guest_port)
{
	struct connection *c = vs->count < CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (c)
		c->buffer = malloc(BUFFER_SIZE);
	if (!c || !c->buffer || loop_add(vs->dev.bus->loop, fd, 0, ready, c) < 0) {
		if (c)
			free(c->buffer);
		free(c);
		close(fd);
		return NULL;
	}
	c->vs = vs;
	c->fd = fd;
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->next = vs->connections;
	vs->connections = c;
	vs->count++;
	return c;
}

/* ---- To the guest ------------------------------------------------------------------- */

static bool pop_rx(struct vsock *vs, struct vq_chain *chain)
{
	struct virtqueue *vq = &vs->dev.vq[QUEUE_RX];

	*chain = (struct vq_chain){.iov = vs->iov, .max = VQ_CHAIN_MAX};
	while (device_running(&vs->dev) && vq->size > 0) {
		int r = vq_pop(vq, chain);

		if (r > 0 && chain->in_len > sizeof(struct virtio_vsock_hdr))
			return true;
		if (r != 0) {
			device_broken(&vs->dev, QUEUE_RX,
				r < 0 ? vq->error : "a buffer too small for a packet");
			return false;
		}
		if (!vq_arm(vq))
			break;
	}
	vs->starved = true;
	return false;
}

static void put_packet(struct vsock *vs, struct vq_chain *chain, struct virtio_vsock_hdr header,
	const void *data, uint32_t len)
{
	header.src_cid = HOST_CID;
	header.dst_cid = VSOCK_GUEST_CID;
	header.type = VIRTIO_VSOCK_TYPE_STREAM;
	header.len = len;
	vq_put(chain, &header, sizeof(header));
	vq_put(chain, data, len);
	vq_push(&vs->dev.vq[QUEUE_RX], chain->head, (uint32_t)sizeof(header) + len);
}

static struct virtio_vsock_hdr header_of(struct connection *c, uint16_t op)
{
	c->told = c->forwarded;
	c->due &= ~(unsigned)DUE_CREDIT; /* every packet carries it */
	return (struct virtio_vsock_hdr){
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.op = op,
		.buf_alloc = BUFFER_SIZE,
		.fwd_cnt = c->forwarded,
	};
}

static uint16_t op_of(unsigned due)
{
	switch (due) {
	case DUE_REQUEST:
		return VIRTIO_VSOCK_OP_REQUEST;
	case DUE_RESPONSE:
		return VIRTIO_VSOCK_OP_RESPONSE;
	case DUE_CREDIT:
		return VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	case DUE_SHUTDOWN:
		return VIRTIO_VSOCK_OP_SHUTDOWN;
	default:
		return VIRTIO_VSOCK_OP_RST;
	}
}

/* Sends what is due of one connection, which may be gone then; false if there is no buffer. */
static bool send_due(struct connection *c)
{
	struct vsock *vs = c->vs;

	while (c->due) {
		unsigned due = c->due & -c->due;
		struct virtio_vsock_hdr header;
		struct vq_chain chain;

		if (!pop_rx(vs, &chain))
			return false;
		header = header_of(c, op_of(due));
		if (due == DUE_SHUTDOWN)
			header.flags = c->shut_sent;
		put_packet(vs, &chain, header, NULL, 0);
		c->due &= ~due;
		if (due == DUE_RESET) {
			destroy(c);
			return true;
		}
	}
	return true;
}

static bool send_resets(struct vsock *vs)
{
	while (vs->resets > 0) {
		struct vq_chain chain;

		if (!pop_rx(vs, &chain))
			return false;
		vs->resets--;
		put_packet(vs, &chain,
			(struct virtio_vsock_hdr){
				.src_port = vs->reset[vs->resets].host_port,
				.dst_port = vs->reset[vs->resets].guest_port,
				.op = VIRTIO_VSOCK_OP_RST,
			},
			NULL, 0);
	}
	if (vs->held) {
		vs->held = false;
		device_again(&vs->dev, 1ULL << QUEUE_TX);
	}
	return true;
}

static void flush(struct vsock *vs)
{
	struct connection *next;
	bool more = send_resets(vs);

	for (struct connection *c = vs->connections; c && more; c = next) {
		next = c->next;
		more = send_due(c);
	}
	device_signal(&vs->dev, QUEUE_RX);
}

/* The end of a connection, from our side. */
static void reset(struct connection *c)
{
	close_socket(c);
	c->due = DUE_RESET;
}

/* ---- From the socket ------------------------------------------------------------------ */

static void end_of_input(struct connection *c, bool hung_up)
{
	/* Nobody would read what the guest still sends. */
	if (hung_up)
		reset(c);
	else {
		c->shut_sent |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		c->due |= DUE_SHUTDOWN;
	}
}

/* Moves one portion to the guest; the chain is popped last, so that it is never given back empty.
 */
static void read_socket(struct connection *c, bool hung_up)
{
	struct vsock *vs = c->vs;
	uint32_t room = room_of_guest(c);
	struct vq_chain chain;
	ssize_t n;

	if (!pop_rx(vs, &chain))
		return;
	if (room > chain.in_len - sizeof(struct virtio_vsock_hdr))
		room = (uint32_t)(chain.in_len - sizeof(struct virtio_vsock_hdr));
	if (room > PACKET_MAX)
		room = PACKET_MAX;
	n = recv(c->fd, vs->packet, room, MSG_DONTWAIT);
	if (n > 0) {
		put_packet(vs, &chain, header_of(c, VIRTIO_VSOCK_OP_RW), vs->packet, (uint32_t)n);
		c->sent += (uint32_t)n;
		vs->dev.bytes_in += (uint64_t)n;
		return;
	}
	/* A buffer that turns out not to be needed carries the news of our credit. */
	put_packet(vs, &chain, header_of(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE), NULL, 0);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end_of_input(c, n < 0 || hung_up);
}

/* Gives the socket what it takes. */
static void write_socket(struct connection *c)
{
	while (c->len > 0) {
		uint32_t part = BUFFER_SIZE - c->start;
		ssize_t n;

		if (part > c->len)
			part = c->len;
		n = send(c->fd, c->buffer + c->start, part, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			reset(c);
			return;
		}
		c->start = (c->start + (uint32_t)n) % BUFFER_SIZE;
		c->len -= (uint32_t)n;
		c->forwarded += (uint32_t)n;
	}
	if (c->forwarded - c->told >= BUFFER_SIZE / 4)
		c->due |= DUE_CREDIT;
	if (c->len > 0 || !(c->shut_received & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return;
	/* All that the guest had to say is said; if it does not listen either, that is the end. */
	if (c->shut_received == SHUT_BOTH || (c->shut_sent & VIRTIO_VSOCK_SHUTDOWN_SEND))
		reset(c);
	else
		shutdown(c->fd, SHUT_WR);
}

static void ready(void *arg, uint32_t events)
{
	struct connection *c = arg;
	struct vsock *vs = c->vs;

	if (c->len > 0 && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		write_socket(c);
	if (!c->open)
		reset(c);
	else if (c->fd >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) && may_read(c))
		read_socket(c, events & EPOLLHUP);
	watch(c);
	send_due(c);
	device_signal(&vs->dev, QUEUE_RX);
}

/* ---- From the guest ---------------------------------------------------------------------- */

static void queue_reset(struct vsock *vs, const struct virtio_vsock_hdr *h)
{
	if (h->op != VIRTIO_VSOCK_OP_RST && vs->resets < RESETS_MAX)
		vs->reset[vs->resets++] = (struct reset){h->dst_port, h->src_port};
}

static void requested(struct vsock *vs, const struct virtio_vsock_hdr *h)
{
	int fd = vs->open && vs->count < CONNECTIONS_MAX ? vs->open(vs->arg, h->dst_port) : -1;
	struct connection *c = fd < 0 ? NULL : create(vs, fd, h->dst_port, h->src_port);

	if (!c) {
		queue_reset(vs, h);
		return;
	}
	c->open = true;
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	c->due |= DUE_RESPONSE;
	watch(c);
}

static void accepted(struct connection *c)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	c->open = true;
	if (send(c->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		reset(c);
}

/* Puts data into the connection's buffer; false: more than there was room for. */
static bool store(struct connection *c, struct vq_chain *chain, uint32_t len)
{
	uint32_t end = (c->start + c->len) % BUFFER_SIZE, first = BUFFER_SIZE - end;

	if (len > BUFFER_SIZE - c->len || len > chain->out_len)
		return false;
	if (first > len)
		first = len;
	vq_peek(chain, c->buffer + end, first);
	vq_skip(chain, first);
	vq_peek(chain, c->buffer, len - first);
	c->len += len;
	c->vs->dev.bytes_out += len;
	return true;
}

static void received(struct connection *c, const struct virtio_vsock_hdr *h, struct vq_chain *chain)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (c->open)
			reset(c);
		else
			accepted(c);
		break;
	case VIRTIO_VSOCK_OP_RW:
		if (c->open && !(c->shut_received & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
			store(c, chain, h->len))
			write_socket(c);
		else
			reset(c);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		c->shut_received |= h->flags & SHUT_BOTH;
		write_socket(c);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->due |= DUE_CREDIT;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	default: /* a second REQUEST for what there is, and nonsense */
		reset(c);
	}
}

static void packet(struct vsock *vs, struct vq_chain *chain)
{
	struct virtio_vsock_hdr h;
	struct connection *c;

	if (vq_peek(chain, &h, sizeof(h)) != sizeof(h)) {
		device_broken(&vs->dev, QUEUE_TX, "a packet cut short");
		return;
	}
	vq_skip(chain, sizeof(h));
	c = find(vs, h.dst_port, h.src_port);
	if (h.src_cid != VSOCK_GUEST_CID || h.dst_cid != HOST_CID ||
		h.type != VIRTIO_VSOCK_TYPE_STREAM) {
		queue_reset(vs, &h);
	} else if (!c) {
		if (h.op == VIRTIO_VSOCK_OP_REQUEST)
			requested(vs, &h);
		else
			queue_reset(vs, &h);
	} else if (h.op == VIRTIO_VSOCK_OP_RST) {
		destroy(c);
	} else if (c->fd >= 0) {
		received(c, &h, chain);
		watch(c);
	}
}

static void take_packets(struct vsock *vs)
{
	struct virtqueue *vq = &vs->dev.vq[QUEUE_TX];
	bool idle = false;

	for (unsigned turn = 0; turn < QUEUE_SIZE && !idle; turn++) {
		/* Not the device's: open() and sockets may call back in between. */
		struct iovec iov[QUEUE_SIZE];
		struct vq_chain chain = {.iov = iov, .max = QUEUE_SIZE};
		int r;

		if (vs->resets == RESETS_MAX) {
			vs->held = true;
			break;
		}
		r = device_running(&vs->dev) ? vq_pop(vq, &chain) : 0;
		if (r > 0) {
			packet(vs, &chain);
			vq_push(vq, chain.head, 0);
		} else if (r < 0) {
			device_broken(&vs->dev, QUEUE_TX, vq->error);
		} else {
			idle = !device_running(&vs->dev) || !vq_arm(vq);
		}
	}
	device_signal(&vs->dev, QUEUE_TX);
	if (!idle && !vs->held)
		device_again(&vs->dev, 1ULL << QUEUE_TX);
}

/* ---- The device ------------------------------------------------------------------------------ */

static void vsock_notify(struct device *dev, unsigned queue)
{
	struct vsock *vs = (struct vsock *)dev;

	if (queue == QUEUE_TX)
		take_packets(vs);
	if (queue == QUEUE_RX)
		vs->starved = false;
	flush(vs);
	if (queue == QUEUE_RX)
		for (struct connection *c = vs->connections; c; c = c->next)
			watch(c);
}

static void vsock_reset(struct device *dev)
{
	struct vsock *vs = (struct vsock *)dev;

	while (vs->connections)
		destroy(vs->connections);
	vs->resets = 0;
	vs->held = vs->starved = false;
}

static void vsock_destroy(struct device *dev)
{
	vsock_reset(dev);
	device_fini(dev);
	free(dev);
}

static const struct device_ops vsock_ops = {
	.notify = vsock_notify,
	.reset = vsock_reset,
	.destroy = vsock_destroy,
};

int vsock_connect(struct vsock *vs, int fd, uint32_t port)
{
	struct connection *c;

	if (!device_running(&vs->dev)) {
		close(fd);
		return -ENOTCONN;
	}
	do
		vs->next_port = FIRST_PORT | (vs->next_port + 1);
	while (find(vs, vs->next_port, port));
	c = create(vs, fd, vs->next_port, port);
	if (!c)
		return -EMFILE;
	c->due = DUE_REQUEST;
	flush(vs);
	return 0;
}

struct vsock *vsock_create(struct bus *bus, vsock_open_fn *open, void *arg)
{
	struct vsock *vs = calloc(1, sizeof(*vs));

	if (!vs)
		return NULL;
	vs->open = open;
	vs->arg = arg;
	vs->config.guest_cid = VSOCK_GUEST_CID;
	vs->dev = (struct device){
		.ops = &vsock_ops,
		.name = "vsock",
		.id = VIRTIO_ID_VSOCK,
		.config = &vs->config,
		.config_size = sizeof(vs->config),
		.queues = QUEUES,
		.queue_max = QUEUE_SIZE,
	};
	int r = device_init(&vs->dev, bus);
	if (r < 0) {
		free(vs);
		errno = -r;
		return NULL;
	}
	return vs;
}
