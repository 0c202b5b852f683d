/* SPDX-License-Identifier: MIT */
/*
 * virtio-console with several ports (VIRTIO_CONSOLE_F_MULTIPORT): byte streams
 * between the agent in the guest and the monitor. In the guest they are
 * /sys/class/virtio-ports and /dev/vportNpM, found by name.
 */
#ifndef DEVICE_CONSOLE_H
#define DEVICE_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#include "device/bus.h"

struct console;

/* One port as its user sees it; all callbacks come from the loop's thread. */
struct console_port {
	const char *name;
	/*
	 * Bytes from the guest. Returns how many were taken; with fewer than len
	 * the port pauses (the guest's writers wait) until console_resume().
	 */
	size_t (*output)(void *arg, const void *data, size_t len);
	/*
	 * The guest opened or closed the port; a reset of the device closes it.
	 * Comes before the output of the opened port, and after that of the
	 * closed one. May be NULL.
	 */
	void (*opened)(void *arg, bool open);
	/* console_send() would take bytes again; may be NULL. */
	void (*writable)(void *arg);
	void *arg;
};

/* Makes the device with count ports (numbers 0 .. count - 1) on the bus. NULL and errno on failure.
 */
struct console *console_create(struct bus *bus, const struct console_port *ports, unsigned count);

/*
 * Gives bytes to the guest; how many were taken. With fewer than len, writable
 * will be called; none are taken while the guest has the port closed.
 */
size_t console_send(struct console *console, unsigned port, const void *data, size_t len);

/* Takes up output again after a short return. */
void console_resume(struct console *console, unsigned port);

/* Closes the host's end: the guest reads end of file once it has read what was sent. */
void console_hangup(struct console *console, unsigned port);

#endif
