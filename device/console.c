/* SPDX-License-Identifier: MIT */
/*
 * virtio-console with several ports.
 *
 * Queues come in pairs, one to the guest and one from it: 0 and 1 for port 0,
 * 2 and 3 for control messages, 2n + 2 and 2n + 3 for port n. Nothing is stored
 * on the way: what console_send() takes lies in the guest's buffers when it
 * returns, and what a port's user does not take stays in the guest's queue, whose
 * writers then wait.
 *
 * Control messages that found no buffer are a few bits a port, so a guest that
 * never reads them costs nothing.
 */
#include <errno.h>
#include <linux/virtio_console.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/console.h"
#include "device/device.h"

#define QUEUE_SIZE 32
#define CONTROL_IN 2 /* to the guest */
#define CONTROL_OUT 3
#define PORTS_MAX (LUCID_DEVICE_QUEUES / 2 - 1)
#define NAME_MAX_BYTES 64
#define CHUNK 16384 /* bytes handed to a port's user at once */
#define TURN_BYTES (256U << 10) /* from one port, before others get their turn */

/* Control messages that are due, in the order in which they go out. */
enum {
	DUE_ADD = 1 << 0,
	DUE_NAME = 1 << 1,
	DUE_OPEN = 1 << 2,
	DUE_CLOSE = 1 << 3,
};

struct port {
	struct console_port user;
	unsigned due; /* DUE_* */
	bool ready; /* the guest has asked what there is to know of the port */
	bool guest_open; /* as the guest last said */
	bool told_open; /* as the user was last told */
	bool hung_up; /* the host's end is closed, for good */
	bool paused; /* until console_resume() */
	bool starved; /* console_send() came up short */
	bool held; /* chain is under way */
	struct vq_chain chain;
	struct iovec iov[VQ_CHAIN_MAX];
};

struct console {
	struct device dev;
	struct virtio_console_config config;
	unsigned count;
	struct iovec iov[VQ_CHAIN_MAX]; /* of a chain that is done with at once */
	struct port port[];
};

static unsigned queue_in(unsigned port)
{
	return port == 0 ? 0 : 2 * port + 2;
}

static unsigned queue_out(unsigned port)
{
	return queue_in(port) + 1;
}

/* The port of a queue that is not one of the control queues. */
static unsigned port_of(unsigned queue)
{
	return queue < 2 ? 0 : queue / 2 - 1;
}

/* Takes a chain as vq_pop(), with nonsense reported; false if there is none. */
static bool pop(struct console *con, unsigned queue, struct vq_chain *chain)
{
	struct virtqueue *vq = &con->dev.vq[queue];
	int r = device_running(&con->dev) ? vq_pop(vq, chain) : 0;

	if (r < 0)
		device_broken(&con->dev, queue, vq->error);
	return r > 0;
}

/* The same for a queue to the guest; asks for a doorbell when it is empty. */
static bool pop_in(struct console *con, unsigned queue, struct vq_chain *chain)
{
	*chain = (struct vq_chain){.iov = con->iov, .max = VQ_CHAIN_MAX};
	do {
		if (pop(con, queue, chain))
			return true;
	} while (device_running(&con->dev) && vq_arm(&con->dev.vq[queue]));
	return false;
}

/* ---- Control messages to the guest ----------------------------------------- */

static size_t control_message(const struct port *port, unsigned number, unsigned due,
	unsigned char message[sizeof(struct virtio_console_control) + NAME_MAX_BYTES])
{
	struct virtio_console_control msg = {.id = number, .value = 1};
	size_t name = 0;

	switch (due) {
	case DUE_ADD:
		msg.event = VIRTIO_CONSOLE_PORT_ADD;
		break;
	case DUE_NAME:
		msg.event = VIRTIO_CONSOLE_PORT_NAME;
		name = strlen(port->user.name);
		memcpy(message + sizeof(msg), port->user.name, name);
		break;
	case DUE_OPEN:
		msg.event = VIRTIO_CONSOLE_PORT_OPEN;
		break;
	default:
		msg.event = VIRTIO_CONSOLE_PORT_OPEN;
		msg.value = 0;
		break;
	}
	memcpy(message, &msg, sizeof(msg));
	return sizeof(msg) + name;
}

