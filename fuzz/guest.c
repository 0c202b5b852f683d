/* SPDX-License-Identifier: MIT */
/* The guest's instructions. */
#include "fuzz/guest.h"

#include <signal.h>

#include "device/device.h"
#include "fuzz/hosts.h"
#include "fuzz/input.h"

#define ROUNDS 4 /* of the loop, where the guest waits */
#define STEPS_MAX 200 /* instructions in a program */
/* Where things are: a place for each queue's ring, then data. */
#define RING(q) (0x10000ULL * ((q) + 1))
#define AVAIL 0x4000
#define USED 0x8000
#define DATA 0x200000ULL
#define DATA_SIZE 0x100000ULL
#define DESC_BYTES 16

static struct rig rig;
static const struct host *host;
static guest_flip_fn *flip_fn;
static struct device *dev;
static struct {
	unsigned size;
	uint16_t offered;
} queue[LUCID_DEVICE_QUEUES];
static uint64_t next_data;

/* ---- Parts of instructions ---------------------------------------------------------- */

static unsigned take_queue(struct input *in)
{
	return (unsigned)input_number(in, 1) % dev->queues;
}

/* An address: mostly in the guest's data, else where it hurts. */
static uint64_t take_address(struct input *in)
{
	switch (input_number(in, 1) % 8) {
	case 0:
		return GUEST_RAM - input_number(in, 1);
	case 1:
		return input_number(in, 8);
	case 2:
		return RING(take_queue(in)) + input_number(in, 2);
	case 3:
		return 0;
	default:
		return DATA + input_number(in, 2);
	}
}

static uint32_t take_length(struct input *in)
{
	switch (input_number(in, 1) % 8) {
	case 0:
		return (uint32_t)input_number(in, 4);
	case 1:
		return GUEST_RAM;
	case 2:
		return (uint32_t)(GUEST_RAM >> (input_number(in, 1) % 16));
	case 3:
	case 4:
		return (uint32_t)input_number(in, 2);
	default:
		return (uint32_t)input_number(in, 1);
	}
}

static void put16(uint64_t pa, unsigned value)
{
	uint16_t v = (uint16_t)value;

	ram_write(&rig.ram, pa, &v, sizeof(v));
}

static bool enough(void *arg)
{
	unsigned *rounds = arg;

	return ++*rounds > ROUNDS;
}

static void wait_for_host(void)
{
	unsigned rounds = 0;

	rig_run_until(&rig, enough, &rounds);
}

static void offer(unsigned q, unsigned head)
{
	unsigned size = queue[q].size ? queue[q].size : 8;

	put16(RING(q) + AVAIL + 4 + 2ULL * (queue[q].offered % size), head);
	put16(RING(q) + AVAIL + 2, ++queue[q].offered);
}

static void kick(unsigned q)
{
	bus_doorbell(&rig.bus, 0, 1ULL << q);
}

/* ---- Calls ------------------------------------------------------------------------------ */

static long call(unsigned nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	const uint64_t arg[5] = {a0, a1, a2, a3, a4};

	/* What stops queues waits for the host. */
	if (host->settle)
		host->settle();
	return bus_call(&rig.bus, nr, arg);
}

/* As a good driver does it, with less of features and queues if the guest says so. */
static void bring_up(unsigned less)
{
	uint64_t features = (uint64_t)call(LUCID_MC_DEV_FEATURES, 0, 0, 0, 0, 0);

	if (less & 1)
		features &= ~(1ULL << VIRTIO_RING_F_EVENT_IDX);
	if (less & 2)
		features &= ~(1ULL << VIRTIO_RING_F_INDIRECT_DESC);
	if (less & 4)
		features &= dev->required | RIG_TRANSPORT;
	if (host->settle)
		host->settle();
	rig_negotiate(&rig, 0, features);
	for (unsigned q = 0; q < dev->queues; q++) {
		queue[q].size = less & 8 ? 8 : dev->queue_max;
		queue[q].offered = 0;
		put16(RING(q) + AVAIL + 2, 0);
		put16(RING(q) + USED + 2, 0);
		if (!(less & 16 && q == 0))
			call(LUCID_MC_DEV_QUEUE_SETUP, 0, q | queue[q].size << 16, RING(q),
				RING(q) + AVAIL, RING(q) + USED);
	}
	rig_go(&rig, 0);
	wait_for_host();
}

static void queue_setup(struct input *in)
{
	unsigned q = (unsigned)input_number(in, 1) % (dev->queues + 1);
	uint64_t size = input_number(in, 1), desc = take_address(in), avail = take_address(in);

	size = size < 16 ? 1ULL << size : size;
	call(LUCID_MC_DEV_QUEUE_SETUP, 0, q | size << 16, desc, avail, take_address(in));
}

static void any_call(struct input *in)
{
	unsigned nr = LUCID_MC_DEV_ID + (unsigned)input_number(in, 1) % 10;
	uint64_t place = input_number(in, 1), a = take_address(in), b = input_number(in, 1);

	/* Small numbers are what most arguments are. */
	if (place & 0x80)
		a &= 0xff;
	call(nr, place & 0x40 ? place : 0, a, b, input_number(in, 4), 0);
}

/* ---- Memory ------------------------------------------------------------------------------ */

static void write_data(struct input *in)
{
	uint64_t pa = take_address(in);
	uint8_t data[256];
	size_t n = input_bytes(in, data, input_number(in, 1));

	ram_write(&rig.ram, pa, data, n);
}

