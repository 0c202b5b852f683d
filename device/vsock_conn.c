/* SPDX-License-Identifier: MIT */
/* Connections of virtio-vsock: from sockets to the guest, and into sockets. */
#include "device/vsock_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vsock.h"

static void ready(void *arg, uint32_t events);

/* ---- Connections ------------------------------------------------------------------ */

struct connection *connection_find(struct connections *all, uint32_t host_port, uint32_t guest_port)
{
	struct connection *c = all->first;

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
	return c->open && !c->all->starved && room_of_guest(c) > 0 &&
	       !(c->shut_sent & VIRTIO_VSOCK_SHUTDOWN_SEND) &&
	       !(c->shut_received & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

void connection_watch(struct connection *c)
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
	loop_change(c->all->dev->bus->loop, c->fd, events);
}

static void close_socket(struct connection *c)
{
	if (c->fd < 0)
		return;
	loop_remove(c->all->dev->bus->loop, c->fd);
	close(c->fd);
	c->fd = -1;
	c->len = 0;
}

void connection_destroy(struct connection *c)
{
	struct connection **at = &c->all->first;

	close_socket(c);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->all->count--;
	free(c->buffer);
	free(c);
}

struct connection *connection_create(
	struct connections *all, int fd, uint32_t host_port, uint32_t guest_port)
{
	struct connection *c = all->count < VSOCK_CONNECTIONS_MAX ? calloc(1, sizeof(*c)) : NULL;

