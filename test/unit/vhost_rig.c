/* SPDX-License-Identifier: MIT */
/* A vhost-user back end for a disk, in memory. */
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "test/unit/vhost_rig.h"

#define FLAG_REPLY 4U
#define FLAG_NEED_REPLY 8U
#define SET_MEM_TABLE 5
#define GET_CONFIG 24
#define EXTENDED (1ULL << 30)

struct message {
	struct {
		uint32_t request, flags, size;
	} header;
	uint8_t body[512];
} __attribute__((packed));

struct back_end be;

static void *at(uint64_t address)
{
	return (void *)(uintptr_t)address;
}

/* ---- The back end: messages ------------------------------------------------------- */

static bool read_whole(void *data, size_t n)
{
	return n == 0 || recv(be.socket, data, n, MSG_WAITALL) == (ssize_t)n;
}

static bool receive(struct message *m, int fd[8])
{
	char control[CMSG_SPACE(8 * sizeof(int))];
	struct iovec iov = {&m->header, sizeof(m->header)};
	struct msghdr msg = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *c;

	fd[0] = -1;
	if (recvmsg(be.socket, &msg, MSG_WAITALL) != sizeof(m->header))
		return false;
	c = CMSG_FIRSTHDR(&msg);
	if (c) {
		be.fds = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fd, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
		for (int i = 1; i < be.fds; i++)
			close(fd[i]);
	}
	return m->header.size <= sizeof(m->body) && read_whole(m->body, m->header.size);
}

static void answer(struct message *m, uint32_t size)
{
	m->header.flags = 1 | FLAG_REPLY;
	m->header.size = size;
	if (be.mood == OTHER_ANSWER)
		m->header.request++;
	if (be.mood == SHORT_ANSWER)
		m->header.size = size - 1;
	if (be.mood == LONG_ANSWER)
		m->header.size = size + 1;
	send(be.socket, m, sizeof(m->header) + m->header.size, MSG_NOSIGNAL);
}

static void answer_value(struct message *m, uint64_t value)
{
	memcpy(m->body, &value, sizeof(value));
	answer(m, sizeof(value));
}

static void answer_config(struct message *m)
{
	struct virtio_blk_config config = {
		.capacity = be.mood == NO_CAPACITY ? 0 : SECTORS,
		.blk_size = be.mood == ODD_BLOCKS ? 513 : 512,
		.max_discard_sectors = 64,
		.max_discard_seg = 1,
		.max_write_zeroes_sectors = 64,
		.max_write_zeroes_seg = 1,
	};

	memcpy(m->body + 12, &config, m->header.size - 12);
	answer(m, m->header.size);
}

