/* SPDX-License-Identifier: MIT */
/* virtio-net: frames to and from both kinds of link, broken drivers, a peer that goes. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/net.h"
#include "test/unit/rig.h"

#define RX_BUFFERS 60
#define RX_SIZE 2048
#define BIT(n) (1ULL << (n))

static struct rig rig;
static struct ring rx, tx;
static struct net_link *net_link_made;
static int peer;
static int gone;
static uint64_t ram_size = RIG_RAM;
static uint64_t rx_buffer[RX_BUFFERS];
static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

static void on_gone(void *arg, int error)
{
	(void)arg;
	gone = error;
}

static void open_net(int type, uint64_t features)
{
	int fd[2];

	gone = 0;
	rig_open_with(&rig, ram_size);
	assert_int_equal(socketpair(AF_UNIX, type, 0, fd), 0);
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	fcntl(fd[1], F_SETFL, O_NONBLOCK);
	peer = fd[1];
	net_link_made = type == SOCK_STREAM ? net_stream(fd[0]) : net_packet(fd[0]);
	assert_non_null(net_create(&rig.bus, net_link_made, mac, on_gone, NULL));
	rig_negotiate(&rig, 0, RIG_TRANSPORT | BIT(VIRTIO_NET_F_MRG_RXBUF) | features);
	ring_open(&rx, &rig, 0, 0, 64);
	ring_open(&tx, &rig, 0, 1, 64);
	rig_go(&rig, 0);
	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		rx_buffer[i] = rig_alloc(&rig, RX_SIZE);
		ring_desc(&rig, rx.desc, i, rx_buffer[i], RX_SIZE, VRING_DESC_F_WRITE, 0);
		ring_offer(&rx, i);
	}
	ring_kick(&rx);
	rig_settle(&rig);
}

static void close_net(void)
{
	rig_close(&rig);
	close(peer);
}

/* Sends from the guest: header and frame in two buffers, as head 0. */
static void guest_sends(const struct virtio_net_hdr_v1 *header, const void *frame, size_t len)
{
	uint64_t pa = rig_alloc(&rig, 12 + len);

	memcpy(rig_at(&rig, pa, 12), header, 12);
	memcpy(rig_at(&rig, pa + 12, len), frame, len);
	ring_desc(&rig, tx.desc, 0, pa, 20, VRING_DESC_F_NEXT, 1);
	ring_desc(&rig, tx.desc, 1, pa + 20, (uint32_t)(12 + len - 20), 0, 0);
	ring_offer(&tx, 0);
	ring_kick(&tx);
	rig_settle(&rig);
}

/* What figures tell: bytes without headers. */
static void assert_moved(uint64_t in, uint64_t out)
{
	uint64_t has_in, has_out;

	bus_moved(&rig.bus, VIRTIO_ID_NET, &has_in, &has_out);
	assert_int_equal(has_in, in);
	assert_int_equal(has_out, out);
}

static void a_frame_goes_out_with_its_header(void **state)
{
	const struct virtio_net_hdr_v1 header = {.flags = 1, .csum_start = 34, .csum_offset = 6};
	char frame[100], got[200];
	uint32_t id, len;

	(void)state;
	open_net(SOCK_SEQPACKET, BIT(VIRTIO_NET_F_CSUM));
	memset(frame, 'x', sizeof(frame));
	guest_sends(&header, frame, sizeof(frame));
	assert_int_equal(recv(peer, got, sizeof(got), 0), 112);
	assert_memory_equal(got, &header, 10);
	assert_memory_equal(got + 12, frame, sizeof(frame));
	assert_true(ring_used(&tx, &id, &len));
	assert_moved(0, 100);
	close_net();
}

static bool has_event(void *arg)
{
	return rig.raised[LUCID_EVENT_DEVICE(0)] > *(unsigned *)arg;
}

/* A small frame that went out is told of with an answer, or after a while, or with many others. */
static void small_frames_go_out_quietly(void **state)
{
	const struct virtio_net_hdr_v1 header = {0};
	static char frame[5000], got[6000];
	unsigned *raised = &rig.raised[LUCID_EVENT_DEVICE(0)], before, i;

	(void)state;
	open_net(SOCK_SEQPACKET, 0);
	before = *raised;
	guest_sends(&header, frame, 100);
	rig_run_until(&rig, has_event, &before);
	before = *raised;
	ring_set_used_event(&tx, 1);
	guest_sends(&header, frame, 100);
	assert_int_equal(*raised, before);
	assert_int_equal(send(peer, frame, 100, 0), 100);
	rig_settle(&rig);
	assert_int_equal(*raised, before + 1);
	/* At once, where the sender may wait for room. */
	before = *raised;
	ring_set_used_event(&tx, 2);
	guest_sends(&header, frame, sizeof(frame));
	assert_int_equal(*raised, before + 1);
	while (recv(peer, got, sizeof(got), 0) > 0)
		;
	before = *raised;
	ring_set_used_event(&tx, 3);
	for (i = 0; i < 40; i++) {
		guest_sends(&header, frame, 60);
		recv(peer, got, sizeof(got), 0);
	}
	assert_true(*raised > before);
	close_net();
}