/* Sends what is due of one port, as far as there are buffers; false if there are no more. */
static bool send_due(struct console *con, unsigned number)
{
	struct port *port = &con->port[number];

	while (port->due) {
		unsigned char message[sizeof(struct virtio_console_control) + NAME_MAX_BYTES];
		unsigned due = port->due & -port->due;
		size_t len = control_message(port, number, due, message);
		struct vq_chain chain;

		if (!pop_in(con, CONTROL_IN, &chain))
			return false;
		if (chain.in_len < len) {
			device_broken(
				&con->dev, CONTROL_IN, "a buffer too small for a control message");
			return false;
		}
		vq_put(&chain, message, len);
		vq_push(&con->dev.vq[CONTROL_IN], chain.head, (uint32_t)len);
		port->due &= ~due;
	}
	return true;
}

static void send_control(struct console *con)
{
	for (unsigned i = 0; i < con->count && send_due(con, i); i++)
		;
	device_signal(&con->dev, CONTROL_IN);
}

/* ---- Output: from the guest ------------------------------------------------ */

/* Tells the user that the guest's end is open or closed, once it has had all that came before. */
static void tell_open(struct port *port)
{
	if (port->told_open == port->guest_open)
		return;
	port->told_open = port->guest_open;
	if (port->user.opened)
		port->user.opened(port->user.arg, port->told_open);
}

/*
 * Hands the chain under way to the user. The user gets a copy: it may well
 * interpret the bytes, which the guest could change while it does. False if the
 * user takes no more.
 */
static bool give_chain(struct port *port, size_t *budget)
{
	unsigned char chunk[CHUNK];

	while (port->chain.out_len > 0 && *budget > 0) {
		size_t n = vq_peek(&port->chain, chunk, *budget < CHUNK ? *budget : CHUNK);
		size_t taken = port->user.output(port->user.arg, chunk, n);

		if (taken > n)
			log_bug("a console port took more than it was given");
		vq_skip(&port->chain, taken);
		*budget -= taken;
		if (taken < n) {
			port->paused = true;
			return false;
		}
	}
	return true;
}

static void output(struct console *con, unsigned number)
{
	struct port *port = &con->port[number];
	unsigned queue = queue_out(number);
	struct virtqueue *vq = &con->dev.vq[queue];
	size_t budget = TURN_BYTES;
	bool idle = false;

	for (unsigned turn = 0; turn < QUEUE_SIZE && budget > 0 && !port->paused && !idle;) {
		if (!port->held)
			port->held = pop(con, queue, &port->chain);
		if (!port->held) {
			idle = !device_running(&con->dev) || !vq_arm(vq);
			turn++;
			continue;
		}
		if (give_chain(port, &budget) && port->chain.out_len == 0) {
			vq_push(vq, port->chain.head, 0);
			port->held = false;
			turn++;
		}
	}
	device_signal(&con->dev, queue);
	if (idle)
		tell_open(port);
	else if (!port->paused)
		device_again(&con->dev, 1ULL << queue);
}

/* ---- Input: to the guest --------------------------------------------------- */

size_t console_send(struct console *con, unsigned number, const void *data, size_t len)
{
	struct port *port = &con->port[number];
	unsigned queue = queue_in(number);
	size_t done = 0;

	/* A guest drops what comes to a port that none of its processes has open. */
	while (done < len && port->guest_open && !port->hung_up) {
		struct vq_chain chain;

		if (!pop_in(con, queue, &chain))
			break;
		size_t n = vq_put(&chain, (const char *)data + done, len - done);
		vq_push(&con->dev.vq[queue], chain.head, (uint32_t)n);
		done += n;
		if (n == 0) {
			device_broken(&con->dev, queue, "an input chain without a buffer");
			break;
		}
	}
	port->starved = done < len;
	device_signal(&con->dev, queue);
	return done;
}

/* There may be buffers again, or the guest has opened the port. */
static void input_possible(struct port *port)
{
	if (!port->starved || !port->guest_open || port->hung_up)
		return;
	port->starved = false;
	if (port->user.writable)
		port->user.writable(port->user.arg);
}

/* ---- Control messages from the guest --------------------------------------- */

static void guest_opened(struct console *con, unsigned number, bool open)
{
	struct port *port = &con->port[number];

	if (port->guest_open == open)
		return;
	/* Opened again before the user was told of the close: it has to see both. */
	if (open)
		tell_open(port);
	port->guest_open = open;
	/* Of a close the user hears when it has had the output: see output(). */
	if (open)
		tell_open(port);
	else
		device_again(&con->dev, 1ULL << queue_out(number));
	input_possible(port);
}

