/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock: packets of the guest become bytes of host sockets, and back. vsock_conn.h tells how
 * much of them is kept where.
 */
#include "device/vsock.h"

#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vsock_conn.h"

#define QUEUE_SIZE 128
#define QUEUES 3 /* and one for events, of which there are none */
/* Local ports are told from those that programs choose. */
#define FIRST_PORT (1U << 30)

struct vsock {
	struct device dev;
	struct virtio_vsock_config config;
	vsock_open_fn *open;
	void *arg;
	uint32_t next_port;
	struct connections all;
};

/* ---- From the guest ---------------------------------------------------------------------- */

static void requested(struct vsock *vs, const struct virtio_vsock_hdr *h)
{
	struct connection *c = NULL;
	int fd = -1;

	if (vs->open && vs->all.count < VSOCK_CONNECTIONS_MAX)
		fd = vs->open(vs->arg, h->dst_port);
	if (fd >= 0)
		c = connection_create(&vs->all, fd, h->dst_port, h->src_port);
	if (!c) {
		connections_refuse(&vs->all, h);
		return;
	}
	c->open = true;
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	c->due |= DUE_RESPONSE;
	connection_watch(c);
}

static void accepted(struct connection *c)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", c->host_port);

	c->open = true;
	if (send(c->fd, line, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		connection_reset(c);
}

/* Puts data into the connection's buffer; false: more than there was room for. */
static bool store(struct connection *c, struct vq_chain *chain, uint32_t len)
{
	uint32_t end = (c->start + c->len) % VSOCK_BUFFER_SIZE, first = VSOCK_BUFFER_SIZE - end;

	if (len > VSOCK_BUFFER_SIZE - c->len || len > chain->out_len)
		return false;
	if (first > len)
		first = len;
	vq_peek(chain, c->buffer + end, first);
	vq_skip(chain, first);
	vq_peek(chain, c->buffer, len - first);
	c->len += len;
	c->all->dev->bytes_out += len;
	return true;
}

static void received(struct connection *c, const struct virtio_vsock_hdr *h, struct vq_chain *chain)
{
	c->peer_alloc = h->buf_alloc;
	c->peer_fwd = h->fwd_cnt;
	switch (h->op) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		if (c->open)
			connection_reset(c);
		else
			accepted(c);
		break;
	case VIRTIO_VSOCK_OP_RW:
		if (c->open && !(c->shut_received & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
			store(c, chain, h->len))
			connection_write(c);
		else
			connection_reset(c);
		break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		c->shut_received |= h->flags & VSOCK_SHUT_BOTH;
		connection_write(c);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		c->due |= DUE_CREDIT;
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	default: /* a second REQUEST for what there is, and nonsense */
		connection_reset(c);
	}
}

static void packet(struct vsock *vs, struct vq_chain *chain)
{
	struct virtio_vsock_hdr h;
	struct connection *c;

	if (vq_peek(chain, &h, sizeof(h)) != sizeof(h)) {
		device_broken(&vs->dev, VSOCK_TX, "a packet cut short");
		return;
	}
	vq_skip(chain, sizeof(h));
	c = connection_find(&vs->all, h.dst_port, h.src_port);
	if (h.src_cid != VSOCK_GUEST_CID || h.dst_cid != VSOCK_HOST_CID ||
		h.type != VIRTIO_VSOCK_TYPE_STREAM) {
		connections_refuse(&vs->all, &h);
	} else if (!c) {
		if (h.op == VIRTIO_VSOCK_OP_REQUEST)
			requested(vs, &h);
		else
			connections_refuse(&vs->all, &h);
	} else if (h.op == VIRTIO_VSOCK_OP_RST) {
		connection_destroy(c);
	} else if (c->fd >= 0) {
		received(c, &h, chain);
		connection_watch(c);
	}
}

static void take_packets(struct vsock *vs)
{
	struct virtqueue *vq = &vs->dev.vq[VSOCK_TX];
	bool idle = false;

	for (unsigned turn = 0; turn < QUEUE_SIZE && !idle; turn++) {
		/* Not the connections': open() and sockets may call back in between. */
		struct iovec iov[QUEUE_SIZE];
		struct vq_chain chain = {.iov = iov, .max = QUEUE_SIZE};
		int r;

		if (vs->all.resets == VSOCK_RESETS_MAX) {
			vs->all.held = true;
			break;
		}
		r = device_running(&vs->dev) ? vq_pop(vq, &chain) : 0;
		if (r > 0) {
			packet(vs, &chain);
			vq_push(vq, chain.head, 0);
		} else if (r < 0) {
			device_broken(&vs->dev, VSOCK_TX, vq->error);
		} else {
			idle = !device_running(&vs->dev) || !vq_arm(vq);
		}
	}
	device_signal(&vs->dev, VSOCK_TX);
	if (!idle && !vs->all.held)
		device_again(&vs->dev, 1ULL << VSOCK_TX);
}

/* ---- The device ------------------------------------------------------------------------------ */

static void vsock_notify(struct device *dev, unsigned queue)
{
	struct vsock *vs = (struct vsock *)dev;

	if (queue == VSOCK_TX)
		take_packets(vs);
	if (queue == VSOCK_RX)
		vs->all.starved = false;
	connections_flush(&vs->all);
	if (queue == VSOCK_RX)
		for (struct connection *c = vs->all.first; c; c = c->next)
			connection_watch(c);
}

static void vsock_reset(struct device *dev)
{
	struct vsock *vs = (struct vsock *)dev;

	while (vs->all.first)
		connection_destroy(vs->all.first);
	vs->all.resets = 0;
	vs->all.held = vs->all.starved = false;
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
	while (connection_find(&vs->all, vs->next_port, port));
	c = connection_create(&vs->all, fd, vs->next_port, port);
	if (!c)
		return -EMFILE;
	c->due = DUE_REQUEST;
	connections_flush(&vs->all);
	return 0;
}

struct vsock *vsock_create(struct bus *bus, vsock_open_fn *open, void *arg)
{
	struct vsock *vs = calloc(1, sizeof(*vs));

	if (!vs)
		return NULL;
	vs->open = open;
	vs->arg = arg;
	vs->all.dev = &vs->dev;
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
