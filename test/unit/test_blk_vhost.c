/* SPDX-License-Identifier: MIT */
/*
 * A disk that another process serves: device/vhost_user.c and device/blk_vhost.c against a back end
 * of the test's own, a thread, which can also answer wrongly. Memory is the same for both, so
 * it takes addresses as they come.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vhost_user.h"
#include "test/unit/blk_rig.h"

#define SIZE (SECTORS * 512)
#define FLAG_REPLY 4U
#define FLAG_NEED_REPLY 8U
#define SET_MEM_TABLE 5
#define GET_CONFIG 24
#define EXTENDED (1ULL << 30)

enum mood {
	SOUND,
	/* while it is asked for the device */
	NO_FEATURES, /* which are required */
	NO_PROTOCOL, /* features */
	OTHER_ANSWER, /* than to what was asked */
	SHORT_ANSWER,
	LONG_ANSWER,
	REFUSES, /* memory */
	CLOSES, /* when it is asked for the configuration */
	NO_CAPACITY,
	ODD_BLOCKS,
	READ_ONLY,
	/* while it serves requests */
	SPARING, /* with calls: none that was not asked for by an event index */
	FAILS,
	KNOWS_NOTHING, /* of such requests */
	ODD_STATUS,
	OTHER_SLOT, /* which it was not given */
	NO_SLOT, /* there is one of that number */
	TWICE, /* it gives one slot back */
	RUNS_AHEAD, /* with its index */
	DIES, /* at the first request */
	TALKS, /* without being asked */
};

struct message {
	struct {
		uint32_t request, flags, size;
	} header;
	uint8_t body[512];
} __attribute__((packed));

/* The back end. */
static struct {
	enum mood mood;
	int socket, kick, call;
	int fds; /* that came with memory */
	uint64_t features;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen;
	unsigned flushed, discarded, zeroed, kept;
	unsigned char disk[SIZE];
} be;
static pthread_t thread;
static int our_end;
static unsigned gone;

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

static void *back_end(void *arg)
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

/* ---- The rig ------------------------------------------------------------------------ */

static int set_up(void **state)
{
	int fd[2];

	memset(&be, 0, sizeof(be));
	be.kick = be.call = -1;
	gone = 0;
	if (setup_plain(state) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, fd) < 0)
		return -1;
	our_end = fd[0];
	be.socket = fd[1];
	return 0;
}

static int tear_down(void **state)
{
	int r = teardown(state); /* closes our end, if it is open still */

	pthread_join(thread, NULL);
	if (be.kick >= 0)
		close(be.kick);
	if (be.call >= 0)
		close(be.call);
	return r;
}

static void on_gone(void *arg)
{
	(void)arg;
	gone++;
}

static struct device *create(enum mood mood, unsigned flags)
{
	const char *why;

	be.mood = mood;
	assert_int_equal(pthread_create(&thread, NULL, back_end, NULL), 0);
	return blk_create_vhost(&rig.bus, our_end, "test", flags, limits, on_gone, NULL, &why);
}

static void serve(enum mood mood)
{
	assert_non_null(create(mood, 0));
	start_made();
}

/* ---- Tests --------------------------------------------------------------------------- */

static void moves_data(void **state)
{
	unsigned char *p = rig_at(&rig, data, SIZE);

	(void)state;
	serve(SOUND);
	assert_int_equal(be.fds, 1); /* of the last message that had some */
	for (unsigned i = 0; i < 8192; i++)
		p[i] = (unsigned char)(i * 7);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, 3, data, 8192, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(be.disk + 3 * 512, p, 8192);
	memset(p, 0, 8192);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 4, data, 512, WRITE), VIRTIO_BLK_S_OK);
	assert_memory_equal(be.disk + 4 * 512, p, 512);
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(be.flushed, 1);
	/* Beyond the end is our own business. */
	assert_int_equal(request(VIRTIO_BLK_T_IN, SECTORS, data, 512, WRITE), VIRTIO_BLK_S_IOERR);
	assert_int_equal(gone, 0);
}