static void control(struct console *con, const struct virtio_console_control *msg)
{
	if (msg->event == VIRTIO_CONSOLE_DEVICE_READY) {
		for (unsigned i = 0; i < con->count && msg->value == 1; i++)
			con->port[i].due |= DUE_ADD;
		return;
	}
	if (msg->id >= con->count)
		return;
	struct port *port = &con->port[msg->id];

	if (msg->event == VIRTIO_CONSOLE_PORT_READY && msg->value == 1) {
		port->ready = true;
		port->due |= DUE_NAME | (port->hung_up ? DUE_CLOSE : DUE_OPEN);
	} else if (msg->event == VIRTIO_CONSOLE_PORT_OPEN) {
		guest_opened(con, msg->id, msg->value != 0);
	}
}

static void control_received(struct console *con)
{
	struct virtqueue *vq = &con->dev.vq[CONTROL_OUT];
	struct vq_chain chain = {.iov = con->iov, .max = VQ_CHAIN_MAX};
	bool idle = false;

	for (unsigned turn = 0; turn < QUEUE_SIZE && !idle; turn++) {
		struct virtio_console_control msg;

		if (!pop(con, CONTROL_OUT, &chain)) {
			idle = !device_running(&con->dev) || !vq_arm(vq);
			continue;
		}
		size_t n = vq_peek(&chain, &msg, sizeof(msg));
		vq_push(vq, chain.head, 0);
		if (n == sizeof(msg))
			control(con, &msg);
		else
			device_broken(&con->dev, CONTROL_OUT, "a control message cut short");
	}
	device_signal(&con->dev, CONTROL_OUT);
	if (!idle)
		device_again(&con->dev, 1ULL << CONTROL_OUT);
	send_control(con);
}

/* ---- The device ------------------------------------------------------------ */

static void console_notify(struct device *dev, unsigned queue)
{
	struct console *con = (struct console *)dev;
	struct port *port = &con->port[port_of(queue)];

	if (queue == CONTROL_IN) {
		send_control(con);
	} else if (queue == CONTROL_OUT) {
		control_received(con);
	} else if (queue % 2 == 0) {
		input_possible(port);
	} else {
		/* The user is to hear of the open before it gets the output. */
		if (!port->guest_open)
			control_received(con);
		output(con, port_of(queue));
	}
}

static void console_stop(struct device *dev, unsigned queue)
{
	struct console *con = (struct console *)dev;

	if (queue % 2 == 1 && queue != CONTROL_OUT)
		con->port[port_of(queue)].held = false;
}

static void console_reset(struct device *dev)
{
	struct console *con = (struct console *)dev;

	for (unsigned i = 0; i < con->count; i++) {
		struct port *port = &con->port[i];

		port->due = 0;
		port->ready = false;
		port->guest_open = false;
		tell_open(port);
	}
}

static void console_destroy(struct device *dev)
{
	device_fini(dev);
	free(dev);
}

static const struct device_ops console_ops = {
	.notify = console_notify,
	.stop = console_stop,
	.reset = console_reset,
	.destroy = console_destroy,
};

void console_resume(struct console *con, unsigned number)
{
	con->port[number].paused = false;
	/* From the loop, for this may be called from within the port's own callback. */
	device_again(&con->dev, 1ULL << queue_out(number));
}

void console_hangup(struct console *con, unsigned number)
{
	struct port *port = &con->port[number];

	if (port->hung_up)
		return;
	port->hung_up = true;
	if (!port->ready)
		return;
	/* What was sent is in the guest's queue already, ahead of this. */
	port->due |= DUE_CLOSE;
	if (device_running(&con->dev))
		send_control(con);
}

struct console *console_create(struct bus *bus, const struct console_port *ports, unsigned count)
{
	if (count < 1 || count > PORTS_MAX) {
		errno = EINVAL;
		return NULL;
	}
	struct console *con = calloc(1, sizeof(*con) + count * sizeof(con->port[0]));
	if (!con)
		return NULL;
	con->count = count;
	con->config.max_nr_ports = count;
	for (unsigned i = 0; i < count; i++) {
		if (strlen(ports[i].name) > NAME_MAX_BYTES)
			log_bug("the name of a console port is too long");
		con->port[i].user = ports[i];
		con->port[i].chain =
			(struct vq_chain){.iov = con->port[i].iov, .max = VQ_CHAIN_MAX};
	}
	con->dev = (struct device){
		.ops = &console_ops,
		.name = "console",
		.id = VIRTIO_ID_CONSOLE,
		.offered = 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
		.required = 1ULL << VIRTIO_CONSOLE_F_MULTIPORT,
		.config = &con->config,
		.config_size = sizeof(con->config),
		.queues = 2 * count + 2,
		.queue_max = QUEUE_SIZE,
	};
	int r = device_init(&con->dev, bus);
	if (r < 0) {
		free(con);
		errno = -r;
		return NULL;
	}
	return con;
}