static void a_long_frame_takes_many_buffers_at_once(void **state)
{
	static unsigned char frame[12 + 9000], got[12 + 9000];
	uint32_t id, len;
	size_t have = 0;

	(void)state;
	open_net(SOCK_SEQPACKET, 0);
	for (unsigned i = 12; i < sizeof(frame); i++)
		frame[i] = (unsigned char)(i * 7);
	assert_int_equal(send(peer, frame, sizeof(frame), 0), sizeof(frame));
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&rx), 5); /* 9012 / 2048, rounded up */
	while (ring_used(&rx, &id, &len)) {
		memcpy(got + have, rig_at(&rig, rx_buffer[id], len), len);
		have += len;
	}
	assert_int_equal(have, sizeof(frame));
	assert_int_equal(((struct virtio_net_hdr_v1 *)got)->num_buffers, 5);
	assert_memory_equal(got + 12, frame + 12, 9000);
	/* The next one goes on with the next buffer. */
	assert_int_equal(send(peer, frame, 100, 0), 100);
	rig_settle(&rig);
	assert_true(ring_used(&rx, &id, &len));
	assert_int_equal(id, 5);
	assert_int_equal(len, 100);
	assert_moved(9000 + 100 - 12, 0);
	close_net();
}

static void what_was_not_agreed_on_is_dropped(void **state)
{
	struct {
		struct virtio_net_hdr_v1 header;
		char data[60];
	} frame = {.header = {.gso_type = VIRTIO_NET_HDR_GSO_TCPV4}};

	(void)state;
	open_net(SOCK_SEQPACKET, 0);
	assert_true(send(peer, &frame, sizeof(frame), 0) > 0);
	frame.header.gso_type = 77;
	assert_true(send(peer, &frame, sizeof(frame), 0) > 0);
	frame.header.gso_type = 0;
	frame.header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	assert_true(send(peer, &frame, sizeof(frame), 0) > 0);
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&rx), 0);
	frame.header.flags = 0;
	assert_true(send(peer, &frame, sizeof(frame), 0) > 0);
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&rx), 1);
	close_net();
}

static void a_stream_has_lengths_and_whole_checksums(void **state)
{
	/* A UDP packet, whose checksum field has 0x1234 as its pseudo header's sum. */
	const struct virtio_net_hdr_v1 header = {.flags = 1, .csum_start = 34, .csum_offset = 6};
	unsigned char frame[34 + 8 + 3] = {0}, got[4 + sizeof(frame)];
	uint32_t sum = 0x1234;

	(void)state;
	open_net(SOCK_STREAM, BIT(VIRTIO_NET_F_CSUM));
	memcpy(frame + 34, "\xaa\xbb\xcc\xdd\x00\x0b\x12\x34xyz", 11);
	sum += 0xaabb + 0xccdd + 0x000b + ('x' << 8 | 'y') + ('z' << 8);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	guest_sends(&header, frame, sizeof(frame));
	assert_int_equal(recv(peer, got, sizeof(got), 0), sizeof(got));
	assert_int_equal(got[3], sizeof(frame));
	assert_memory_equal(got + 4, frame, 40);
	assert_int_equal(got[4 + 40] << 8 | got[4 + 41], ~sum & 0xffff);
	assert_memory_equal(got + 4 + 42, "xyz", 3);
	close_net();
}

static void stream_frames_come_in_pieces(void **state)
{
	unsigned char bytes[2 * (4 + 5000)];
	const uint32_t length = htonl(5000);
	uint32_t id, len, total = 0;

	(void)state;
	open_net(SOCK_STREAM, BIT(VIRTIO_NET_F_GUEST_CSUM));
	memset(bytes, 'q', sizeof(bytes));
	memcpy(bytes, &length, 4);
	memcpy(bytes + 5004, &length, 4);
	for (size_t at = 0, part = 1; at < sizeof(bytes); at += part, part = part * 2 + 1) {
		if (part > sizeof(bytes) - at)
			part = sizeof(bytes) - at;
		assert_int_equal(send(peer, bytes + at, part, 0), part);
		rig_settle(&rig);
	}
	assert_int_equal(ring_used_index(&rx), 6);
	assert_true(ring_used(&rx, &id, &len));
	const struct virtio_net_hdr_v1 *h = rig_at(&rig, rx_buffer[id], 12);
	assert_int_equal(h->flags, VIRTIO_NET_HDR_F_DATA_VALID);
	assert_int_equal(h->num_buffers, 3);
	do
		total += len;
	while (ring_used(&rx, &id, &len));
	assert_int_equal(total, 2 * 5012);
	close_net();
}

