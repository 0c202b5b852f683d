/* SPDX-License-Identifier: MIT */
/* virtio-blk and its file: what the guest is told, bad files, limits, and sizes that change. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "test/unit/blk_rig.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(what_the_guest_is_told),
		BOTH(files_that_are_refused),
		BOTH(operations_are_limited),
		BOTH(bytes_are_limited),
		BOTH(the_disk_follows_its_file),
		cmocka_unit_test_setup_teardown(a_disk_in_use, setup_uring, teardown),
	};

	return cmocka_run_group_tests_name("blk_file", tests, NULL, NULL);
}
