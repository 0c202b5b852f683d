/* SPDX-License-Identifier: MIT */
/*
 * A disk that another process serves: device/vhost_user.c and device/blk_vhost.c against
 * the back end of a rig.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vhost_user.h"
#include "test/unit/vhost_rig.h"

static pthread_t thread;
static int our_end;
static unsigned gone;

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