/* A driver that is reset in the middle of a frame loses that one, and no other. */
static void a_reset_keeps_the_stream_in_step(void **state)
{
	unsigned char bytes[4 + 100];
	const uint32_t length = htonl(100);
	uint32_t id, len;

	(void)state;
	open_net(SOCK_STREAM, 0);
	memset(bytes, 1, sizeof(bytes));
	memcpy(bytes, &length, 4);
	assert_int_equal(send(peer, bytes, 50, 0), 50);
	rig_settle(&rig);
	rig_negotiate(&rig, 0, RIG_TRANSPORT | BIT(VIRTIO_NET_F_MRG_RXBUF));
	ring_open(&rx, &rig, 0, 0, 64);
	ring_open(&tx, &rig, 0, 1, 64);
	rig_go(&rig, 0);
	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		ring_desc(&rig, rx.desc, i, rx_buffer[i], RX_SIZE, VRING_DESC_F_WRITE, 0);
		ring_offer(&rx, i);
	}
	ring_kick(&rx);
	assert_int_equal(send(peer, bytes + 50, 54, 0), 54);
	memset(bytes + 4, 2, 100);
	assert_int_equal(send(peer, bytes, 104, 0), 104);
	rig_settle(&rig);
	assert_true(ring_used(&rx, &id, &len));
	assert_int_equal(len, 112);
	assert_int_equal(*(unsigned char *)rig_at(&rig, rx_buffer[id] + 50, 1), 2);
	assert_false(ring_used(&rx, &id, &len));
	close_net();
}

static void a_full_link_holds_the_guest_and_loses_nothing(void **state)
{
	const struct virtio_net_hdr_v1 header = {0};
	static char frame[40000], got[50000];
	uint64_t pa;
	unsigned sent = 0, received = 0;

	(void)state;
	open_net(SOCK_SEQPACKET, 0);
	pa = rig_alloc(&rig, 12 + sizeof(frame));
	memcpy(rig_at(&rig, pa, 12), &header, 12);
	for (; sent < 60; sent++) {
		ring_desc(&rig, tx.desc, sent, pa, 12 + sizeof(frame), 0, 0);
		ring_offer(&tx, sent);
	}
	ring_kick(&tx);
	rig_settle(&rig);
	assert_true(ring_used_index(&tx) < 60);
	while (received < 60) {
		ssize_t n = recv(peer, got, sizeof(got), 0);

		if (n > 0) {
			assert_int_equal(n, 12 + sizeof(frame));
			received++;
		} else {
			rig_settle(&rig);
		}
	}
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&tx), 60);
	close_net();
}

static void a_peer_that_goes_is_a_cable_pulled(void **state)
{
	const struct virtio_net_hdr_v1 header = {0};
	const int types[] = {SOCK_SEQPACKET, SOCK_STREAM};
	char frame[60] = "";
	uint32_t id, len;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_net(types[i], 0);
		assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 6, 2), 1);
		close(peer);
		rig_settle(&rig);
		assert_int_equal(gone, EPIPE);
		assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 6, 2), 0);
		assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
		/* What is sent now is taken and dropped. */
		guest_sends(&header, frame, sizeof(frame));
		assert_true(ring_used(&tx, &id, &len));
		assert_false(rig_is_broken(&rig, 0));
		peer = dup(0);
		close_net();
	}
}

static void broken_drivers_are_noticed(void **state)
{
	(void)state;
	open_net(SOCK_SEQPACKET, 0); /* a frame that is no whole header */
	ring_desc(&rig, tx.desc, 0, rig_alloc(&rig, 64), 11, 0, 0);
	ring_offer(&tx, 0);
	ring_kick(&tx);
	assert_true(rig_is_broken(&rig, 0));
	close_net();

	open_net(SOCK_SEQPACKET, 0); /* a frame to be written to */
	ring_desc(&rig, tx.desc, 0, rig_alloc(&rig, 64), 64, VRING_DESC_F_WRITE, 0);
	ring_offer(&tx, 0);
	ring_kick(&tx);
	assert_true(rig_is_broken(&rig, 0));
	close_net();

	open_net(SOCK_SEQPACKET, 0); /* receive buffers too small for a header */
	for (unsigned i = RX_BUFFERS; i < 64; i++) {
		ring_desc(&rig, rx.desc, i, rig_alloc(&rig, 64), 4, VRING_DESC_F_WRITE, 0);
		ring_offer(&rx, i);
	}
	for (unsigned i = 0; i < 30; i++) {
		char frame[12 + 4000] = "";

		send(peer, frame, sizeof(frame), 0);
		rig_settle(&rig);
	}
	assert_true(rig_is_broken(&rig, 0));
	close_net();
}

