/* SPDX-License-Identifier: MIT */
/* virtio-console: control messages, what the guest says and how it is held back, resets. */
#include <string.h>

#include "test/unit/console_rig.h"

/* ---- Control ------------------------------------------------------------------- */

static void ports_introduce_themselves(void **state)
{
	(void)state;
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ID, 0, 0, 0), 3);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 4, 4), PORTS);
	for (unsigned i = 0; i < 16; i++)
		post(2, BUFFER);
	ring_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	for (unsigned i = 0; i < PORTS; i++)
		expect(i, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_no_control();
	ring_control(1, VIRTIO_CONSOLE_PORT_READY, 1);
	expect(1, VIRTIO_CONSOLE_PORT_NAME, 1, "lucid.stdin");
	expect(1, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_no_control();
	assert_true(rig.raised[LUCID_EVENT_DEVICE(0)] > 0);
	open_port(1);
	assert_string_equal(user[1].text, "(");
	assert_string_equal(user[0].text, "");
}

/* With no buffers messages wait, however often they fall due, and come in order. */
static void control_messages_wait_for_buffers(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		ring_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
		ring_control(2, VIRTIO_CONSOLE_PORT_READY, 1);
	}
	console_hangup(con, 2);
	post(2, BUFFER);
	ring_kick(&ring[2]);
	expect(0, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect_no_control();
	for (unsigned i = 0; i < 16; i++)
		post(2, BUFFER);
	ring_kick(&ring[2]);
	expect(1, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect(2, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	expect(2, VIRTIO_CONSOLE_PORT_NAME, 1, "lucid.stdout");
	expect(2, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect(2, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	expect_no_control();
}

static void odd_control_messages_are_ignored(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 16; i++)
		post(2, BUFFER);
	ring_control(PORTS, VIRTIO_CONSOLE_PORT_READY, 1);
	ring_control(UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
	ring_control(0, 77, 1);
	ring_control(0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	ring_control(0, VIRTIO_CONSOLE_PORT_READY, 0);
	ring_control(0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	expect_no_control();
	assert_false(rig_is_broken(&rig, 0));
	assert_string_equal(user[0].text, "");
}

static void a_short_control_message_breaks_it(void **state)
{
	(void)state;
	offer_bytes(3, "1234567", 7);
	ring_kick(&ring[3]);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
}

static void a_control_buffer_too_small_breaks_it(void **state)
{
	(void)state;
	post(2, 7);
	ring_control(0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	assert_true(rig_is_broken(&rig, 0));
}

static void multiport_is_required(void **state)
{
	(void)state;
	rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0);
	rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 3, 0);
	rig_call(&rig, LUCID_MC_DEV_ACCEPT, 0, RIG_TRANSPORT, 0);
	rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 3 | VIRTIO_CONFIG_S_FEATURES_OK, 0);
	assert_int_equal(rig_status(&rig, 0), 3);
}

/* ---- Output -------------------------------------------------------------------- */

static void output_reaches_its_port(void **state)
{
	uint32_t id, len;

	(void)state;
	for (unsigned i = 0; i < PORTS; i++)
		open_port(i);
	say(0, "zero");
	say(2, "two");
	say(2, " and more");
	bus_doorbell(&rig.bus, 0, ~0ULL);
	assert_string_equal(user[0].text, "(zero");
	assert_string_equal(user[1].text, "(");
	assert_string_equal(user[2].text, "(two and more");
	assert_true(ring_used(&ring[out(2)], &id, &len));
	assert_int_equal(len, 0);
	assert_int_equal(ring_used_index(&ring[out(2)]), 2);
}

static void a_slow_user_holds_the_guest_back(void **state)
{
	(void)state;
	open_port(2);
	user[2].room = 5;
	say(2, "abc");
	say(2, "defgh");
	say(2, "ijk");
	ring_kick(&ring[out(2)]);
	rig_settle(&rig);
	assert_string_equal(user[2].text, "(abcde");
	/* The buffer that was taken in part is still the device's. */
	assert_int_equal(ring_used_index(&ring[out(2)]), 1);
	/* More doorbells change nothing. */
	user[2].room = 4;
	ring_kick(&ring[out(2)]);
	rig_settle(&rig);
	assert_string_equal(user[2].text, "(abcde");

	console_resume(con, 2);
	rig_settle(&rig);
	assert_string_equal(user[2].text, "(abcdefghi");
	assert_int_equal(ring_used_index(&ring[out(2)]), 2);
	user[2].room = SIZE_MAX;
	console_resume(con, 2);
	rig_settle(&rig);
	assert_string_equal(user[2].text, "(abcdefghijk");
	assert_int_equal(ring_used_index(&ring[out(2)]), 3);
}

/* One slow port does not hold up another. */
static void ports_are_independent(void **state)
{
	(void)state;
	open_port(1);
	open_port(2);
	user[2].room = 0;
	say(2, "x");
	say(1, "y");
	bus_doorbell(&rig.bus, 0, ~0ULL);
	rig_settle(&rig);
	assert_string_equal(user[1].text, "(y");
	assert_string_equal(user[2].text, "(");
}

static void open_comes_before_and_close_after_the_output(void **state)
{
	(void)state;
	/* Port 0's queue is looked at before the control queue, port 2's after it. */
	for (unsigned port = 0; port < PORTS; port += 2) {
		control(port, VIRTIO_CONSOLE_PORT_OPEN, 1);
		say(port, "text");
		bus_doorbell(&rig.bus, 0, ~0ULL);
		say(port, " end");
		control(port, VIRTIO_CONSOLE_PORT_OPEN, 0);
		bus_doorbell(&rig.bus, 0, ~0ULL);
		rig_settle(&rig);
		assert_string_equal(user[port].text, "(text end)");
	}
}

static void a_slow_user_hears_of_the_close_last(void **state)
{
	(void)state;
	open_port(2);
	user[2].room = 2;
	say(2, "last words");
	ring_control(2, VIRTIO_CONSOLE_PORT_OPEN, 0);
	bus_doorbell(&rig.bus, 0, ~0ULL);
	rig_settle(&rig);
	assert_string_equal(user[2].text, "(la");
	user[2].room = SIZE_MAX;
	console_resume(con, 2);
	rig_settle(&rig);
	assert_string_equal(user[2].text, "(last words)");
	/* Opened again by another process. */
	open_port(2);
	assert_string_equal(user[2].text, "(last words)(");
}

static bool all_output_used(void *arg)
{
	return ring_used_index(&ring[out(2)]) == *(uint16_t *)arg;
}

/* A chain as large as RAM allows goes out in turns, and the loop stays free between. */
static void a_huge_write_is_cut_into_turns(void **state)
{
	uint64_t table = rig_alloc(&rig, 16 * 16UL);
	uint16_t one = 1;

	(void)state;
	open_port(2);
	for (unsigned i = 0; i < 16; i++)
		ring_desc(&rig, table, i, 0, 1 << 20, i < 15 ? VRING_DESC_F_NEXT : 0, i + 1);
	ring_desc(&rig, ring[out(2)].desc, 0, table, 16 * 16, VRING_DESC_F_INDIRECT, 0);
	ring_offer(&ring[out(2)], 0);
	size_t before = user[2].room;
	ring_kick(&ring[out(2)]);
	assert_in_range(before - user[2].room, 1, 1 << 20);
	rig_run_until(&rig, all_output_used, &one);
	assert_int_equal(before - user[2].room, 16 << 20);
}

static void a_nonsense_ring_breaks_it(void **state)
{
	(void)state;
	open_port(2);
	ring_desc(&rig, ring[out(2)].desc, 0, RIG_RAM, 1, 0, 0);
	ring_offer(&ring[out(2)], 0);
	ring_kick(&ring[out(2)]);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(console_send(con, 2, "x", 1), 0);
	console_resume(con, 2);
	console_hangup(con, 2);
	rig_settle(&rig);
}

/* ---- Reset --------------------------------------------------------------------- */

static void a_reset_closes_ports_and_drops_what_was_held(void **state)
{
	(void)state;
	open_port(2);
	user[2].room = 1;
	say(2, "old");
	ring_kick(&ring[out(2)]);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	assert_string_equal(user[2].text, "(o)");
	assert_int_equal(console_send(con, 2, "x", 1), 0);
	console_resume(con, 2);
	rig_settle(&rig);

	user[2].room = SIZE_MAX;
	bring_up();
	open_port(2);
	say(2, "new");
	ring_kick(&ring[out(2)]);
	assert_string_equal(user[2].text, "(o)(new");
}

static void the_end_calls_nobody_back(void **state)
{
	(void)state;
	open_port(2);
	user[2].room = 0;
	say(2, "x");
	ring_kick(&ring[out(2)]);
	memset(rig.raised, 0, sizeof(rig.raised));
	bus_destroy(&rig.bus);
	assert_string_equal(user[2].text, "(");
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(rig.raised[i], 0);
}

static void too_many_ports(void **state)
{
	struct console_port port[32] = {{.name = "x", .output = on_output}};

	(void)state;
	for (unsigned i = 1; i < 32; i++)
		port[i] = port[0];
	assert_null(console_create(&rig.bus, port, 0));
	assert_null(console_create(&rig.bus, port, 32));
	assert_non_null(console_create(&rig.bus, port, 31));
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_MAX, 1, 63, 0), SIZE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(ports_introduce_themselves),
		TEST(control_messages_wait_for_buffers),
		TEST(odd_control_messages_are_ignored),
		TEST(a_short_control_message_breaks_it),
		TEST(a_control_buffer_too_small_breaks_it),
		TEST(multiport_is_required),
		TEST(output_reaches_its_port),
		TEST(a_slow_user_holds_the_guest_back),
		TEST(ports_are_independent),
		TEST(open_comes_before_and_close_after_the_output),
		TEST(a_slow_user_hears_of_the_close_last),
		TEST(a_huge_write_is_cut_into_turns),
		TEST(a_nonsense_ring_breaks_it),
		TEST(a_reset_closes_ports_and_drops_what_was_held),
		TEST(the_end_calls_nobody_back),
		TEST(too_many_ports),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
