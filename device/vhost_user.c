/* SPDX-License-Identifier: MIT */
/* The front end's side of vhost-user: requests, their descriptors, and their checked answers. */
#include "device/vhost_user.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A back end that is starting may take a while, on a busy host. */
#define PATIENCE_MS 10000

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
};

#define FLAGS_VERSION 1U
#define FLAG_REPLY 4U
#define FLAG_NEED_REPLY 8U

struct header {
	uint32_t request, flags, size;
};

struct mem_region {
	uint64_t guest, size, user, offset;
};

struct mem_table {
	uint32_t count, padding;
	struct mem_region region[VHOST_USER_REGIONS_MAX];
};

struct vring_state {
	uint32_t index, value;
};

struct vring_addr {
	uint32_t index, flags;
	uint64_t desc, used, avail, log;
};

struct config {
	uint32_t offset, size, flags;
	uint8_t data[VHOST_USER_CONFIG_MAX];
};

struct message {
	struct header header;
	union {
		uint64_t value;
		struct vring_state state;
		struct vring_addr addr;
		struct mem_table table;
		struct config config;
	} u;
} __attribute__((packed));

static int send_message(int socket, const struct message *m, const int *fds, unsigned count)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(VHOST_USER_REGIONS_MAX * sizeof(int))];
	} control = {.header = {.cmsg_len = CMSG_LEN(count * sizeof(int)),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec iov = {(void *)(uintptr_t)m, sizeof(m->header) + m->header.size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	if (count > 0) {
		memcpy(CMSG_DATA(&control.header), fds, count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	do
		n = sendmsg(socket, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == iov.iov_len ? 0 : -EPIPE;
}

static int receive_all(int socket, void *data, size_t n)
{
	struct pollfd p = {.fd = socket, .events = POLLIN};

	while (n > 0) {
		int ready = poll(&p, 1, PATIENCE_MS);

		if (ready < 0 && errno == EINTR)
			continue;
		if (ready <= 0)
			return ready == 0 ? -ETIMEDOUT : -errno;
		/* No descriptors are taken: what comes with one is closed by the host. */
		ssize_t got = recv(socket, data, n, MSG_DONTWAIT);

		if (got < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EPIPE;
		data = (char *)data + got;
		n -= (size_t)got;
	}
	return 0;
}

/* The answer to what was asked in m, of exactly size bytes, into it. */
static int receive(int socket, struct message *m, size_t size)
{
	uint32_t asked = m->header.request;
	int r = receive_all(socket, &m->header, sizeof(m->header));

	if (r < 0)
		return r;
	if (m->header.request != asked ||
		(m->header.flags & ~FLAG_NEED_REPLY) != (FLAGS_VERSION | FLAG_REPLY) ||
		m->header.size != size)
		return -EPROTO;
	return receive_all(socket, &m->u, size);
}

static int get(int socket, enum request request, uint64_t *value)
{
	struct message m = {.header = {.request = request, .flags = FLAGS_VERSION}};
	int r = send_message(socket, &m, NULL, 0);

	if (r == 0)
		r = receive(socket, &m, sizeof(m.u.value));
	if (r < 0)
		return r;
	*value = m.u.value;
	return 0;
}

/* Sends a request and waits until the back end has taken it. */
static int order(int socket, struct message *m, const int *fds, unsigned count)
{
	int r;

	m->header.flags = FLAGS_VERSION | FLAG_NEED_REPLY;
	r = send_message(socket, m, fds, count);
	if (r == 0)
		r = receive(socket, m, sizeof(m->u.value));
	if (r == 0 && m->u.value != 0)
		r = -EIO;
	return r;
}

static int set(int socket, enum request request, uint64_t value, bool answered)
{
	struct message m = {
		.header = {.request = request, .flags = FLAGS_VERSION, .size = sizeof(m.u.value)},
		.u.value = value};

	return answered ? order(socket, &m, NULL, 0) : send_message(socket, &m, NULL, 0);
}

int vhost_user_open(int socket, uint64_t required, uint64_t wanted, uint64_t *features)
{
	const uint64_t protocol =
		1ULL << VHOST_USER_PROTOCOL_F_REPLY_ACK | 1ULL << VHOST_USER_PROTOCOL_F_CONFIG;
	const uint64_t extended = 1ULL << VHOST_USER_F_PROTOCOL_FEATURES;
	struct message owner = {.header = {.request = SET_OWNER}};
	uint64_t has, knows;
	int r = get(socket, GET_FEATURES, &has);

	if (r < 0)
		return r;
	required |= extended;
	if ((has & required) != required)
		return -ENOTSUP;
	r = get(socket, GET_PROTOCOL_FEATURES, &knows);
	if (r < 0)
		return r;
	if ((knows & protocol) != protocol)
		return -ENOTSUP;
	*features = has & (required | wanted);
	r = set(socket, SET_PROTOCOL_FEATURES, protocol, false);
	if (r == 0)
		r = order(socket, &owner, NULL, 0);
	return r < 0 ? r : set(socket, SET_FEATURES, *features, true);
}

int vhost_user_config(int socket, void *config, size_t n)
{
	const size_t size = offsetof(struct config, data) + n;
	struct message m = {
		.header = {.request = GET_CONFIG, .flags = FLAGS_VERSION, .size = (uint32_t)size},
		.u.config.size = (uint32_t)n};
	int r;

	if (n > VHOST_USER_CONFIG_MAX)
		return -EINVAL;
	r = send_message(socket, &m, NULL, 0);
	if (r == 0)
		r = receive(socket, &m, size);
	if (r == 0)
		memcpy(config, m.u.config.data, n);
	return r;
}

/* ---- Memory and the ring ---------------------------------------------------------- */

static int set_memory(int socket, const struct vhost_user_region *region, unsigned regions)
{
	struct message m = {.header = {.request = SET_MEM_TABLE}, .u.table.count = regions};
	int fds[VHOST_USER_REGIONS_MAX];

	if (regions > VHOST_USER_REGIONS_MAX)
		return -EINVAL;
	for (unsigned i = 0; i < regions; i++) {
		m.u.table.region[i] = (struct mem_region){
			.guest = (uintptr_t)region[i].base,
			.user = (uintptr_t)region[i].base,
			.size = region[i].size,
		};
		fds[i] = region[i].fd;
	}
	m.header.size = (uint32_t)offsetof(struct mem_table, region[0]) +
			regions * (uint32_t)sizeof(struct mem_region);
	return order(socket, &m, fds, regions);
}

static int set_state(int socket, enum request request, uint32_t value)
{
	struct message m = {
		.header = {.request = request, .size = sizeof(m.u.state)}, .u.state.value = value};

	return order(socket, &m, NULL, 0);
}

static int set_fd(int socket, enum request request, int fd)
{
	struct message m = {.header = {.request = request, .size = sizeof(m.u.value)}};

	return order(socket, &m, &fd, 1);
}

static int set_addresses(int socket, const struct vhost_user_ring *ring)
{
	struct message m = {.header = {.request = SET_VRING_ADDR, .size = sizeof(m.u.addr)},
		.u.addr = {.desc = (uintptr_t)ring->desc,
			.used = (uintptr_t)ring->used,
			.avail = (uintptr_t)ring->avail}};

	return order(socket, &m, NULL, 0);
}

int vhost_user_start(int socket, const struct vhost_user_region *region, unsigned regions,
	const struct vhost_user_ring *ring)
{
	int r = set_memory(socket, region, regions);

	if (r == 0)
		r = set_state(socket, SET_VRING_NUM, ring->size);
	if (r == 0)
		r = set_state(socket, SET_VRING_BASE, 0);
	if (r == 0)
		r = set_addresses(socket, ring);
	if (r == 0)
		r = set_fd(socket, SET_VRING_CALL, ring->call);
	if (r == 0)
		r = set_fd(socket, SET_VRING_KICK, ring->kick);
	return r < 0 ? r : set_state(socket, SET_VRING_ENABLE, 1);
}
