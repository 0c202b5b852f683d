/* SPDX-License-Identifier: MIT */
/* virtio-blk, by io_uring and by plain calls: data, order, bounds and bad drivers. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/blk_rig.h"

/* ---- Requests ---------------------------------------------------------------- */

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
	};

	return cmocka_run_group_tests_name("blk", tests, NULL, NULL);
}