	if (c)
		c->buffer = malloc(VSOCK_BUFFER_SIZE);
	if (!c || !c->buffer || loop_add(all->dev->bus->loop, fd, 0, ready, c) < 0) {
		if (c)
			free(c->buffer);
		free(c);
		close(fd);
		return NULL;
	}
	c->all = all;
	c->fd = fd;
	c->host_port = host_port;
	c->guest_port = guest_port;
	c->next = all->first;
	all->first = c;
	all->count++;
	return c;
}

/* ---- To the guest ------------------------------------------------------------------- */

static bool pop_rx(struct connections *all, struct vq_chain *chain)
{
	struct virtqueue *vq = &all->dev->vq[VSOCK_RX];

	*chain = (struct vq_chain){.iov = all->iov, .max = VQ_CHAIN_MAX};
	while (device_running(all->dev) && vq->size > 0) {
		int r = vq_pop(vq, chain);

		if (r > 0 && chain->in_len > sizeof(struct virtio_vsock_hdr))
			return true;
		if (r != 0) {
			device_broken(all->dev, VSOCK_RX,
				r < 0 ? vq->error : "a buffer too small for a packet");
			return false;
		}
		if (!vq_arm(vq))
			break;
	}
	all->starved = true;
	return false;
}

static void put_packet(struct connections *all, struct vq_chain *chain,
	struct virtio_vsock_hdr header, const void *data, uint32_t len)
{
	header.src_cid = VSOCK_HOST_CID;
	header.dst_cid = VSOCK_GUEST_CID;
	header.type = VIRTIO_VSOCK_TYPE_STREAM;
	header.len = len;
	vq_put(chain, &header, sizeof(header));
	vq_put(chain, data, len);
	vq_push(&all->dev->vq[VSOCK_RX], chain->head, (uint32_t)sizeof(header) + len);
}

static struct virtio_vsock_hdr header_of(struct connection *c, uint16_t op)
{
	c->told = c->forwarded;
	c->due &= ~(unsigned)DUE_CREDIT; /* every packet carries it */
	return (struct virtio_vsock_hdr){
		.src_port = c->host_port,
		.dst_port = c->guest_port,
		.op = op,
		.buf_alloc = VSOCK_BUFFER_SIZE,
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
	struct connections *all = c->all;

	while (c->due) {
		unsigned due = c->due & -c->due;
		struct virtio_vsock_hdr header;
		struct vq_chain chain;

		if (!pop_rx(all, &chain))
			return false;
		header = header_of(c, op_of(due));
		if (due == DUE_SHUTDOWN)
			header.flags = c->shut_sent;
		put_packet(all, &chain, header, NULL, 0);
		c->due &= ~due;
		if (due == DUE_RESET) {
			connection_destroy(c);
			return true;
		}
	}
	return true;
}

void connections_refuse(struct connections *all, const struct virtio_vsock_hdr *h)
{
	if (h->op != VIRTIO_VSOCK_OP_RST && all->resets < VSOCK_RESETS_MAX)
		all->reset[all->resets++] = (struct reset){h->dst_port, h->src_port};
}

static bool send_resets(struct connections *all)
{
	while (all->resets > 0) {
		struct vq_chain chain;

		if (!pop_rx(all, &chain))
			return false;
		all->resets--;
		put_packet(all, &chain,
			(struct virtio_vsock_hdr){
				.src_port = all->reset[all->resets].host_port,
				.dst_port = all->reset[all->resets].guest_port,
				.op = VIRTIO_VSOCK_OP_RST,
			},
			NULL, 0);
	}
	if (all->held) {
		all->held = false;
		device_again(all->dev, 1ULL << VSOCK_TX);
	}
	return true;
}

void connections_flush(struct connections *all)
{
	struct connection *next;
	bool more = send_resets(all);

	for (struct connection *c = all->first; c && more; c = next) {
		next = c->next;
		more = send_due(c);
	}
	device_signal(all->dev, VSOCK_RX);
}

void connection_reset(struct connection *c)
{
	close_socket(c);
	c->due = DUE_RESET;
}

/* ---- From the socket ------------------------------------------------------------------ */

static void end_of_input(struct connection *c, bool hung_up)
{
	/* Nobody would read what the guest still sends. */
	if (hung_up)
		connection_reset(c);
	else {
		c->shut_sent |= VIRTIO_VSOCK_SHUTDOWN_SEND;
		c->due |= DUE_SHUTDOWN;
	}
}

/* Moves one portion to the guest; the chain is popped last, so that it is never given back empty.
 */
static void read_socket(struct connection *c, bool hung_up)
{
	struct connections *all = c->all;
	uint32_t room = room_of_guest(c);
	struct vq_chain chain;
	ssize_t n;

	if (!pop_rx(all, &chain))
		return;
	if (room > chain.in_len - sizeof(struct virtio_vsock_hdr))
		room = (uint32_t)(chain.in_len - sizeof(struct virtio_vsock_hdr));
	if (room > VSOCK_PACKET_MAX)
		room = VSOCK_PACKET_MAX;
	n = recv(c->fd, all->packet, room, MSG_DONTWAIT);
	if (n > 0) {
		put_packet(all, &chain, header_of(c, VIRTIO_VSOCK_OP_RW), all->packet, (uint32_t)n);
		c->sent += (uint32_t)n;
		all->dev->bytes_in += (uint64_t)n;
		return;
	}
	/* A buffer that turns out not to be needed carries the news of our credit. */
	put_packet(all, &chain, header_of(c, VIRTIO_VSOCK_OP_CREDIT_UPDATE), NULL, 0);
	if (n == 0 || (errno != EAGAIN && errno != EINTR))
		end_of_input(c, n < 0 || hung_up);
}

void connection_write(struct connection *c)
{
	while (c->len > 0) {
		uint32_t part = VSOCK_BUFFER_SIZE - c->start;
		ssize_t n;

		if (part > c->len)
			part = c->len;
		n = send(c->fd, c->buffer + c->start, part, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			connection_reset(c);
			return;
		}
		c->start = (c->start + (uint32_t)n) % VSOCK_BUFFER_SIZE;
		c->len -= (uint32_t)n;
		c->forwarded += (uint32_t)n;
	}
	if (c->forwarded - c->told >= VSOCK_BUFFER_SIZE / 4)
		c->due |= DUE_CREDIT;
	if (c->len > 0 || !(c->shut_received & VIRTIO_VSOCK_SHUTDOWN_SEND))
		return;
	/* All that the guest had to say is said; if it does not listen either, that is the end. */
	if (c->shut_received == VSOCK_SHUT_BOTH || (c->shut_sent & VIRTIO_VSOCK_SHUTDOWN_SEND))
		connection_reset(c);
	else
		shutdown(c->fd, SHUT_WR);
}

static void ready(void *arg, uint32_t events)
{
	struct connection *c = arg;
	struct connections *all = c->all;

	if (c->len > 0 && (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
		connection_write(c);
	if (!c->open)
		connection_reset(c);
	else if (c->fd >= 0 && (events & (EPOLLIN | EPOLLERR | EPOLLHUP)) && may_read(c))
		read_socket(c, events & EPOLLHUP);
	connection_watch(c);
	send_due(c);
	device_signal(all->dev, VSOCK_RX);
}
