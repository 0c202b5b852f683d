/* SPDX-License-Identifier: MIT */
/* virtio-blk, by io_uring and by plain calls: data, order, bounds, bad files and bad drivers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "device/blk.h"
#include "test/unit/rig.h"

#define SECTORS 2048 /* 1 MiB */
#define QUEUE 128
#define WRITE VRING_DESC_F_WRITE
#define NEXT VRING_DESC_F_NEXT
#define NO_STATUS 0xee

static struct rig rig;
static struct ring ring;
static char path[] = "/tmp/lucid-test-XXXXXX";
static int file; /* the test's own view of the disk */
static unsigned way; /* BLK_SYNC or 0 */
static const struct blk_limits *limits;
static uint64_t data; /* 8 MiB of guest memory */

static void start(unsigned flags)
{
	const char *why = NULL;

	if (!blk_create(&rig.bus, path, flags | way, limits, &why))
		fail_msg("blk_create: %s", why);
	uint64_t features = (uint64_t)rig_call(&rig, LUCID_MC_DEV_FEATURES, 0, 0, 0);
	rig_negotiate(&rig, 0, features);
	ring_open(&ring, &rig, 0, 0, QUEUE);
	rig_go(&rig, 0);
	rig_settle(&rig);
}

static int make_file(void)
{
	strcpy(path, "/tmp/lucid-test-XXXXXX");
	file = mkstemp(path);
	if (file < 0 || ftruncate(file, SECTORS * 512) < 0)
		return -1;
	rig_open(&rig);
	data = rig_alloc(&rig, 8 << 20);
	return 0;
}

static int setup_uring(void **state)
{
	(void)state;
	way = 0;
	return make_file();
}

static int setup_plain(void **state)
{
	(void)state;
	way = BLK_SYNC;
	return make_file();
}

static int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	close(file);
	unlink(path);
	return 0;
}

/* ---- Requests ---------------------------------------------------------------- */

static uint64_t headers, statuses; /* one of each for each head */

/* Lays out a request of up to three descriptors from head on, and offers it. */
static void ask(
	unsigned head, unsigned type, uint64_t sector, uint64_t pa, uint32_t len, unsigned flags)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	const uint8_t none = NO_STATUS;

	if (headers == 0) {
		headers = rig_alloc(&rig, QUEUE * sizeof(h));
		statuses = rig_alloc(&rig, QUEUE);
	}
	assert_true(ram_write(&rig.ram, headers + head * sizeof(h), &h, sizeof(h)));
	assert_true(ram_write(&rig.ram, statuses + head, &none, 1));
	ring_desc(&rig, ring.desc, head, headers + head * sizeof(h), sizeof(h), NEXT, head + 1);
	if (len > 0)
		ring_desc(&rig, ring.desc, head + 1, pa, len, flags | NEXT, head + 2);
	ring_desc(&rig, ring.desc, head + 1 + (len > 0), statuses + head, 1, WRITE, 0);
	ring_offer(&ring, head);
}

static bool all_used(void *arg)
{
	(void)arg;
	return ring_used_index(&ring) == ring.offered;
}

static uint8_t status(unsigned head)
{
	return *(uint8_t *)rig_at(&rig, statuses + head, 1);
}

/* One request from start to end: its status. */
static uint8_t request(unsigned type, uint64_t sector, uint64_t pa, uint32_t len, unsigned flags)
{
	ask(0, type, sector, pa, len, flags);
	ring_kick(&ring);
	rig_run_until(&rig, all_used, NULL);
	return status(0);
}

static uint8_t range(unsigned type, uint64_t sector, uint32_t count, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = {
		.sector = sector,
		.num_sectors = count,
		.flags = flags,
	};

	assert_true(ram_write(&rig.ram, data, &r, sizeof(r)));
	return request(type, 0, data, sizeof(r), 0);
}