/* A descriptor of the ring's table or of another one. */
static void write_desc(struct input *in, uint64_t table)
{
	struct vring_desc d = {.addr = take_address(in), .len = take_length(in)};
	unsigned i = (unsigned)input_number(in, 1);

	d.flags = (uint16_t)(input_number(in, 1) & 7);
	d.next = (uint16_t)input_number(in, 1);
	ram_write(&rig.ram, table + (uint64_t)i * DESC_BYTES, &d, sizeof(d));
}

/* A chain of many buffers, all of one kind, and in one place. */
static void offer_row(struct input *in)
{
	unsigned q = take_queue(in), count = (unsigned)input_number(in, 2) % 1100, flags;
	uint64_t table = DATA + DATA_SIZE - 1100 * DESC_BYTES;
	struct vring_desc d = {.addr = take_address(in), .len = take_length(in)};

	flags = (unsigned)input_number(in, 1);
	for (unsigned i = 0; i < count; i++) {
		d.flags = (uint16_t)((flags & VRING_DESC_F_WRITE) |
				     (i + 1 < count ? VRING_DESC_F_NEXT : 0));
		d.next = (uint16_t)(i + 1);
		ram_write(&rig.ram, table + (uint64_t)i * DESC_BYTES, &d, sizeof(d));
	}
	ring_desc(&rig, RING(q), flags >> 4, table, count * DESC_BYTES, VRING_DESC_F_INDIRECT, 0);
	offer(q, flags >> 4);
	kick(q);
}

/* A request as drivers make them: buffers with what follows in the input, buffers for the answer.
 */
static void offer_chain(struct input *in)
{
	unsigned q = take_queue(in), shape = (unsigned)input_number(in, 1);
	unsigned outs = shape & 3, ins = shape >> 2 & 3, head = (shape >> 4) * 8 % queue[q].size;

	for (unsigned i = 0; i < outs + ins; i++) {
		unsigned flags = i < outs ? 0 : VRING_DESC_F_WRITE;
		uint32_t len = i < outs ? (uint32_t)input_number(in, 1) : take_length(in);
		uint64_t pa = DATA + next_data;
		uint8_t data[256];

		if (i < outs) {
			input_bytes(in, data, len);
			ram_write(&rig.ram, pa, data, len);
		}
		next_data = (next_data + len + 1) % (DATA_SIZE / 2);
		if (i + 1 < outs + ins)
			flags |= VRING_DESC_F_NEXT;
		ring_desc(&rig, RING(q), head + i, pa, len, flags, head + i + 1);
	}
	offer(q, head);
	kick(q);
}

static void flip(struct input *in)
{
	uint8_t *byte = ram_range(&rig.ram, take_address(in), 1);
	uint8_t mask = (uint8_t)input_number(in, 1);

	if (byte && flip_fn)
		flip_fn(byte, mask);
	else if (byte)
		*byte ^= mask;
}

/* ---- Programs ----------------------------------------------------------------------------- */

static void drive(struct input *in, unsigned op)
{
	unsigned q;

	switch (op) {
	case 0:
		offer_chain(in);
		break;
	case 1:
		q = take_queue(in);
		offer(q, (unsigned)input_number(in, 1));
		break;
	case 2:
		kick(take_queue(in));
		break;
	case 3:
		wait_for_host();
		break;
	case 4:
		host->act(&rig, in);
		break;
	case 5:
		q = take_queue(in);
		put16(RING(q) + AVAIL + 2, (unsigned)input_number(in, 2));
		break;
	case 6:
		q = take_queue(in);
		put16(RING(q) + AVAIL + 4 + 2ULL * queue[q].size, (unsigned)input_number(in, 2));
		break;
	default:
		bring_up((unsigned)input_number(in, 1));
	}
}

static void step(struct input *in)
{
	unsigned op = (unsigned)input_number(in, 1) % 16;

	switch (op) {
	case 8:
		write_data(in);
		break;
	case 9:
		write_desc(in, RING(take_queue(in)));
		break;
	case 10:
		write_desc(in, DATA);
		break;
	case 11:
		offer_row(in);
		break;
	case 12:
		flip(in);
		break;
	case 13:
		any_call(in);
		break;
	case 14:
		queue_setup(in);
		break;
	case 15:
		call(LUCID_MC_DEV_SET_STATUS, 0, input_number(in, 1), 0, 0, 0);
		break;
	default:
		drive(in, op);
	}
}

void guest_init(void)
{
	signal(SIGPIPE, SIG_IGN); /* as the monitor does */
	rig_open_with(&rig, GUEST_RAM);
}

void guest_run(const uint8_t *data, size_t size, guest_flip_fn *flip)
{
	struct input in = {data, size};

	host = &hosts[input_number(&in, 1) % hosts_count];
	flip_fn = flip;
	next_data = 0;
	host->open(&rig);
	dev = rig.bus.device[0];
	bring_up((unsigned)input_number(&in, 1));
	for (unsigned i = 0; i < STEPS_MAX && in.left > 0; i++)
		step(&in);
	wait_for_host();
	if (host->settle)
		host->settle();
	bus_destroy(&rig.bus);
	if (host->close)
		host->close();
}

void guest_wipe(void)
{
	ram_discard(&rig.ram, 0, GUEST_RAM);
}
