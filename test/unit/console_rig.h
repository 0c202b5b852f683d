/* SPDX-License-Identifier: MIT */
/*
 * For tests of virtio-console: a device with a few ports, the driver's moves, and users that note
 * down what they see. The names are short, as nothing but those tests includes this.
 */
#ifndef TEST_UNIT_CONSOLE_RIG_H
#define TEST_UNIT_CONSOLE_RIG_H

#include <linux/virtio_console.h>

#include "device/console.h"
#include "test/unit/rig.h"

#define PORTS 3
#define SIZE 32
#define BUFFER 64 /* bytes of an input buffer */
#define WRITE VRING_DESC_F_WRITE

extern struct rig rig;
extern struct console *con;
extern struct ring ring[2 * PORTS + 2];

/* What the user of each port has seen. */
extern struct user {
	char text[4096]; /* output, '(' and ')' where the guest opened and closed */
	size_t len;
	size_t room; /* output that is still taken */
	unsigned writable;
	const char *answer; /* sent from within writable */
} user[PORTS];

/* What the users' ports have as output(). */
size_t on_output(void *arg, const void *data, size_t len);

/* For cmocka: a device that is up, with all ports closed. */
int setup(void **state);
int teardown(void **state);
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Sets the device up, with rings of its own, once more after a reset. */
void bring_up(void);

/* The queues of a port. */
unsigned in(unsigned port);
unsigned out(unsigned port);
/* Where the buffer of that head of a queue is. */
uint64_t slot(unsigned q, unsigned head);

/* Makes an input buffer available; no doorbell. */
void post(unsigned q, uint32_t len);
/* The bytes of the next filled input buffer as text, or NULL. */
const char *received(unsigned q);

/* Makes bytes available to the device; no doorbell. */
void offer_bytes(unsigned q, const void *bytes, size_t len);
void say(unsigned port, const char *text);
void control(unsigned id, unsigned event, unsigned value);

/* A control message, with the doorbell, and all that follows from it. */
void ring_control(unsigned id, unsigned event, unsigned value);
void open_port(unsigned port);

/* The next control message is this one. */
void expect(unsigned id, unsigned event, unsigned value, const char *tail);
void expect_no_control(void);

#endif
