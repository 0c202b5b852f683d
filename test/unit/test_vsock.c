/* SPDX-License-Identifier: MIT */
/* virtio-vsock: connections both ways, flow control, and guests that lie. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/vsock.h"
#include "test/unit/rig.h"

#define SIZE 64
#define BUFFER 4096
#define PORT 1024
#define HEADER sizeof(struct virtio_vsock_hdr)

static struct rig rig;
static struct ring rx, tx;
static struct vsock *vs;
static uint64_t rx_buffer[SIZE], tx_buffer;
static unsigned rx_next, tx_next;
static int outward = -1; /* what the next connection of the guest leads to */

static int open_outward(void *arg, uint32_t port)
{
	int fd = port == 7 ? outward : -1;

	(void)arg;
	outward = -1;
	return fd;
}

static void give_buffers(unsigned count)
{
	while (count--) {
		unsigned i = rx_next++ % SIZE;

		ring_desc(&rig, rx.desc, i, rx_buffer[i], BUFFER, VRING_DESC_F_WRITE, 0);
		ring_offer(&rx, i);
	}
	ring_kick(&rx);
}

static int setup_without_buffers(void **state)
{
	struct ring events;

	(void)state;
	rig_open(&rig);
	vs = vsock_create(&rig.bus, open_outward, NULL);
	if (!vs)
		return -1;
	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&rx, &rig, 0, 0, SIZE);
	ring_open(&tx, &rig, 0, 1, SIZE);
	ring_open(&events, &rig, 0, 2, 4);
	rig_go(&rig, 0);
	rig_settle(&rig);
	for (unsigned i = 0; i < SIZE; i++)
		rx_buffer[i] = rig_alloc(&rig, BUFFER);
	tx_buffer = rig_alloc(&rig, 1 << 20);
	rx_next = tx_next = 0;
	return 0;
}

static int setup(void **state)
{
	if (setup_without_buffers(state) < 0)
		return -1;
	give_buffers(32);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

/* ---- The guest --------------------------------------------------------------------- */

static struct virtio_vsock_hdr header(uint32_t host_port, uint32_t guest_port, unsigned op)
{
	return (struct virtio_vsock_hdr){
		.src_cid = VSOCK_GUEST_CID,
		.dst_cid = 2,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = (uint16_t)op,
		.buf_alloc = 1 << 20,
	};
}

static void send_raw(const void *data, size_t len)
{
	unsigned i = tx_next++ % SIZE;
	uint32_t id, n;

	memcpy(rig_at(&rig, tx_buffer, len), data, len);
	ring_desc(&rig, tx.desc, i, tx_buffer, (uint32_t)len, 0, 0);
	ring_offer(&tx, i);
	ring_kick(&tx);
	rig_settle(&rig);
	while (ring_used(&tx, &id, &n))
		;
}

static void send_packet(struct virtio_vsock_hdr h, const void *data, uint32_t len)
{
	static char packet[300000];

	h.len = len;
	memcpy(packet, &h, HEADER);
	if (len)
		memcpy(packet + HEADER, data, len);
	send_raw(packet, HEADER + len);
}

/* The guest has that much room, and has used up that much. */
static void say_credit(uint32_t host_port, uint32_t room, uint32_t used_up)
{
	struct virtio_vsock_hdr h = header(host_port, PORT, VIRTIO_VSOCK_OP_CREDIT_UPDATE);

	h.buf_alloc = room;
	h.fwd_cnt = used_up;
	send_packet(h, NULL, 0);
}

static void say(uint32_t host_port, uint32_t guest_port, unsigned op)
{
	send_packet(header(host_port, guest_port, op), NULL, 0);
}

/* The next packet for the guest; its data, too. False: there is none. */
static bool next_packet(struct virtio_vsock_hdr *h, char *data)
{
	uint32_t id, len;

	rig_settle(&rig);
	if (!ring_used(&rx, &id, &len))
		return false;
	assert_true(len >= HEADER);
	memcpy(h, rig_at(&rig, rx_buffer[id], HEADER), HEADER);
	assert_int_equal(h->src_cid, 2);
	assert_int_equal(h->dst_cid, VSOCK_GUEST_CID);
	assert_int_equal(h->type, VIRTIO_VSOCK_TYPE_STREAM);
	assert_int_equal(len, HEADER + h->len);
	if (data)
		memcpy(data, rig_at(&rig, rx_buffer[id] + HEADER, h->len), h->len);
	give_buffers(1);
	return true;
}

static struct virtio_vsock_hdr expect(unsigned op)
{
	struct virtio_vsock_hdr h;

	/* News of credit may come at any time. */
	do
		assert_true(next_packet(&h, NULL));
	while (h.op == VIRTIO_VSOCK_OP_CREDIT_UPDATE && op != h.op);
	assert_int_equal(h.op, op);
	return h;
}

/* A socket for the device, and its peer for the test. */
static int make_socket(int *peer)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	*peer = pair[1];
	return pair[0];
}