/* Uses up the buffers that were given at the start. */
static void fill_rx(void)
{
	char frame[12 + 1500] = "";

	for (unsigned i = 0; i < RX_BUFFERS; i++) {
		send(peer, frame, sizeof(frame), 0);
		rig_settle(&rig);
	}
}

/* The header is where the guest wants it, which need not be at an even address. */
static void buffers_at_odd_addresses(void **state)
{
	char frame[12 + 100] = "", got[12];
	uint64_t pa;

	(void)state;
	open_net(SOCK_SEQPACKET, 0);
	pa = rig_alloc(&rig, NET_FRAME_MAX + 1) + 1;
	ring_desc(&rig, rx.desc, 60, pa, NET_FRAME_MAX, VRING_DESC_F_WRITE, 0);
	ring_offer(&rx, 60);
	ring_kick(&rx);
	fill_rx();
	memset(rig_at(&rig, pa, 12), 'x', 12);
	assert_int_equal(send(peer, frame, sizeof(frame), 0), sizeof(frame));
	rig_settle(&rig);
	memcpy(got, rig_at(&rig, pa, 12), 12);
	assert_memory_equal(got, "\0\0\0\0\0\0\0\0\0\0\1", 12);
	close_net();
}

/* Buffers that overlap have as many bytes as the guest likes, also 2 to the 32nd. */
static void a_chain_of_more_bytes_than_ram(void **state)
{
	const unsigned pieces = 64;
	const uint32_t each = (uint32_t)((1ULL << 32) / pieces);
	char frame[12 + 100] = "";
	uint64_t table;
	uint32_t id, len;

	(void)state;
	ram_size = each;
	open_net(SOCK_SEQPACKET, 0);
	ram_size = RIG_RAM;
	table = rig_alloc(&rig, 16 * pieces);
	for (unsigned i = 0; i < pieces; i++)
		ring_desc(&rig, table, i, 0, each,
			VRING_DESC_F_WRITE | (i + 1 < pieces ? VRING_DESC_F_NEXT : 0), i + 1);
	/* Set up anew, with nothing else in the ring. */
	rig_negotiate(&rig, 0, RIG_TRANSPORT | BIT(VIRTIO_NET_F_MRG_RXBUF));
	ring_open(&rx, &rig, 0, 0, 64);
	ring_open(&tx, &rig, 0, 1, 64);
	rig_go(&rig, 0);
	ring_desc(&rig, rx.desc, 7, table, 16 * pieces, VRING_DESC_F_INDIRECT, 0);
	ring_offer(&rx, 7);
	ring_kick(&rx);
	assert_int_equal(send(peer, frame, sizeof(frame), 0), sizeof(frame));
	rig_settle(&rig);
	assert_true(ring_used(&rx, &id, &len));
	assert_int_equal(id, 7);
	assert_int_equal(len, sizeof(frame));
	assert_false(ring_used(&rx, &id, &len));
	close_net();
}

static void nonsense_on_the_stream_ends_the_link(void **state)
{
	(void)state;
	open_net(SOCK_STREAM, 0);
	assert_int_equal(send(peer, "\xff\xff\xff\xff", 4, 0), 4);
	rig_settle(&rig);
	assert_int_equal(gone, EPROTO);
	close_net();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_frame_goes_out_with_its_header),
		cmocka_unit_test(small_frames_go_out_quietly),
		cmocka_unit_test(a_long_frame_takes_many_buffers_at_once),
		cmocka_unit_test(what_was_not_agreed_on_is_dropped),
		cmocka_unit_test(a_stream_has_lengths_and_whole_checksums),
		cmocka_unit_test(stream_frames_come_in_pieces),
		cmocka_unit_test(a_reset_keeps_the_stream_in_step),
		cmocka_unit_test(a_full_link_holds_the_guest_and_loses_nothing),
		cmocka_unit_test(a_peer_that_goes_is_a_cable_pulled),
		cmocka_unit_test(broken_drivers_are_noticed),
		cmocka_unit_test(a_chain_of_more_bytes_than_ram),
		cmocka_unit_test(buffers_at_odd_addresses),
		cmocka_unit_test(nonsense_on_the_stream_ends_the_link),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
