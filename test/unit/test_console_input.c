/* SPDX-License-Identifier: MIT */
/* virtio-console: input for the guest, and its end. */
#include "test/unit/console_rig.h"

static void input_goes_into_posted_buffers(void **state)
{
	(void)state;
	post(in(1), 4);
	post(in(1), 4);
	assert_int_equal(console_send(con, 1, "early", 5), 0);
	open_port(1);
	assert_int_equal(user[1].writable, 1);
	assert_int_equal(console_send(con, 1, "abcdefghij", 10), 8);
	assert_string_equal(received(in(1)), "abcd");
	assert_string_equal(received(in(1)), "efgh");
	assert_null(received(in(1)));

	/* The device has asked for a doorbell, and tells its user. */
	uint16_t old = ring[in(1)].offered;
	user[1].answer = "ij";
	post(in(1), 4);
	assert_true(vring_need_event(ring_avail_event(&ring[in(1)]), ring[in(1)].offered, old));
	ring_kick(&ring[in(1)]);
	assert_int_equal(user[1].writable, 2);
	assert_string_equal(received(in(1)), "ij");
	/* Not asked for again. */
	post(in(1), 4);
	ring_kick(&ring[in(1)]);
	assert_int_equal(user[1].writable, 2);
	assert_null(received(in(1)));
}

/* A guest drops what comes to a closed port, so nothing is taken for it. */
static void a_closed_port_takes_no_input(void **state)
{
	(void)state;
	post(in(1), 4);
	open_port(1);
	ring_control(1, VIRTIO_CONSOLE_PORT_OPEN, 0);
	assert_int_equal(console_send(con, 1, "x", 1), 0);
	assert_null(received(in(1)));
	assert_int_equal(user[1].writable, 0);
	open_port(1);
	assert_int_equal(user[1].writable, 1);
}

static void a_chain_without_room_breaks_it(void **state)
{
	(void)state;
	open_port(1);
	ring_desc(&rig, ring[in(1)].desc, 0, slot(in(1), 0), 4, 0, 0);
	ring_offer(&ring[in(1)], 0);
	assert_int_equal(console_send(con, 1, "x", 1), 0);
	assert_true(rig_is_broken(&rig, 0));
}

static void hangup_follows_the_last_byte(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		post(2, BUFFER);
	ring_control(1, VIRTIO_CONSOLE_PORT_READY, 1);
	open_port(1);
	post(in(1), BUFFER);
	assert_int_equal(console_send(con, 1, "end", 3), 3);
	assert_int_equal(ring_used_index(&ring[in(1)]), 1);
	console_hangup(con, 1);
	console_hangup(con, 1);
	expect(1, VIRTIO_CONSOLE_PORT_NAME, 1, "lucid.stdin");
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	expect_no_control();
	post(in(1), BUFFER);
	assert_int_equal(console_send(con, 1, "more", 4), 0);
	/* Output still comes through. */
	say(1, "out");
	ring_kick(&ring[out(1)]);
	assert_string_equal(user[1].text, "(out");
}

static void hangup_before_the_guest_knows_the_port(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++)
		post(2, BUFFER);
	console_hangup(con, 1);
	expect_no_control();
	ring_control(1, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(1, VIRTIO_CONSOLE_PORT_NAME, 1, "lucid.stdin");
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	expect_no_control();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(input_goes_into_posted_buffers),
		TEST(a_closed_port_takes_no_input),
		TEST(a_chain_without_room_breaks_it),
		TEST(hangup_follows_the_last_byte),
		TEST(hangup_before_the_guest_knows_the_port),
	};

	return cmocka_run_group_tests_name("console_input", tests, NULL, NULL);
}
