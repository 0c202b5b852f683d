/* SPDX-License-Identifier: MIT */
/* Devices and their other ends. Sockets are pairs; files are in memory. */
#include "fuzz/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/balloon.h"
#include "device/blk.h"
#include "device/console.h"
#include "device/fs.h"
#include "device/fs_proto.h"
#include "device/mem.h"
#include "device/net.h"
#include "device/rng.h"
#include "device/vsock.h"
#include "fuzz/guest.h"

#define FRAME_MAX 2048

static int peer = -1; /* our end of the device's socket */

static int make_pair(int type)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd), 0);
	peer = fd[1];
	return fd[0];
}

static void close_peer(void)
{
	if (peer >= 0)
		close(peer);
	peer = -1;
}

static void drain(int fd)
{
	static char waste[1 << 16];

	while (fd >= 0 && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0)
		;
}

static void send_some(int fd, struct input *in)
{
	uint8_t data[FRAME_MAX];
	size_t n = input_number(in, 2) % sizeof(data);

	/* Longer than what the input has: lengths matter, most bytes do not. */
	input_bytes(in, data, n);
	if (fd >= 0 && n > 0)
		send(fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* ---- Disks -------------------------------------------------------------------------- */

#define DISK_SIZE (256 << 10)

static int disk = -1;

/* To watch the file for a new size is no guest's doing, and its end takes the host milliseconds. */
int inotify_init1(int flags)
{
	(void)flags;
	errno = EMFILE;
	return -1;
}

static void open_disk(struct rig *rig, unsigned flags, const struct blk_limits *limits)
{
	const char *why = "";
	char path[40];

	disk = memfd_create("disk", MFD_CLOEXEC);
	assert_true(disk >= 0 && ftruncate(disk, DISK_SIZE) == 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", disk);
	if (!blk_create(&rig->bus, path, flags, limits, &why))
		fail_msg("blk_create: %s", why);
}

static void open_blk(struct rig *rig)
{
	open_disk(rig, BLK_SYNC, NULL);
}

static void open_blk_read_only(struct rig *rig)
{
	static const struct blk_limits limits = {.iops = 20, .bandwidth = 1 << 20};

	open_disk(rig, BLK_SYNC | BLK_READ_ONLY, &limits);
}

static void open_blk_uring(struct rig *rig)
{
	open_disk(rig, 0, NULL);
}

/* The file becomes shorter or longer behind the machine's back. */
static void act_blk(struct rig *rig, struct input *in)
{
	(void)rig;
	assert_int_equal(ftruncate(disk, 512 * ((off_t)input_number(in, 1) + 1)), 0);
}

static void close_blk(void)
{
	close(disk);
}

/* ---- Cards ---------------------------------------------------------------------------- */

static void open_net(struct rig *rig, struct net_link *link)
{
	static const uint8_t mac[6] = {2, 0, 0, 0, 0, 1};

	assert_non_null(link);
	assert_non_null(net_create(&rig->bus, link, mac, NULL, NULL));
}

static void open_packet(struct rig *rig)
{
	open_net(rig, net_packet(make_pair(SOCK_SEQPACKET)));
}

static void open_stream(struct rig *rig)
{
	open_net(rig, net_stream(make_pair(SOCK_STREAM)));
}

static void act_net(struct rig *rig, struct input *in)
{
	unsigned what = (unsigned)input_number(in, 1) % 16;

	(void)rig;
	if (what == 0)
		close_peer();
	else if (what < 6)
		drain(peer);
	else
		send_some(peer, in);
}

/* ---- Console ---------------------------------------------------------------------------- */

#define PORTS 3

static struct console *console;
static size_t room[PORTS];

static size_t on_output(void *arg, const void *data, size_t len)
{
	size_t *left = arg, n = len < *left ? len : *left;
	static uint8_t copy[1 << 16];

	assert_true(len <= sizeof(copy));
	memcpy(copy, data, len);
	*left -= n;
	return n;
}

static void on_opened(void *arg, bool open)
{
	(void)arg;
	if (open)
		console_send(console, 0, "hello", 5);
}

static void on_writable(void *arg)
{
	console_send(console, (unsigned)((size_t *)arg - room), "more", 4);
}

static void open_console(struct rig *rig)
{
	struct console_port port[PORTS];

	for (unsigned i = 0; i < PORTS; i++) {
		room[i] = SIZE_MAX;
		port[i] = (struct console_port){.name = "lucid.port",
			.output = on_output,
			.opened = on_opened,
			.writable = on_writable,
			.arg = &room[i]};
	}
	console = console_create(&rig->bus, port, PORTS);
	assert_non_null(console);
}

static void act_console(struct rig *rig, struct input *in)
{
	unsigned what = (unsigned)input_number(in, 1), port = what / 8 % PORTS;
	char text[256];

	(void)rig;
	switch (what % 8) {
	case 0:
		console_hangup(console, port);
		break;
	case 1:
		room[port] = input_number(in, 1);
		break;
	case 2:
		room[port] = SIZE_MAX;
		console_resume(console, port);
		break;
	default:
		input_bytes(in, text, sizeof(text));
		console_send(console, port, text, input_number(in, 1));
	}
}

/* ---- Memory ------------------------------------------------------------------------------- */

static struct balloon *balloon;
static struct mem *mem;

static void open_rng(struct rig *rig)
{
	assert_non_null(rng_create(&rig->bus));
}

static void act_rng(struct rig *rig, struct input *in)
{
	(void)rig;
	(void)in;
}

static void open_balloon(struct rig *rig)
{
	balloon = balloon_create(&rig->bus, NULL, NULL);
	assert_non_null(balloon);
}

static void act_balloon(struct rig *rig, struct input *in)
{
	(void)rig;
	if (input_number(in, 1) & 1)
		balloon_set(balloon, input_number(in, 2) << 12);
	else
		balloon_ask(balloon);
}

static void open_mem(struct rig *rig)
{
	mem = mem_create(&rig->bus, MEM_ALIGN, GUEST_RAM - MEM_ALIGN);
	assert_non_null(mem);
	mem_set(mem, 64 * MEM_BLOCK);
}

static void act_mem(struct rig *rig, struct input *in)
{
	uint64_t most = (GUEST_RAM - MEM_ALIGN) / MEM_BLOCK;

	(void)rig;
	assert_true(mem_plugged(mem) <= most * MEM_BLOCK);
	mem_set(mem, input_number(in, 1) % (most + 1) * MEM_BLOCK);
}

/* ---- Sockets --------------------------------------------------------------------------------- */

#define PEERS 16

static struct vsock *vsock;
static int far_end[PEERS];
static unsigned peers;

static int new_connection(void)
{
	int fd = make_pair(SOCK_STREAM);

	if (far_end[peers % PEERS] >= 0)
		close(far_end[peers % PEERS]);
	far_end[peers++ % PEERS] = peer;
	peer = -1;
	return fd;
}

static int on_open(void *arg, uint32_t port)
{
	(void)arg;
	return port & 1 ? -1 : new_connection();
}

static void open_vsock(struct rig *rig)
{
	peers = 0;
	for (unsigned i = 0; i < PEERS; i++)
		far_end[i] = -1;
	vsock = vsock_create(&rig->bus, on_open, NULL);
	assert_non_null(vsock);
}

static void act_vsock(struct rig *rig, struct input *in)
{
	unsigned what = (unsigned)input_number(in, 1), i = what / 8 % PEERS;

	(void)rig;
	switch (what % 8) {
	case 0:
		vsock_connect(vsock, new_connection(), (uint32_t)input_number(in, 1));
		break;
	case 1:
		if (far_end[i] >= 0)
			close(far_end[i]);
		far_end[i] = -1;
		break;
	case 2:
		if (far_end[i] >= 0)
			shutdown(far_end[i], (int)input_number(in, 1) % 3);
		break;
	case 3:
		drain(far_end[i]);
		break;
	default:
		send_some(far_end[i], in);
	}
}

static void close_vsock(void)
{
	for (unsigned i = 0; i < PEERS; i++)
		if (far_end[i] >= 0)
			close(far_end[i]);
}

/* ---- Folders ----------------------------------------------------------------------------------
 */

static void open_fs(struct rig *rig)
{
	assert_non_null(fs_create(&rig->bus, "folder0", make_pair(SOCK_SEQPACKET), NULL, NULL));
}

/* The server checks what it is sent as the device should have: all of it is RAM. */
static bool answer_one(uint32_t len)
{
	static struct fs_request rq;
	struct fs_reply reply = {.len = len};
	ssize_t n = peer < 0 ? 0 : recv(peer, &rq, sizeof(rq), MSG_DONTWAIT);

	if (n <= 0)
		return false;
	assert_int_equal(n, FS_REQUEST_SIZE(rq.outs + rq.ins));
	for (unsigned i = 0; i < (unsigned)rq.outs + rq.ins; i++)
		assert_true(rq.piece[i].len <= GUEST_RAM &&
			    rq.piece[i].offset <= GUEST_RAM - rq.piece[i].len);
	reply.id = rq.id;
	return send(peer, &reply, sizeof(reply), MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(reply);
}

static void act_fs(struct rig *rig, struct input *in)
{
	unsigned what = (unsigned)input_number(in, 1) % 16;

	(void)rig;
	if (what == 0)
		close_peer();
	else if (what == 1)
		send_some(peer, in);
	else
		answer_one((uint32_t)input_number(in, 2));
}

static void settle_fs(void)
{
	while (answer_one(16))
		;
}

const struct host hosts[] = {
	{open_blk, act_blk, NULL, close_blk},
	{open_packet, act_net, NULL, close_peer},
	{open_stream, act_net, NULL, close_peer},
	{open_console, act_console, NULL, NULL},
	{open_vsock, act_vsock, NULL, close_vsock},
	{open_fs, act_fs, settle_fs, close_peer},
	{open_balloon, act_balloon, NULL, NULL},
	{open_mem, act_mem, NULL, NULL},
	{open_rng, act_rng, NULL, NULL},
	{open_blk_read_only, act_blk, NULL, close_blk},
	{open_blk_uring, act_blk, NULL, close_blk},
};

const unsigned hosts_count = sizeof(hosts) / sizeof(hosts[0]);