static uint64_t features(void)
{
	uint64_t all = EXTENDED | 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_RING_F_INDIRECT_DESC |
		       1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_FLUSH |
		       1ULL << VIRTIO_BLK_F_DISCARD | 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;

	if (be.mood == NO_FEATURES)
		all &= ~(1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	if (be.mood == SPARING)
		all |= 1ULL << VIRTIO_RING_F_EVENT_IDX;
	if (be.mood == READ_ONLY)
		all |= 1ULL << VIRTIO_BLK_F_RO;
	return all;
}

static void take_addresses(const struct message *m)
{
	uint64_t a[5];

	memcpy(a, m->body, sizeof(a));
	be.desc = at(a[1]);
	be.used = at(a[2]);
	be.avail = at(a[3]);
}

/* One message; false: the end. */
static bool serve_message(void)
{
	struct message m;
	int fd[8];

	if (!receive(&m, fd))
		return false;
	bool wants_answer = m.header.flags & FLAG_NEED_REPLY;
	uint64_t result = 0;

	switch (m.header.request) {
	case 1:
		answer_value(&m, features());
		return true;
	case 15:
		answer_value(&m, be.mood == NO_PROTOCOL ? 1 : 0x208);
		return true;
	case GET_CONFIG:
		if (be.mood == CLOSES)
			return false;
		answer_config(&m);
		return true;
	case SET_MEM_TABLE:
		result = be.mood == REFUSES;
		break;
	case 2:
		memcpy(&be.features, m.body, sizeof(be.features));
		break;
	case 9:
		take_addresses(&m);
		break;
	case 12:
		be.kick = fd[0];
		fd[0] = -1;
		break;
	case 13:
		be.call = fd[0];
		fd[0] = -1;
		break;
	}
	if (fd[0] >= 0)
		close(fd[0]);
	if (wants_answer)
		answer_value(&m, result);
	return true;
}

/* ---- The back end: requests --------------------------------------------------------- */

static uint8_t perform(const struct vring_desc *d, unsigned n)
{
	const struct virtio_blk_outhdr *header = at(d[0].addr);
	const struct virtio_blk_discard_write_zeroes *range = at(d[1].addr);
	uint64_t offset = header->sector * 512;

	switch (header->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		for (unsigned i = 1; i + 1 < n; offset += d[i++].len)
			if (header->type == VIRTIO_BLK_T_IN)
				memcpy(at(d[i].addr), be.disk + offset, d[i].len);
			else
				memcpy(be.disk + offset, at(d[i].addr), d[i].len);
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_FLUSH:
		be.flushed++;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_DISCARD:
		be.discarded += range->num_sectors;
		return VIRTIO_BLK_S_OK;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		be.zeroed += range->num_sectors;
		be.kept += range->flags == 0;
		memset(be.disk + range->sector * 512, 0, range->num_sectors * 512);
		return VIRTIO_BLK_S_OK;
	}
	return VIRTIO_BLK_S_UNSUPP;
}

static void give_back(uint32_t id)
{
	be.used->ring[be.used->idx % 128].id = id;
	__atomic_store_n(&be.used->idx, be.used->idx + 1, __ATOMIC_RELEASE);
}

static void serve_request(void)
{
	uint16_t id = be.avail->ring[be.seen++ % 128];
	const struct vring_desc *table = at(be.desc[id].addr);
	unsigned n = be.desc[id].len / sizeof(*table);
	uint8_t *status = at(table[n - 1].addr);

	*status = be.mood == FAILS	     ? VIRTIO_BLK_S_IOERR
		  : be.mood == KNOWS_NOTHING ? VIRTIO_BLK_S_UNSUPP
		  : be.mood == ODD_STATUS    ? 77
					     : perform(table, n);
	give_back(be.mood == OTHER_SLOT ? (id + 1U) % 128 : be.mood == NO_SLOT ? 128 : id);
	if (be.mood == TWICE)
		give_back(id);
	if (be.mood == RUNS_AHEAD)
		__atomic_store_n(&be.used->idx, be.used->idx + 300, __ATOMIC_RELEASE);
}

static bool call(void)
{
	const uint64_t one = 1;

	return write(be.call, &one, sizeof(one)) == sizeof(one);
}

/* The same for each request by itself, as far as the driver has asked for a kick and for a call. */
static bool serve_sparingly(void)
{
	uint16_t *avail_event = (void *)&be.used->ring[128];
	bool good = true;

	while (good && be.seen != __atomic_load_n(&be.avail->idx, __ATOMIC_ACQUIRE)) {
		serve_request();
		__atomic_store_n(avail_event, be.seen, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
		if (vring_need_event(__atomic_load_n(&be.avail->ring[128], __ATOMIC_RELAXED),
			    be.used->idx, (uint16_t)(be.used->idx - 1)))
			good = call();
	}
	return good;
}

/* false: it ends. */
static bool serve_ring(void)
{
	uint64_t count = 1;

	if (read(be.kick, &count, sizeof(count)) < 0)
		return true;
	if (be.mood == DIES)
		return false;
	if (be.mood == TALKS)
		send(be.socket, "hello", 5, MSG_NOSIGNAL);
	if (be.mood == SPARING)
		return serve_sparingly();
	while (be.seen != __atomic_load_n(&be.avail->idx, __ATOMIC_ACQUIRE))
		serve_request();
	return call();
}

void *back_end(void *arg)
{
	(void)arg;
	for (;;) {
		struct pollfd p[2] = {
			{.fd = be.socket, .events = POLLIN},
			{.fd = be.kick, .events = POLLIN},
		};

		poll(p, 2, -1);
		if (p[0].revents && !serve_message())
			break;
		if (be.kick >= 0 && p[1].revents && !serve_ring())
			break;
	}
	close(be.socket);
	return NULL;
}
