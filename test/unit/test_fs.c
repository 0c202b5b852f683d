/* SPDX-License-Identifier: MIT */
/* virtio-fs: requests reach the server, answers the guest; drivers and servers that misbehave. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/fs.h"
#include "device/fs_proto.h"
#include "test/unit/rig.h"

static struct rig rig;
static struct ring ring;
static int server, gone;
static uint64_t request, answer;

static void on_gone(void *arg)
{
	(void)arg;
	gone++;
}

static int setup(void **state)
{
	struct ring hiprio;
	int fd[2];

	(void)state;
	gone = 0;
	rig_open(&rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fd), 0);
	server = fd[1];
	assert_non_null(fs_create(&rig.bus, "tag", fd[0], on_gone, NULL));
	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&hiprio, &rig, 0, 0, 8);
	ring_open(&ring, &rig, 0, 1, 8);
	rig_go(&rig, 0);
	request = rig_alloc(&rig, 64);
	answer = rig_alloc(&rig, 256);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (server >= 0)
		close(server);
	rig_close(&rig);
	return 0;
}

/* Offers a request of two pieces out and two in, as head. */
static void offer(unsigned head, uint64_t unique)
{
	struct fuse_in_header *in = rig_at(&rig, request, sizeof(*in));

	*in = (struct fuse_in_header){.len = 64, .opcode = FUSE_GETATTR, .unique = unique};
	ring_desc(&rig, ring.desc, head, request, 40, VRING_DESC_F_NEXT, head + 1);
	ring_desc(&rig, ring.desc, head + 1, request + 40, 24, VRING_DESC_F_NEXT, head + 2);
	ring_desc(&rig, ring.desc, head + 2, answer, 16, VRING_DESC_F_WRITE | VRING_DESC_F_NEXT,
		head + 3);
	ring_desc(&rig, ring.desc, head + 3, answer + 128, 104, VRING_DESC_F_WRITE, 0);
	ring_offer(&ring, head);
	ring_kick(&ring);
	rig_settle(&rig);
}

static void a_request_goes_to_the_server_and_back(void **state)
{
	struct fs_request m;
	struct fs_reply reply;
	uint32_t id, len;

	(void)state;
	offer(0, 7);
	assert_int_equal(recv(server, &m, sizeof(m), 0), FS_REQUEST_SIZE(3));
	/* The first two pieces touch each other. */
	assert_int_equal(m.outs, 1);
	assert_int_equal(m.ins, 2);
	assert_int_equal(m.piece[0].offset, request);
	assert_int_equal(m.piece[0].len, 64);
	assert_int_equal(m.piece[2].offset, answer + 128);
	assert_false(ring_used(&ring, &id, &len));
	reply = (struct fs_reply){.id = m.id, .len = 120};
	assert_int_equal(send(server, &reply, sizeof(reply), 0), sizeof(reply));
	rig_settle(&rig);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(id, 0);
	assert_int_equal(len, 120);
	assert_true(rig.raised[LUCID_EVENT_DEVICE(0)] >= 1);
}

static void expect_eio(uint64_t unique)
{
	const struct fuse_out_header *out = rig_at(&rig, answer, sizeof(*out));
	uint32_t id, len;

	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(len, sizeof(*out));
	assert_int_equal(out->error, -EIO);
	assert_int_equal(out->unique, unique);
}

static void a_server_that_dies_leaves_errors(void **state)
{
	(void)state;
	offer(0, 9);
	close(server);
	server = -1;
	rig_settle(&rig);
	assert_int_equal(gone, 1);
	expect_eio(9);
	offer(0, 10);
	expect_eio(10);
	assert_int_equal(gone, 1);
	assert_false(rig_is_broken(&rig, 0));
}

static void an_answer_to_nothing_ends_the_server(void **state)
{
	struct fs_reply reply = {.id = 1 << 16 | 3};

	(void)state;
	offer(0, 11);
	assert_int_equal(send(server, &reply, sizeof(reply), 0), sizeof(reply));
	rig_settle(&rig);
	assert_int_equal(gone, 1);
	expect_eio(11);
}

static void requests_without_headers_are_noticed(void **state)
{
	(void)state;
	ring_desc(&rig, ring.desc, 0, request, 39, 0, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	rig_settle(&rig);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(gone, 0);
}

static void no_room_for_an_answer_is_noticed(void **state)
{
	(void)state;
	ring_desc(&rig, ring.desc, 0, request, 64, VRING_DESC_F_NEXT, 1);
	ring_desc(&rig, ring.desc, 1, answer, 15, VRING_DESC_F_WRITE, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	rig_settle(&rig);
	assert_true(rig_is_broken(&rig, 0));
}

/* The server's answer to what is in flight is waited for, and the guest does not see it any more.
 */
static void a_reset_waits_for_the_server(void **state)
{
	struct fs_reply reply = {.id = 1 << 16, .len = 120};
	struct ring hiprio;
	uint32_t id, len;

	(void)state;
	offer(0, 12);
	assert_int_equal(send(server, &reply, sizeof(reply), 0), sizeof(reply));
	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&hiprio, &rig, 0, 0, 8);
	ring_open(&ring, &rig, 0, 1, 8);
	rig_go(&rig, 0);
	rig_settle(&rig);
	assert_int_equal(gone, 0);
	assert_false(ring_used(&ring, &id, &len));
	/* The same head once more, and a server that goes in the middle of the next reset. */
	offer(0, 13);
	close(server);
	server = -1;
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	assert_int_equal(gone, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_request_goes_to_the_server_and_back, setup, teardown),
		cmocka_unit_test_setup_teardown(a_server_that_dies_leaves_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_answer_to_nothing_ends_the_server, setup, teardown),
		cmocka_unit_test_setup_teardown(
			requests_without_headers_are_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reset_waits_for_the_server, setup, teardown),
		cmocka_unit_test_setup_teardown(no_room_for_an_answer_is_noticed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