static void ranges(void **state)
{
	(void)state;
	serve(SOUND);
	memset(be.disk, 1, SIZE);
	assert_int_equal(range(VIRTIO_BLK_T_DISCARD, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(be.discarded, 16);
	assert_int_equal(range(VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(be.kept, 1);
	/* Zeros are asked for as such, also where the place may go: only they read as zeros. */
	assert_int_equal(range(VIRTIO_BLK_T_WRITE_ZEROES, 24, 8, 1), VIRTIO_BLK_S_OK);
	assert_int_equal(be.kept, 1);
	assert_int_equal(be.zeroed, 24);
	assert_int_equal(be.disk[24 * 512], 0);
	/* More than the back end takes at once. */
	assert_int_equal(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 65, 0), VIRTIO_BLK_S_IOERR);
}

static void many(enum mood mood, unsigned rounds)
{
	serve(mood);
	for (unsigned round = 0; round < rounds; round++) {
		for (unsigned i = 0; i < 40; i++)
			ask(i * 3, VIRTIO_BLK_T_IN, i, data + i * 512, 512, WRITE);
		ring_kick(&ring);
		rig_run_until(&rig, all_used, NULL);
		for (unsigned i = 0; i < 40; i++)
			assert_int_equal(status(i * 3), VIRTIO_BLK_S_OK);
	}
}

static void many_at_once(void **state)
{
	(void)state;
	many(SOUND, 40);
}

/* What comes back while we ask for the next call must not be the last that we hear of. */
static void many_with_few_calls(void **state)
{
	(void)state;
	many(SPARING, 3000);
}

static void errors_are_the_guests(void **state)
{
	(void)state;
	serve(FAILS);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_IOERR);
	be.mood = KNOWS_NOTHING;
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0), VIRTIO_BLK_S_UNSUPP);
	be.mood = ODD_STATUS;
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_IOERR);
	be.mood = SOUND;
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_OK);
	assert_int_equal(gone, 0);
}

static bool is_gone(void *arg)
{
	(void)arg;
	return gone > 0;
}

/* What a back end gives back that it did not have is its end; the guest gets errors. */
static void lost_by(enum mood mood, uint8_t first)
{
	serve(mood);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), first);
	rig_run_until(&rig, is_gone, NULL);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, 0, data, 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(gone, 1);
}

static void other_slot(void **state)
{
	(void)state;
	lost_by(OTHER_SLOT, VIRTIO_BLK_S_IOERR);
}

static void no_slot(void **state)
{
	(void)state;
	lost_by(NO_SLOT, VIRTIO_BLK_S_IOERR);
}

static void slot_twice(void **state)
{
	(void)state;
	lost_by(TWICE, VIRTIO_BLK_S_OK);
}

static void index_ahead(void **state)
{
	(void)state;
	lost_by(RUNS_AHEAD, VIRTIO_BLK_S_OK);
}

static void dies(void **state)
{
	(void)state;
	lost_by(DIES, VIRTIO_BLK_S_IOERR);
}

static void talks(void **state)
{
	(void)state;
	serve(TALKS);
	request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE);
	rig_run_until(&rig, is_gone, NULL);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_IOERR);
}

/* A queue is stopped while requests are under way: they end first, or fail with the back end. */
static void stops(void **state)
{
	(void)state;
	serve(SOUND);
	for (unsigned i = 0; i < 40; i++)
		ask(i * 3, VIRTIO_BLK_T_IN, i, data + i * 512, 512, WRITE);
	ring_kick(&ring);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	assert_int_equal(be.used->idx, 40);
}

static void stops_with_a_dead_one(void **state)
{
	(void)state;
	serve(DIES);
	for (unsigned i = 0; i < 40; i++)
		ask(i * 3, VIRTIO_BLK_T_IN, i, data + i * 512, 512, WRITE);
	ring_kick(&ring);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	assert_int_equal(gone, 1);
}

static void refused_at_the_start(void **state)
{
	static const struct {
		enum mood mood;
		int error;
	} cases[] = {
		{NO_FEATURES, ENOTSUP},
		{NO_PROTOCOL, ENOTSUP},
		{OTHER_ANSWER, EPROTO},
		{SHORT_ANSWER, EPROTO},
		{LONG_ANSWER, EPROTO},
		{REFUSES, EIO},
		{CLOSES, EPIPE},
		{NO_CAPACITY, EPROTO},
		{ODD_BLOCKS, EPROTO},
		{READ_ONLY, EPROTO},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (i > 0) {
			tear_down(state);
			set_up(state);
		}
		assert_null(create(cases[i].mood, 0));
		assert_int_equal(errno, cases[i].error);
		assert_int_equal(gone, 0);
	}
}

static void read_only(void **state)
{
	(void)state;
	assert_non_null(create(READ_ONLY, BLK_READ_ONLY));
	start_made();
	assert_int_equal(request(VIRTIO_BLK_T_OUT, 0, data, 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(moves_data),
		TEST(ranges),
		TEST(many_at_once),
		TEST(many_with_few_calls),
		TEST(errors_are_the_guests),
		TEST(other_slot),
		TEST(no_slot),
		TEST(slot_twice),
		TEST(index_ahead),
		TEST(dies),
		TEST(talks),
		TEST(stops),
		TEST(stops_with_a_dead_one),
		TEST(refused_at_the_start),
		TEST(read_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
