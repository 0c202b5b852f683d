/* SPDX-License-Identifier: MIT */
/*
 * virtio-fs: FUSE requests of the guest go to the server of the folder.
 *
 * The rings stay the monitor's: it takes each request, checks where its pieces
 * are and sends the server a list of them; the server reads and writes guest memory
 * itself. If the server dies, what it had is answered with EIO and so is all that comes.
 */
#include "device/fs.h"

#include <errno.h>
#include <linux/fuse.h>
#include <linux/virtio_fs.h>
#include <linux/virtio_ids.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "device/device.h"
#include "device/fs_proto.h"

#define QUEUE_SIZE 512
#define QUEUES 2 /* one for what must not wait, one for requests */
#define TURN 64
#define DRAIN_MS 30000 /* a server that takes longer than this for a request is lost */

/* A request that the server has, by queue and head. */
struct pending {
	bool there;
	uint64_t unique; /* FUSE's number of it */
	void *answer; /* where a struct fuse_out_header fits; NULL: none is wanted */
};

struct fs {
	struct device dev;
	struct virtio_fs_config config;
	int socket; /* -1: the server is gone */
	void (*gone)(void *arg);
	void *gone_arg;
	unsigned in_flight;
	bool blocked; /* request waits for room in the socket */
	unsigned blocked_queue;
	size_t request_size;
	struct fs_request request;
	struct pending pending[QUEUES][QUEUE_SIZE];
};

static void answer_error(struct fs *fs, unsigned queue, uint16_t head)
{
	struct pending *p = &fs->pending[queue][head];
	const struct fuse_out_header error = {
		.len = sizeof(error), .error = -EIO, .unique = p->unique};

	if (p->answer)
		memcpy(p->answer, &error, sizeof(error));
	p->there = false;
	vq_push(&fs->dev.vq[queue], head, p->answer ? sizeof(error) : 0);
}

static void server_gone(struct fs *fs)
{
	if (fs->socket < 0)
		return;
	loop_remove(fs->dev.bus->loop, fs->socket);
	close(fs->socket);
	fs->socket = -1;
	fs->blocked = false;
	fs->in_flight = 0;
	for (unsigned q = 0; q < QUEUES; q++) {
		for (unsigned h = 0; h < QUEUE_SIZE; h++)
			if (fs->pending[q][h].there)
				answer_error(fs, q, (uint16_t)h);
		device_signal(&fs->dev, q);
	}
	if (fs->gone)
		fs->gone(fs->gone_arg);
}

/* ---- To the server ------------------------------------------------------------ */

/* Describes a chain: pieces that touch each other become one. */
static void describe_pieces(
	struct fs *fs, const struct iovec *iov, unsigned n, uint16_t *count, unsigned *at)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t offset =
			(uint64_t)((unsigned char *)iov[i].iov_base - fs->dev.bus->ram->base);

		if (*count > 0 &&
			fs->request.piece[*at - 1].offset + fs->request.piece[*at - 1].len ==
				offset) {
			fs->request.piece[*at - 1].len += iov[i].iov_len;
			continue;
		}
		fs->request.piece[*at].offset = offset;
		fs->request.piece[*at].len = iov[i].iov_len;
		(*at)++;
		(*count)++;
	}
}

