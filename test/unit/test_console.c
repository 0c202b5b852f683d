/* SPDX-License-Identifier: MIT */
/* virtio-console: what reaches the ports, in which order, and what happens when a side is slow. */
#include <linux/virtio_console.h>
#include <stdlib.h>
#include <string.h>

#include "device/console.h"
#include "test/unit/rig.h"

#define PORTS 3
#define SIZE 32
#define BUFFER 64 /* bytes of an input buffer */
#define WRITE VRING_DESC_F_WRITE

static struct rig rig;
static struct console *con;
static struct ring ring[2 * PORTS + 2];
static uint64_t buffers[2 * PORTS + 2]; /* SIZE buffers for each ring */

/* What the user of each port has seen. */
static struct user {
	char text[4096]; /* output, '(' and ')' where the guest opened and closed */
	size_t len;
	size_t room; /* output that is still taken */
	unsigned writable;
	const char *answer; /* sent from within writable */
} user[PORTS];

static void note(struct user *u, const void *data, size_t n)
{
	assert_true(u->len + n < sizeof(u->text));
	memcpy(u->text + u->len, data, n);
	u->len += n;
	u->text[u->len] = 0;
}

static size_t on_output(void *arg, const void *data, size_t len)
{
	struct user *u = arg;
	size_t n = len < u->room ? len : u->room;

	assert_true(len > 0);
	u->room -= n;
	if (u->len + n < sizeof(u->text))
		note(u, data, n);
	return n;
}

static void on_opened(void *arg, bool open)
{
	note(arg, open ? "(" : ")", 1);
}

static void on_writable(void *arg)
{
	struct user *u = arg;

	u->writable++;
	if (u->answer)
		console_send(con, (unsigned)(u - user), u->answer, strlen(u->answer));
}

static void go(void)
{
	static const char *const names[PORTS] = {"lucid.control", "lucid.stdin", "lucid.stdout"};
	struct console_port port[PORTS];

	for (unsigned i = 0; i < PORTS; i++) {
		user[i] = (struct user){.room = SIZE_MAX};
		port[i] = (struct console_port){
			.name = names[i],
			.output = on_output,
			.opened = on_opened,
			.writable = i == 2 ? NULL : on_writable,
			.arg = &user[i],
		};
	}
	con = console_create(&rig.bus, port, PORTS);
	assert_non_null(con);
}

static void bring_up(void)
{
	rig_negotiate(&rig, 0, RIG_TRANSPORT | 1ULL << VIRTIO_CONSOLE_F_MULTIPORT);
	for (unsigned q = 0; q < 2 * PORTS + 2; q++) {
		ring_open(&ring[q], &rig, 0, q, SIZE);
		buffers[q] = rig_alloc(&rig, (size_t)SIZE * BUFFER);
	}
	rig_go(&rig, 0);
	rig_settle(&rig);
}

static int setup(void **state)
{
	(void)state;
	rig_open(&rig);
	go();
	bring_up();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

/* ---- A driver's moves ---------------------------------------------------------- */

static unsigned in(unsigned port)
{
	return port == 0 ? 0 : 2 * port + 2;
}

static unsigned out(unsigned port)
{
	return in(port) + 1;
}

static uint64_t slot(unsigned q, unsigned head)
{
	return buffers[q] + (uint64_t)head * BUFFER;
}

/* Makes an input buffer available; no doorbell. */
static void post(unsigned q, uint32_t len)
{
	unsigned head = ring[q].offered % SIZE;

	ring_desc(&rig, ring[q].desc, head, slot(q, head), len, WRITE, 0);
	ring_offer(&ring[q], head);
}

/* The bytes of the next filled input buffer as text, or NULL. */
static const char *received(unsigned q)
{
	static char text[BUFFER + 1];
	uint32_t id, len;

	if (!ring_used(&ring[q], &id, &len))
		return NULL;
	assert_true(len <= BUFFER);
	memcpy(text, rig_at(&rig, slot(q, id), len), len);
	text[len] = 0;
	return text;
}

static void offer_bytes(unsigned q, const void *bytes, size_t len)
{
	unsigned head = ring[q].offered % SIZE;

	assert_true(len <= BUFFER);
	assert_true(ram_write(&rig.ram, slot(q, head), bytes, len));
	ring_desc(&rig, ring[q].desc, head, slot(q, head), (uint32_t)len, 0, 0);
	ring_offer(&ring[q], head);
}

static void say(unsigned port, const char *text)
{
	offer_bytes(out(port), text, strlen(text));
}

static void control(unsigned id, unsigned event, unsigned value)
{
	struct virtio_console_control c = {
		.id = id,
		.event = (uint16_t)event,
		.value = (uint16_t)value,
	};

	offer_bytes(3, &c, sizeof(c));
}

static void ring_control(unsigned id, unsigned event, unsigned value)
{
	control(id, event, value);
	ring_kick(&ring[3]);
	rig_settle(&rig);
}

static void open_port(unsigned port)
{
	ring_control(port, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

/* The next control message is this one. */
static void expect(unsigned id, unsigned event, unsigned value, const char *tail)
{
	struct virtio_console_control c;
	uint32_t head, len;

	assert_true(ring_used(&ring[2], &head, &len));
	assert_int_equal(len, sizeof(c) + strlen(tail));
	assert_true(ram_read(&rig.ram, slot(2, head), &c, sizeof(c)));
	assert_int_equal(c.id, id);
	assert_int_equal(c.event, event);
	assert_int_equal(c.value, value);
	assert_memory_equal(
		rig_at(&rig, slot(2, head) + sizeof(c), strlen(tail)), tail, strlen(tail));
}

static void expect_no_control(void)
{
	assert_int_equal(ring_used_index(&ring[2]), ring[2].seen);
}

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

/* ---- Input --------------------------------------------------------------------- */

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

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

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
		TEST(input_goes_into_posted_buffers),
		TEST(a_closed_port_takes_no_input),
		TEST(a_chain_without_room_breaks_it),
		TEST(hangup_follows_the_last_byte),
		TEST(hangup_before_the_guest_knows_the_port),
		TEST(a_reset_closes_ports_and_drops_what_was_held),
		TEST(the_end_calls_nobody_back),
		TEST(too_many_ports),
	};

	return cmocka_run_group_tests_name("console", tests, NULL, NULL);
}
