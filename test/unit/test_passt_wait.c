/* SPDX-License-Identifier: MIT */
/* What makes passt start: the guest's first frame that can lead to anything, and no other. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "monitor/network.h"

#define HEADERS (14 + 40)

static int guest, host;

static int setup(void **state)
{
	int fd[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		return -1;
	guest = fd[0];
	host = fd[1];
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(host);
	return close(guest);
}

static void send_frame(const uint8_t *frame, uint32_t n)
{
	uint32_t length = htonl(n);
	uint8_t bytes[4 + 4096];

	memcpy(bytes, &length, 4);
	memcpy(bytes + 4, frame, n);
	assert_int_equal(write(guest, bytes, 4 + n), 4 + n);
}

/* An IPv6 frame from fe80::1, or from no address, with this header and payload byte next. */
static void send_ip6(int has_source, uint8_t next, uint8_t first)
{
	uint8_t frame[HEADERS + 3000] = {0x33, 0x33};

	frame[12] = 0x86;
	frame[13] = 0xdd;
	frame[14 + 6] = next;
	if (has_source) {
		frame[14 + 8] = 0xfe;
		frame[14 + 9] = 0x80;
		frame[14 + 23] = 1;
	}
	frame[HEADERS] = first;
	send_frame(frame, sizeof(frame));
}

static void send_routine(void)
{
	send_ip6(0, IPPROTO_ICMPV6, 135); /* is this address taken? */
	send_ip6(1, 0, 143); /* groups */
	send_ip6(1, IPPROTO_ICMPV6, 133); /* is there a router? */
}

/* What is left for passt to read: the length of the frame that it starts by. */
static uint32_t left(void)
{
	uint32_t length;

	assert_int_equal(recv(host, &length, 4, MSG_PEEK), 4);
	return ntohl(length);
}

static void test_routine_alone(void **state)
{
	(void)state;
	send_routine();
	shutdown(guest, SHUT_WR);
	assert_false(passt_wanted(host));
}

static void test_address_resolution(void **state)
{
	const uint8_t arp[42] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, [12] = 8, 6};

	(void)state;
	send_routine();
	send_frame(arp, sizeof(arp));
	assert_true(passt_wanted(host));
	assert_int_equal(left(), sizeof(arp));
}

static void test_neighbour(void **state)
{
	(void)state;
	send_routine();
	send_ip6(1, IPPROTO_ICMPV6, 135);
	assert_true(passt_wanted(host));
	assert_int_equal(left(), HEADERS + 3000);
}

static void test_data(void **state)
{
	(void)state;
	send_ip6(1, IPPROTO_TCP, 0);
	assert_true(passt_wanted(host));
}

/* Too short for its header, or shorter than it says: not ours to judge. */
static void test_short(void **state)
{
	const uint8_t none[1] = {0}, half[20] = {0, 0, 4};

	(void)state;
	send_frame(none, 0);
	assert_true(passt_wanted(host));
	assert_int_equal(left(), 0);
	assert_int_equal(recv(host, (uint8_t[4]){0}, 4, 0), 4);
	assert_int_equal(write(guest, half, sizeof(half)), sizeof(half));
	assert_true(passt_wanted(host));
}

/* A length that never comes whole ends with the machine. */
static void test_huge(void **state)
{
	uint8_t frame[200] = {0xff, 0xff, 0xff, 0xff};

	(void)state;
	frame[4 + 12] = 0x86;
	frame[4 + 13] = 0xdd;
	assert_int_equal(write(guest, frame, sizeof(frame)), sizeof(frame));
	shutdown(guest, SHUT_WR);
	assert_false(passt_wanted(host));
}

static void test_end(void **state)
{
	(void)state;
	shutdown(guest, SHUT_WR);
	assert_false(passt_wanted(host));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_routine_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_address_resolution, setup, teardown),
		cmocka_unit_test_setup_teardown(test_neighbour, setup, teardown),
		cmocka_unit_test_setup_teardown(test_data, setup, teardown),
		cmocka_unit_test_setup_teardown(test_short, setup, teardown),
		cmocka_unit_test_setup_teardown(test_huge, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
