/* SPDX-License-Identifier: MIT */
/* A console device, its driver and its users. */
#include <string.h>

#include "test/unit/console_rig.h"

struct rig rig;
struct console *con;
struct ring ring[2 * PORTS + 2];
struct user user[PORTS];
static uint64_t buffers[2 * PORTS + 2]; /* SIZE buffers for each ring */

static void note(struct user *u, const void *data, size_t n)
{
	assert_true(u->len + n < sizeof(u->text));
	memcpy(u->text + u->len, data, n);
	u->len += n;
	u->text[u->len] = 0;
}

size_t on_output(void *arg, const void *data, size_t len)
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

void bring_up(void)
{
	rig_negotiate(&rig, 0, RIG_TRANSPORT | 1ULL << VIRTIO_CONSOLE_F_MULTIPORT);
	for (unsigned q = 0; q < 2 * PORTS + 2; q++) {
		ring_open(&ring[q], &rig, 0, q, SIZE);
		buffers[q] = rig_alloc(&rig, (size_t)SIZE * BUFFER);
	}
	rig_go(&rig, 0);
	rig_settle(&rig);
}

int setup(void **state)
{
	(void)state;
	rig_open(&rig);
	go();
	bring_up();
	return 0;
}

int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	return 0;
}

/* ---- A driver's moves ---------------------------------------------------------- */

unsigned in(unsigned port)
{
	return port == 0 ? 0 : 2 * port + 2;
}

unsigned out(unsigned port)
{
	return in(port) + 1;
}

uint64_t slot(unsigned q, unsigned head)
{
	return buffers[q] + (uint64_t)head * BUFFER;
}

void post(unsigned q, uint32_t len)
{
	unsigned head = ring[q].offered % SIZE;

	ring_desc(&rig, ring[q].desc, head, slot(q, head), len, WRITE, 0);
	ring_offer(&ring[q], head);
}

const char *received(unsigned q)
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

void offer_bytes(unsigned q, const void *bytes, size_t len)
{
	unsigned head = ring[q].offered % SIZE;

	assert_true(len <= BUFFER);
	assert_true(ram_write(&rig.ram, slot(q, head), bytes, len));
	ring_desc(&rig, ring[q].desc, head, slot(q, head), (uint32_t)len, 0, 0);
	ring_offer(&ring[q], head);
}

void say(unsigned port, const char *text)
{
	offer_bytes(out(port), text, strlen(text));
}

void control(unsigned id, unsigned event, unsigned value)
{
	struct virtio_console_control c = {
		.id = id,
		.event = (uint16_t)event,
		.value = (uint16_t)value,
	};

	offer_bytes(3, &c, sizeof(c));
}

void ring_control(unsigned id, unsigned event, unsigned value)
{
	control(id, event, value);
	ring_kick(&ring[3]);
	rig_settle(&rig);
}

void open_port(unsigned port)
{
	ring_control(port, VIRTIO_CONSOLE_PORT_OPEN, 1);
}

void expect(unsigned id, unsigned event, unsigned value, const char *tail)
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

void expect_no_control(void)
{
	assert_int_equal(ring_used_index(&ring[2]), ring[2].seen);
}