/* Asks the guest for a connection; what vsock_connect() says. */
static int ask_guest(int *peer)
{
	return vsock_connect(vs, make_socket(peer), PORT);
}

/* Connects from the host; the host's port. */
static uint32_t connect_in(int *peer)
{
	struct virtio_vsock_hdr h;
	char line[32] = "";
	unsigned port;

	assert_int_equal(ask_guest(peer), 0);
	h = expect(VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(h.dst_port, PORT);
	say(h.src_port, PORT, VIRTIO_VSOCK_OP_RESPONSE);
	assert_true(read(*peer, line, sizeof(line) - 1) > 0);
	assert_int_equal(sscanf(line, "OK %u\n", &port), 1);
	assert_int_equal(port, h.src_port);
	return port;
}

static bool is_closed(int fd)
{
	char byte;

	return read(fd, &byte, 1) == 0;
}

/* ---- Tests --------------------------------------------------------------------------- */

static void bytes_go_both_ways(void **state)
{
	struct virtio_vsock_hdr h;
	char data[BUFFER];
	int fd;
	uint32_t port = connect_in(&fd);

	(void)state;
	assert_int_equal(write(fd, "hello", 5), 5);
	assert_true(next_packet(&h, data));
	assert_int_equal(h.op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(h.len, 5);
	assert_memory_equal(data, "hello", 5);
	send_packet(header(port, PORT, VIRTIO_VSOCK_OP_RW), "world", 5);
	assert_int_equal(read(fd, data, sizeof(data)), 5);
	assert_memory_equal(data, "world", 5);
	close(fd);
	expect(VIRTIO_VSOCK_OP_RST);
	/* It is gone: whatever comes for it is reset. */
	send_packet(header(port, PORT, VIRTIO_VSOCK_OP_RW), "x", 1);
	expect(VIRTIO_VSOCK_OP_RST);
	assert_false(rig_is_broken(&rig, 0));
}

static void half_closes(void **state)
{
	struct virtio_vsock_hdr h;
	char data[8];
	int fd;
	uint32_t port = connect_in(&fd);

	(void)state;
	shutdown(fd, SHUT_WR);
	h = expect(VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(h.flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_packet(header(port, PORT, VIRTIO_VSOCK_OP_RW), "late", 4);
	assert_int_equal(read(fd, data, sizeof(data)), 4);
	h = header(port, PORT, VIRTIO_VSOCK_OP_SHUTDOWN);
	h.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_packet(h, NULL, 0);
	expect(VIRTIO_VSOCK_OP_RST);
	assert_true(is_closed(fd));
	close(fd);
}

static void the_guest_refuses(void **state)
{
	struct virtio_vsock_hdr h;
	int peer;

	(void)state;
	assert_int_equal(ask_guest(&peer), 0);
	h = expect(VIRTIO_VSOCK_OP_REQUEST);
	say(h.src_port, PORT, VIRTIO_VSOCK_OP_RST);
	assert_true(is_closed(peer));
	close(peer);
	/* Whoever gives up before the answer takes the connection along. */
	assert_int_equal(ask_guest(&peer), 0);
	expect(VIRTIO_VSOCK_OP_REQUEST);
	close(peer);
	expect(VIRTIO_VSOCK_OP_RST);
}

static void the_guest_connects(void **state)
{
	char data[8];
	int peer;

	(void)state;
	outward = make_socket(&peer);
	say(7, 5000, VIRTIO_VSOCK_OP_REQUEST);
	expect(VIRTIO_VSOCK_OP_RESPONSE);
	send_packet(header(7, 5000, VIRTIO_VSOCK_OP_RW), "hi", 2);
	assert_int_equal(read(peer, data, sizeof(data)), 2);
	/* A second request for the same pair of ports ends it. */
	say(7, 5000, VIRTIO_VSOCK_OP_REQUEST);
	expect(VIRTIO_VSOCK_OP_RST);
	assert_true(is_closed(peer));
	close(peer);
	say(8, 5000, VIRTIO_VSOCK_OP_REQUEST);
	expect(VIRTIO_VSOCK_OP_RST);
}

/* The host's bytes wait in the socket while the guest has no room for them. */
static void credit_of_the_guest(void **state)
{
	struct virtio_vsock_hdr h;
	char data[BUFFER] = {0};
	int fd;
	uint32_t port = connect_in(&fd), got = 0;

	(void)state;
	say_credit(port, 1000, 0);
	assert_int_equal(write(fd, data, 3000), 3000);
	while (next_packet(&h, NULL))
		got += h.len;
	assert_int_equal(got, 1000);
	say_credit(port, 1000, 600);
	while (next_packet(&h, NULL))
		got += h.len;
	assert_int_equal(got, 1600);
	/* A lie: more used up than was sent. Nothing more is sent. */
	say_credit(port, 1000, 100000);
	while (next_packet(&h, NULL))
		got += h.len;
	assert_int_equal(got, 1600);
	close(fd);
}

/* The guest's bytes wait in the device while the socket is full, up to the room it was given. */
static void credit_of_the_host(void **state)
{
	static char data[65536];
	struct virtio_vsock_hdr h;
	size_t sent = 0, got = 0;
	ssize_t n;
	int fd;
	uint32_t port = connect_in(&fd);
	uint32_t forwarded = 0;

	(void)state;
	h.buf_alloc = 0;
	/* Until what is sent and not used up is what the device has room for. */
	for (;;) {
		while (next_packet(&h, NULL))
			forwarded = h.fwd_cnt;
		if (sent - forwarded + sizeof(data) > 262144)
			break;
		send_packet(header(port, PORT, VIRTIO_VSOCK_OP_RW), data, sizeof(data));
		sent += sizeof(data);
	}
	assert_true(sent >= 262144);
	while ((n = read(fd, data, sizeof(data))) > 0) {
		got += (size_t)n;
		rig_settle(&rig);
	}
	assert_int_equal(got, sent);
	assert_true(next_packet(&h, NULL));
	assert_int_equal(h.op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	close(fd);
}

static void more_than_its_room(void **state)
{
	static char data[65536];
	struct virtio_vsock_hdr h;
	bool reset = false;
	int fd;
	uint32_t port = connect_in(&fd);

	(void)state;
	for (int i = 0; i < 100 && !reset; i++) {
		send_packet(header(port, PORT, VIRTIO_VSOCK_OP_RW), data, sizeof(data));
		while (next_packet(&h, NULL))
			reset = reset || h.op == VIRTIO_VSOCK_OP_RST;
	}
	assert_true(reset);
	close(fd);
}

static void nonsense(void **state)
{
	struct virtio_vsock_hdr h;
	char data[64] = {0};
	int fd;
	uint32_t port = connect_in(&fd);

	(void)state;
	h = header(port, PORT, VIRTIO_VSOCK_OP_RW);
	h.src_cid = 99;
	send_packet(h, data, 4);
	expect(VIRTIO_VSOCK_OP_RST);
	h = header(port, PORT, VIRTIO_VSOCK_OP_RW);
	h.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	send_packet(h, data, 4);
	expect(VIRTIO_VSOCK_OP_RST);
	say(port, PORT + 1, VIRTIO_VSOCK_OP_SHUTDOWN);
	expect(VIRTIO_VSOCK_OP_RST);
	say(port, PORT + 1, VIRTIO_VSOCK_OP_RST);
	assert_false(next_packet(&h, NULL));
	/* Longer than the packet that it is in. */
	h = header(port, PORT, VIRTIO_VSOCK_OP_RW);
	h.len = 1000;
	send_raw(&h, HEADER);
	expect(VIRTIO_VSOCK_OP_RST);
	assert_true(is_closed(fd));
	close(fd);
	port = connect_in(&fd);
	say(port, PORT, 77);
	expect(VIRTIO_VSOCK_OP_RST);
	close(fd);
	port = connect_in(&fd);
	say(port, PORT, VIRTIO_VSOCK_OP_RESPONSE);
	expect(VIRTIO_VSOCK_OP_RST);
	close(fd);
	assert_false(rig_is_broken(&rig, 0));
	send_raw(&h, HEADER - 1);
	assert_true(rig_is_broken(&rig, 0));
}

/* A guest that never gives a buffer: what is due stays bounded, and goes out when it does. */
static void no_buffers(void **state)
{
	struct virtio_vsock_hdr h;
	unsigned resets = 0, taken = 0;
	int peer;
	uint32_t id, len;

	(void)state;
	assert_int_equal(ask_guest(&peer), 0);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SIZE; i++) {
			h = header(i, 9, VIRTIO_VSOCK_OP_RW);
			h.dst_port += round * SIZE;
			memcpy(rig_at(&rig, tx_buffer + i * HEADER, HEADER), &h, HEADER);
			ring_desc(&rig, tx.desc, i, tx_buffer + i * HEADER, HEADER, 0, 0);
			ring_offer(&tx, i);
		}
		ring_kick(&tx);
		rig_settle(&rig);
		while (ring_used(&tx, &id, &len))
			taken++;
	}
	assert_int_equal(taken, 64);
	give_buffers(32);
	for (int i = 0; i < 200 && next_packet(&h, NULL); i++)
		resets += h.op == VIRTIO_VSOCK_OP_RST;
	assert_int_equal(resets, 128);
	close(peer);
}

static void too_many(void **state)
{
	static int peer[300];
	int made = 0;

	(void)state;
	for (int i = 0; i < 300; i++) {
		struct virtio_vsock_hdr h;

		made += ask_guest(&peer[i]) == 0;
		while (next_packet(&h, NULL))
			;
	}
	assert_int_equal(made, 256);
	/* A reset of the device ends them all. */
	rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0);
	for (int i = 0; i < 300; i++) {
		assert_true(is_closed(peer[i]));
		close(peer[i]);
	}
}

static void a_tiny_buffer(void **state)
{
	int peer;

	(void)state;
	ring_desc(&rig, rx.desc, 0, rx_buffer[0], HEADER, VRING_DESC_F_WRITE, 0);
	ring_offer(&rx, 0);
	ring_kick(&rx);
	ask_guest(&peer);
	assert_true(rig_is_broken(&rig, 0));
	close(peer);
	assert_int_equal(ask_guest(&peer), -ENOTCONN);
	assert_true(is_closed(peer));
	close(peer);
}

static void a_reset_closes_what_is_open(void **state)
{
	int waits, open;

	(void)state;
	connect_in(&open);
	assert_int_equal(ask_guest(&waits), 0);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	rig_settle(&rig);
	assert_true(is_closed(open));
	assert_true(is_closed(waits));
	close(open);
	close(waits);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define BARE(f) cmocka_unit_test_setup_teardown(f, setup_without_buffers, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(bytes_go_both_ways),
		TEST(half_closes),
		TEST(the_guest_refuses),
		TEST(the_guest_connects),
		TEST(credit_of_the_guest),
		TEST(credit_of_the_host),
		TEST(more_than_its_room),
		TEST(nonsense),
		BARE(no_buffers),
		TEST(too_many),
		BARE(a_tiny_buffer),
		TEST(a_reset_closes_what_is_open),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