static void reads_and_writes(void **state)
{
	char text[1024];
	uint32_t id, len;

	(void)state;
	start(0);
	memset(rig_at(&rig, data, 1024), 'w', 1024);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, 3, data, 1024, 0), VIRTIO_BLK_S_OK);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(len, 1);
	assert_int_equal(pread(file, text, 1024, 3 * 512), 1024);
	assert_int_equal(text[0], 'w');
	assert_int_equal(text[1023], 'w');
	assert_int_equal(pread(file, text, 1024, 4 * 512), 1024);
	assert_int_equal(text[512], 0);

	assert_int_equal(request(VIRTIO_BLK_T_IN, 4, data + 4096, 1024, WRITE), VIRTIO_BLK_S_OK);
	assert_true(ring_used(&ring, &id, &len));
	assert_int_equal(len, 1025);
	assert_memory_equal(rig_at(&rig, data + 4096, 1024), text, 1024);
	assert_int_equal(rig.raised[LUCID_EVENT_DEVICE(0)], 1); /* used_event was 0 */
}

/* Header and status need not have buffers of their own. */
static void requests_cut_anyhow(void **state)
{
	const struct virtio_blk_outhdr h = {.type = VIRTIO_BLK_T_IN, .sector = 1};

	(void)state;
	start(0);
	assert_int_equal(pwrite(file, "sector one", 10, 512), 10);
	ram_write(&rig.ram, data, &h, sizeof(h));
	ring_desc(&rig, ring.desc, 0, data, 5, NEXT, 1);
	ring_desc(&rig, ring.desc, 1, data + 5, 11, NEXT, 2);
	ring_desc(&rig, ring.desc, 2, data + 64, 7, WRITE | NEXT, 3);
	ring_desc(&rig, ring.desc, 3, data + 71, 512 - 7 + 1, WRITE, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	rig_run_until(&rig, all_used, NULL);
	assert_memory_equal(rig_at(&rig, data + 64, 512), "sector one", 11);
	assert_int_equal(*(uint8_t *)rig_at(&rig, data + 64 + 512, 1), VIRTIO_BLK_S_OK);
}

static void beyond_the_end_is_an_error(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t len;
		uint8_t status;
	} cases[] = {
		{SECTORS - 1, 512, VIRTIO_BLK_S_OK},
		{SECTORS - 1, 1024, VIRTIO_BLK_S_IOERR},
		{SECTORS, 512, VIRTIO_BLK_S_IOERR},
		{0, (SECTORS + 1) * 512, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX, 512, VIRTIO_BLK_S_IOERR},
		{UINT64_MAX / 512, 512, VIRTIO_BLK_S_IOERR},
		{1ULL << 55, 512, VIRTIO_BLK_S_IOERR}, /* times 512 is 0 */
		{0, 511, VIRTIO_BLK_S_IOERR},
		{0, 513, VIRTIO_BLK_S_IOERR},
	};
	struct stat st;

	(void)state;
	start(0);
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(
			request(VIRTIO_BLK_T_IN, cases[i].sector, data, cases[i].len, WRITE),
			cases[i].status);
		assert_int_equal(request(VIRTIO_BLK_T_OUT, cases[i].sector, data, cases[i].len, 0),
			cases[i].status);
	}
	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, SECTORS * 512);
	/* Without data there is nothing to do. */
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, 0, 0, 0), VIRTIO_BLK_S_OK);
	assert_false(rig_is_broken(&rig, 0));
}

static void flush_and_id_and_unknown(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(request(VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0), VIRTIO_BLK_S_OK);
	memset(rig_at(&rig, data, 32), 'x', 32);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, data, 20, WRITE), VIRTIO_BLK_S_OK);
	assert_memory_equal(rig_at(&rig, data, 32), "lucid-disk-0\0\0\0\0\0\0\0\0xxxx", 24);
	assert_int_equal(request(VIRTIO_BLK_T_GET_ID, 0, data, 5, WRITE), VIRTIO_BLK_S_OK);
	assert_int_equal(request(0x12345678, 0, data, 512, WRITE), VIRTIO_BLK_S_UNSUPP);
}