/* Hands the request over: false: not now. */
static bool send_request(struct fs *fs)
{
	ssize_t n;

	do
		n = send(fs->socket, &fs->request, fs->request_size, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	fs->blocked = n < 0 && (errno == EAGAIN || errno == ENOBUFS);
	loop_change(fs->dev.bus->loop, fs->socket, fs->blocked ? EPOLLIN | EPOLLOUT : EPOLLIN);
	if (n < 0 && !fs->blocked)
		server_gone(fs);
	return !fs->blocked;
}

/* Takes one request: true unless there is no use in trying for another one now. */
static bool take(struct fs *fs, unsigned queue)
{
	struct virtqueue *vq = &fs->dev.vq[queue];
	struct iovec iov[QUEUE_SIZE];
	struct vq_chain chain = {.iov = iov, .max = QUEUE_SIZE};
	struct fuse_in_header header;
	unsigned at = 0;

	int r = vq_pop(vq, &chain);
	if (r == 0)
		return vq_arm(vq);
	if (r < 0 || chain.out_len < sizeof(header) ||
		(chain.ins > 0 && chain.in[0].iov_len < sizeof(struct fuse_out_header))) {
		device_broken(&fs->dev, queue, r < 0 ? vq->error : "a request without a header");
		return false;
	}
	vq_peek(&chain, &header, sizeof(header));
	fs->pending[queue][chain.head] = (struct pending){
		.there = true,
		.unique = header.unique,
		.answer = chain.ins > 0 ? chain.in[0].iov_base : NULL,
	};
	if (fs->socket < 0) {
		answer_error(fs, queue, chain.head);
		return true;
	}
	fs->request.cpu = (uint32_t)sched_getcpu();
	fs->request.id = queue << 16 | chain.head;
	fs->request.outs = fs->request.ins = 0;
	describe_pieces(fs, chain.out, chain.outs, &fs->request.outs, &at);
	describe_pieces(fs, chain.in, chain.ins, &fs->request.ins, &at);
	fs->request_size = FS_REQUEST_SIZE(at);
	fs->in_flight++;
	return send_request(fs);
}

static void fs_notify(struct device *dev, unsigned queue)
{
	struct fs *fs = (struct fs *)dev;
	unsigned turn = 0;

	if (fs->blocked)
		return; /* both queues are looked at when there is room */
	while (turn < TURN && take(fs, queue))
		turn++;
	if (turn == TURN)
		device_again(dev, 1ULL << queue);
	if (fs->socket < 0)
		device_signal(dev, queue);
}

/* ---- From the server ------------------------------------------------------------ */

/* Takes one answer: 1; 0: there is none; -1: the server is gone. */
static int receive(struct fs *fs)
{
	struct fs_reply reply;
	ssize_t n = recv(fs->socket, &reply, sizeof(reply), MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	unsigned queue = reply.id >> 16, head = reply.id & 0xffff;
	if (n != sizeof(reply) || queue >= QUEUES || head >= QUEUE_SIZE ||
		!fs->pending[queue][head].there) {
		server_gone(fs);
		return -1;
	}
	fs->pending[queue][head].there = false;
	fs->in_flight--;
	vq_push(&fs->dev.vq[queue], (uint16_t)head, reply.len);
	return 1;
}

static void on_server(void *arg, uint32_t events)
{
	struct fs *fs = arg;

	if (fs->blocked && (events & EPOLLOUT) && send_request(fs))
		device_again(&fs->dev, 3);
	if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || fs->socket < 0)
		return;
	/* No more than it has: to ask for nothing takes as long as to get an answer. */
	for (unsigned turn = 0; turn < TURN && receive(fs) > 0 && fs->in_flight > 0;)
		turn++;
	device_signal(&fs->dev, 0);
	device_signal(&fs->dev, 1);
}

/* ---- Device --------------------------------------------------------------------- */

static void fs_stop(struct device *dev, unsigned queue)
{
	struct fs *fs = (struct fs *)dev;
	struct pollfd p = {.fd = fs->socket, .events = POLLIN};

	if (fs->blocked) { /* the server has not seen it, and need not */
		fs->pending[fs->request.id >> 16][fs->request.id & 0xffff].there = false;
		fs->blocked = false;
		fs->in_flight--;
	}
	while (fs->socket >= 0 && fs->in_flight > 0) {
		if (poll(&p, 1, DRAIN_MS) == 0)
			server_gone(fs);
		else
			receive(fs);
	}
	memset(fs->pending[queue], 0, sizeof(fs->pending[queue]));
}

static void fs_destroy(struct device *dev)
{
	struct fs *fs = (struct fs *)dev;

	if (fs->socket >= 0) {
		loop_remove(dev->bus->loop, fs->socket);
		close(fs->socket);
	}
	device_fini(dev);
	free(fs);
}

static const struct device_ops fs_ops = {
	.notify = fs_notify,
	.stop = fs_stop,
	.destroy = fs_destroy,
};

struct device *fs_create(
	struct bus *bus, const char *tag, int socket, void (*gone)(void *arg), void *arg)
{
	struct fs *fs = calloc(1, sizeof(*fs));
	int r = -ENOMEM;

	if (!fs)
		goto fail;
	fs->socket = socket;
	fs->gone = gone;
	fs->gone_arg = arg;
	fs->config.num_request_queues = 1;
	memcpy(fs->config.tag, tag, strnlen(tag, sizeof(fs->config.tag)));
	fs->dev = (struct device){
		.ops = &fs_ops,
		.name = "fs",
		.id = VIRTIO_ID_FS,
		.config = &fs->config,
		.config_size = sizeof(fs->config),
		.queues = QUEUES,
		.queue_max = QUEUE_SIZE,
	};
	r = loop_add(bus->loop, socket, EPOLLIN, on_server, fs);
	if (r < 0)
		goto fail;
	r = device_init(&fs->dev, bus);
	if (r == 0)
		return &fs->dev;
	loop_remove(bus->loop, socket);
fail:
	close(socket);
	free(fs);
	errno = -r;
	return NULL;
}