static void a_read_only_disk_refuses_writes(void **state)
{
	const uint64_t ro = 1ULL << VIRTIO_BLK_F_RO;
	char c;

	(void)state;
	start(BLK_READ_ONLY);
	assert_true((uint64_t)rig_call(&rig, LUCID_MC_DEV_FEATURES, 0, 0, 0) & ro);
	memset(rig_at(&rig, data, 512), 'w', 512);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, 0, data, 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(range(VIRTIO_BLK_T_DISCARD, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(range(VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_OK);
	assert_int_equal(pread(file, &c, 1, 0), 1);
	assert_int_equal(c, 0);
}

static blkcnt_t blocks(void)
{
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	assert_int_equal(st.st_size, SECTORS * 512);
	return st.st_blocks;
}

static void fill_file(void)
{
	char text[4096];

	memset(text, 'f', sizeof(text));
	for (unsigned i = 0; i < SECTORS / 8; i++)
		assert_int_equal(pwrite(file, text, sizeof(text), i * 4096), sizeof(text));
	fsync(file);
}

static char byte_at(uint64_t offset)
{
	char c;

	assert_int_equal(pread(file, &c, 1, (off_t)offset), 1);
	return c;
}

static void discard_and_write_zeroes(void **state)
{
	const unsigned discard = VIRTIO_BLK_T_DISCARD, zero = VIRTIO_BLK_T_WRITE_ZEROES;
	const uint32_t unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	(void)state;
	fill_file();
	start(0);
	blkcnt_t full = blocks();

	assert_int_equal(range(discard, 8, 16, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(byte_at(8 * 512 - 1), 'f');
	assert_int_equal(byte_at(8 * 512), 0);
	assert_int_equal(byte_at(24 * 512 - 1), 0);
	assert_int_equal(byte_at(24 * 512), 'f');
	assert_true(blocks() < full);

	full = blocks();
	assert_int_equal(range(zero, 801, 2, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(byte_at(801 * 512 - 1), 'f');
	assert_int_equal(byte_at(801 * 512), 0);
	assert_int_equal(byte_at(803 * 512), 'f');
	assert_int_equal(range(zero, 1600, 64, unmap), VIRTIO_BLK_S_OK);
	assert_int_equal(byte_at(1600 * 512), 0);
	assert_true(blocks() < full);
	assert_int_equal(range(zero, SECTORS - 1, 1, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(range(zero, 5, 0, 0), VIRTIO_BLK_S_OK);
	blocks(); /* the size has not changed */
}

static void bad_ranges(void **state)
{
	const unsigned both[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	const uint32_t unmap = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;

	(void)state;
	fill_file();
	start(0);
	for (unsigned i = 0; i < 2; i++) {
		unsigned t = both[i];

		assert_int_equal(range(t, SECTORS - 1, 2, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(range(t, SECTORS, 1, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(range(t, UINT64_MAX, 1, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(range(t, UINT64_MAX - 1, 4, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(range(t, 1ULL << 55, 1, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(range(t, 0, UINT32_MAX, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(range(t, 0, 1, 2), VIRTIO_BLK_S_UNSUPP);
		assert_int_equal(request(t, 0, data, 15, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(t, 0, data, 32, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(t, 0, 0, 0, 0), VIRTIO_BLK_S_IOERR);
	}
	assert_int_equal(range(VIRTIO_BLK_T_DISCARD, 0, 1, unmap), VIRTIO_BLK_S_UNSUPP);
	for (unsigned i = 0; i < SECTORS; i++)
		assert_int_equal(byte_at(i * 512UL), 'f');
}

/* ---- Many and large ---------------------------------------------------------- */

/* Moved in steps, with buffers cut where a step ends. */
static void a_request_of_many_megabytes(void **state)
{
	const size_t n = 7 << 20;

	(void)state;
	assert_int_equal(ftruncate(file, 16 << 20), 0);
	start(0);
	unsigned char *p = rig_at(&rig, data, n);
	for (size_t i = 0; i < n; i++)
		p[i] = (unsigned char)(i * 7 + (i >> 12));
	assert_int_equal(request(VIRTIO_BLK_T_OUT, 1, data, n, 0), VIRTIO_BLK_S_OK);
	unsigned char *copy = malloc(n);
	assert_int_equal(pread(file, copy, n, 512), n);
	assert_memory_equal(copy, p, n);
	memset(p, 0, n);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 1, data, n, WRITE), VIRTIO_BLK_S_OK);
	assert_memory_equal(copy, p, n);
	free(copy);
}

static void a_full_queue_in_one_batch(void **state)
{
	(void)state;
	start(0);
	for (unsigned i = 0; i < QUEUE / 3; i++) {
		memset(rig_at(&rig, data + i * 512, 512), 'a' + (int)(i % 26), 512);
		ask(3 * i, VIRTIO_BLK_T_OUT, i, data + i * 512, 512, 0);
	}
	ring_set_used_event(&ring, (uint16_t)(QUEUE / 3 - 1));
	ring_kick(&ring);
	rig_run_until(&rig, all_used, NULL);
	rig_settle(&rig);
	for (unsigned i = 0; i < QUEUE / 3; i++) {
		assert_int_equal(status(3 * i), VIRTIO_BLK_S_OK);
		assert_int_equal(byte_at(i * 512UL), 'a' + (int)(i % 26));
	}
	assert_int_equal(rig.raised[LUCID_EVENT_DEVICE(0)], 1);
}

static void reads_that_the_page_cache_does_not_have(void **state)
{
	(void)state;
	fill_file();
	start(0);
	assert_int_equal(posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED), 0);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, SECTORS * 512, WRITE), VIRTIO_BLK_S_OK);
	const unsigned char *p = rig_at(&rig, data, SECTORS * 512);
	for (size_t i = 0; i < SECTORS * 512; i++)
		assert_int_equal(p[i], 'f');
}

static void the_file_becomes_shorter(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(ftruncate(file, 1024), 0);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 1, data, 1024, WRITE), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 1, data, 512, WRITE), VIRTIO_BLK_S_OK);
}

/* After a reset nothing that was in flight may reach the guest's memory. */
static void a_reset_waits_for_requests(void **state)
{
	const uint32_t n = 512 << 10;

	(void)state;
	fill_file();
	start(0);
	for (unsigned i = 0; i < 16; i++)
		ask(3 * i, VIRTIO_BLK_T_IN, 0, data + i * n, n, WRITE);
	ring_kick(&ring);
	memset(rig.raised, 0, sizeof(rig.raised));
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
	assert_int_equal(rig.raised[LUCID_EVENT_DEVICE(0)], 0);
	unsigned char *p = rig_at(&rig, data, 16 * n);
	memset(p, 'z', 16 * n);
	uint16_t used = ring_used_index(&ring);
	rig_settle(&rig);
	usleep(10000);
	rig_settle(&rig);
	assert_int_equal(ring_used_index(&ring), used);
	for (size_t i = 0; i < 16 * n; i++)
		assert_int_equal(p[i], 'z');

	/* And the device works again. */
	rig_negotiate(&rig, 0, RIG_TRANSPORT);
	ring_open(&ring, &rig, 0, 0, QUEUE);
	rig_go(&rig, 0);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 0, data, 512, WRITE), VIRTIO_BLK_S_OK);
	assert_int_equal(p[0], 'f');
}

/* ---- Bad drivers ------------------------------------------------------------- */

static void assert_breaks(void)
{
	ring_offer(&ring, 0);
	ring_kick(&ring);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(ring_used_index(&ring), 0);
	assert_int_equal(rig.raised[LUCID_EVENT_CONFIG(0)], 1);
}

static void no_status_byte(void **state)
{
	(void)state;
	start(0);
	ring_desc(&rig, ring.desc, 0, data, 16, NEXT, 1);
	ring_desc(&rig, ring.desc, 1, data, 512, 0, 0);
	assert_breaks();
}

static void half_a_header(void **state)
{
	(void)state;
	start(0);
	ring_desc(&rig, ring.desc, 0, data, 15, NEXT, 1);
	ring_desc(&rig, ring.desc, 1, data, 1, WRITE, 0);
	assert_breaks();
}

/* The same RAM again and again: each buffer is in bounds, the sum is not. */
static void a_request_larger_than_ram_and_disk(void **state)
{
	uint64_t table = rig_alloc(&rig, 128 * 16UL);
	const unsigned last = 127;

	(void)state;
	start(0);
	memset(rig_at(&rig, 0, 16), 0, 16);
	ring_desc(&rig, table, 0, 0, 16, NEXT, 1);
	for (unsigned i = 1; i <= last; i++)
		ring_desc(&rig, table, i, 0, RIG_RAM, WRITE | (i < last ? NEXT : 0), i + 1);
	ring_desc(&rig, ring.desc, 0, table, 128 * 16, VRING_DESC_F_INDIRECT, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	rig_run_until(&rig, all_used, NULL);
	assert_int_equal(*(uint8_t *)rig_at(&rig, RIG_RAM - 1, 1), VIRTIO_BLK_S_IOERR);
}

static void more_buffers_than_seg_max(void **state)
{
	uint64_t table = rig_alloc(&rig, 130 * 16UL);

	(void)state;
	start(0);
	for (unsigned i = 0; i < 130; i++)
		ring_desc(
			&rig, table, i, data, 512, i ? WRITE | (i < 129 ? NEXT : 0) : NEXT, i + 1);
	ring_desc(&rig, ring.desc, 0, table, 130 * 16, VRING_DESC_F_INDIRECT, 0);
	assert_breaks();
}

/* The same head again while its first request may still be in flight. */
static void a_head_in_flight_twice(void **state)
{
	(void)state;
	start(0);
	ask(0, VIRTIO_BLK_T_FLUSH, 0, 0, 0, 0);
	ring_offer(&ring, 0);
	ring_kick(&ring);
	rig_settle(&rig);
	assert_true(rig_is_broken(&rig, 0));
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_SET_STATUS, 0, 0, 0), 0);
}

static void stopping_the_queue_with_requests_in_flight(void **state)
{
	(void)state;
	start(0);
	for (unsigned i = 0; i < 20; i++)
		ask(3 * i, i % 2 ? VIRTIO_BLK_T_FLUSH : VIRTIO_BLK_T_OUT, 0, data,
			i % 2 ? 0 : 65536, 0);
	ring_kick(&ring);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_QUEUE_STOP, 0, 0, 0), 0);
	assert_int_equal(ring_used_index(&ring), 20);
	ring_kick(&ring);
	rig_settle(&rig);
}

/* ---- Configuration and files --------------------------------------------------- */

static uint64_t config(size_t offset, size_t length)
{
	return (uint64_t)rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, offset, length);
}

static void what_the_guest_is_told(void **state)
{
	const uint64_t features = 1ULL << VIRTIO_BLK_F_FLUSH | 1ULL << VIRTIO_BLK_F_SEG_MAX |
				  1ULL << VIRTIO_BLK_F_BLK_SIZE | 1ULL << VIRTIO_BLK_F_DISCARD |
				  1ULL << VIRTIO_BLK_F_WRITE_ZEROES;

	(void)state;
	start(0);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_ID, 0, 0, 0), 2);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_FEATURES, 0, 0, 0), RIG_TRANSPORT | features);
	assert_int_equal(config(offsetof(struct virtio_blk_config, capacity), 8), SECTORS);
	assert_int_equal(config(offsetof(struct virtio_blk_config, seg_max), 4), 126);
	assert_int_equal(config(offsetof(struct virtio_blk_config, blk_size), 4), 512);
	assert_int_equal(config(offsetof(struct virtio_blk_config, max_discard_seg), 4), 1);
}

static void refused(const char *name, unsigned flags, int error, const char *reason)
{
	const char *why = NULL;

	errno = 0;
	assert_null(blk_create(&rig.bus, name, flags, NULL, &why));
	assert_int_equal(errno, error);
	assert_string_equal(why, reason);
	assert_null(rig.bus.device[1]);
}

static void files_that_are_refused(void **state)
{
	char fifo[sizeof(path) + 5];

	(void)state;
	snprintf(fifo, sizeof(fifo), "%s.fifo", path);
	refused("/nonexistent/disk", 0, ENOENT, "there is no such file");
	refused("/tmp", 0, EISDIR, "is a directory");
	refused("/tmp", BLK_READ_ONLY, EISDIR, "is a directory");
	refused("/dev/null", 0, EINVAL, "is neither a file nor a block device");
	assert_int_equal(mkfifo(fifo, 0600), 0);
	refused(fifo, BLK_READ_ONLY, EINVAL, "is neither a file nor a block device");
	unlink(fifo);
	assert_int_equal(ftruncate(file, 1000), 0);
	refused(path, 0, EINVAL, "its size is not a multiple of 512 bytes");
	assert_int_equal(ftruncate(file, 0), 0);
	refused(path, 0, EINVAL, "is empty");
	assert_int_equal(ftruncate(file, 1024), 0);
	if (geteuid() != 0) {
		assert_int_equal(fchmod(file, 0400), 0);
		refused(path, 0, EACCES, "no permission to read and write it");
	}
}

static void a_disk_in_use(void **state)
{
	const char *why = NULL;

	(void)state;
	assert_non_null(blk_create(&rig.bus, path, BLK_READ_ONLY, NULL, &why));
	refused(path, 0, EBUSY, "is in use by another machine");
	/* Any number may read. */
	assert_non_null(blk_create(&rig.bus, path, BLK_READ_ONLY, NULL, &why));
	bus_destroy(&rig.bus);
	assert_non_null(blk_create(&rig.bus, path, 0, NULL, &why));
	refused(path, BLK_READ_ONLY, EBUSY, "is in use by another machine");
}

static uint64_t ms_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* How long eight writes of that size take, in ms. */
static uint64_t time_writes(const struct blk_limits *l, uint32_t len)
{
	uint64_t begun;

	limits = l;
	start(0);
	limits = NULL;
	begun = ms_now();
	for (unsigned i = 0; i < 8; i++)
		ask(3 * i, VIRTIO_BLK_T_OUT, 0, data, len, 0);
	ring_kick(&ring);
	rig_run_until(&rig, all_used, NULL);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(status(3 * i), VIRTIO_BLK_S_OK);
	return ms_now() - begun;
}

/* A bucket holds a tenth of a second: of eight at ten a second, six or seven wait for their turn.
 */
static void operations_are_limited(void **state)
{
	(void)state;
	assert_in_range(time_writes(&(struct blk_limits){.iops = 10}, 512), 550, 5000);
}

static void bytes_are_limited(void **state)
{
	(void)state;
	/* 512 KiB at 1 MiB a second; the last one begins when the others are paid for. */
	assert_in_range(time_writes(&(struct blk_limits){.bandwidth = 1 << 20}, 65536), 300, 5000);
}

static bool was_told(void *arg)
{
	(void)arg;
	return rig.raised[LUCID_EVENT_CONFIG(0)] > 0;
}

static void resize(off_t size)
{
	int fd = open(path, O_WRONLY);

	rig.raised[LUCID_EVENT_CONFIG(0)] = 0;
	assert_int_equal(ftruncate(fd, size), 0);
	close(fd);
}

static void the_disk_follows_its_file(void **state)
{
	(void)state;
	start(0);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, SECTORS, data, 512, 0), VIRTIO_BLK_S_IOERR);
	resize(SECTORS * 512 + 4096);
	rig_run_until(&rig, was_told, NULL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 0, 8), SECTORS + 8);
	assert_int_equal(request(VIRTIO_BLK_T_OUT, SECTORS, data, 512, 0), VIRTIO_BLK_S_OK);
	resize(4096);
	rig_run_until(&rig, was_told, NULL);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 0, 8), 8);
	assert_int_equal(request(VIRTIO_BLK_T_IN, 8, data, 512, WRITE), VIRTIO_BLK_S_IOERR);
	/* No size for a disk: it stays as it was. */
	resize(1000);
	rig_settle(&rig);
	assert_int_equal(rig_call(&rig, LUCID_MC_DEV_CONFIG_READ, 0, 0, 8), 8);
}

static int forget(void **state)
{
	headers = 0;
	return teardown(state);
}

#define BOTH(f)                                                                                    \
	{#f " (io_uring)", f, setup_uring, forget, NULL},                                          \
	{                                                                                          \
#f " (plain)", f, setup_plain, forget, NULL                                        \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(reads_and_writes),
		BOTH(requests_cut_anyhow),
		BOTH(beyond_the_end_is_an_error),
		BOTH(flush_and_id_and_unknown),
		BOTH(a_read_only_disk_refuses_writes),
		BOTH(discard_and_write_zeroes),
		BOTH(bad_ranges),
		BOTH(a_request_of_many_megabytes),
		BOTH(a_full_queue_in_one_batch),
		BOTH(reads_that_the_page_cache_does_not_have),
		BOTH(the_file_becomes_shorter),
		BOTH(a_reset_waits_for_requests),
		BOTH(no_status_byte),
		BOTH(half_a_header),
		BOTH(a_request_larger_than_ram_and_disk),
		BOTH(more_buffers_than_seg_max),
		BOTH(a_head_in_flight_twice),
		BOTH(stopping_the_queue_with_requests_in_flight),
		BOTH(what_the_guest_is_told),
		BOTH(files_that_are_refused),
		BOTH(operations_are_limited),
		BOTH(bytes_are_limited),
		BOTH(the_disk_follows_its_file),
		cmocka_unit_test_setup_teardown(a_disk_in_use, setup_uring, forget),
	};

	return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
