/* SPDX-License-Identifier: MIT */
/* Makes a disk: on a file of the host, or on one that another process serves. */
#include <errno.h>
#include <linux/virtio_ids.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/log.h"
#include "device/blk_state.h"

/* Also takes back what blk_create() had made when it failed. */
void blk_free(struct blk *blk)
{
	throttle_fini(&blk->throttle);
	if (blk->io)
		blk_io_destroy(blk->io);
	if (blk->vhost)
		blk_vhost_destroy(blk->vhost);
	blk_file_close(&blk->file);
	free(blk->request);
	free(blk);
}

static void describe(struct blk *blk)
{
	uint64_t features = 1ULL << VIRTIO_BLK_F_SEG_MAX | 1ULL << VIRTIO_BLK_F_BLK_SIZE;

	blk->config = (struct virtio_blk_config){
		.capacity = blk->file.sectors,
		.seg_max = SEGMENTS,
		.blk_size = blk->file.block_size,
	};
	features |= 1ULL << (blk->read_only ? VIRTIO_BLK_F_RO : VIRTIO_BLK_F_FLUSH);
	if (!blk->read_only && blk->zero_max) {
		features |= 1ULL << VIRTIO_BLK_F_WRITE_ZEROES;
		blk->config.max_write_zeroes_sectors = blk->zero_max;
		blk->config.max_write_zeroes_seg = 1;
		blk->config.write_zeroes_may_unmap = blk->discard_max > 0;
	}
	if (!blk->read_only && blk->discard_max) {
		features |= 1ULL << VIRTIO_BLK_F_DISCARD;
		blk->config.max_discard_sectors = blk->discard_max;
		blk->config.max_discard_seg = 1;
		blk->config.discard_sector_alignment = blk->file.block_size / SECTOR;
	}
	blk->dev = (struct device){
		.ops = &blk_ops,
		.name = "blk",
		.id = VIRTIO_ID_BLOCK,
		.offered = features,
		.config = &blk->config,
		.config_size = sizeof(blk->config),
		.queues = 1,
		.queue_max = BLK_QUEUE_SIZE,
	};
}

static int open_own(struct blk *blk, struct bus *bus, const char *path, bool sync, const char **why)
{
	struct blk_io_user user = {.done = blk_done, .batch_done = blk_batch_done, .arg = blk};
	int r = blk_file_open(&blk->file, path, blk->read_only, why);

	if (r < 0)
		return r;
	blk->holes = blk->file.punch;
	blk->zero_max = ZERO_SECTORS;
	blk->discard_max = blk->file.punch ? DISCARD_SECTORS : 0;
	*why = "not enough memory or file descriptors";
	blk->io = blk_io_create(bus->loop, blk->file.fd, BLK_QUEUE_SIZE, sync, &user);
	return blk->io ? 0 : -errno;
}

static uint32_t at_most(uint32_t value, uint32_t most)
{
	return value < most ? value : most;
}

/* What another process says of its disk is believed as far as a disk can be so. */
static int take_description(
	struct blk *blk, const struct virtio_blk_config *config, uint64_t features)
{
	uint32_t block =
		features >> VIRTIO_BLK_F_BLK_SIZE & 1 ? config->blk_size : (uint32_t)SECTOR;
	bool read_only = features >> VIRTIO_BLK_F_RO & 1;

	if (config->capacity == 0 || config->capacity > INT64_MAX / SECTOR || block < SECTOR ||
		block > 4096 || (block & (block - 1)) != 0 || (read_only && !blk->read_only))
		return -EPROTO;
	blk->file.sectors = config->capacity;
	blk->file.block_size = block;
	if (features >> VIRTIO_BLK_F_DISCARD & 1)
		blk->discard_max = at_most(config->max_discard_sectors, DISCARD_SECTORS);
	if (features >> VIRTIO_BLK_F_WRITE_ZEROES & 1)
		blk->zero_max = at_most(config->max_write_zeroes_sectors, ZERO_SECTORS);
	return 0;
}

static int open_vhost(struct blk *blk, struct bus *bus, int socket, void (*gone)(void *arg),
	void *arg, const char **why)
{
	struct blk_io_user user = {.done = blk_done, .batch_done = blk_batch_done, .arg = blk};
	struct virtio_blk_config config;
	uint64_t features;

	*why = "its server does not answer as it should";
	blk->vhost = blk_vhost_create(bus->loop, bus->ram, socket, gone, arg, &config, &features);
	if (!blk->vhost)
		return -errno;
	int r = take_description(blk, &config, features);
	if (r < 0)
		return r;
	*why = "not enough memory";
	blk->io = blk_io_vhost(bus->loop, blk->vhost, &user);
	return blk->io ? 0 : -ENOMEM;
}

/* The rest, whoever serves it. */
static int set_up_blk(
	struct blk *blk, struct bus *bus, const struct blk_limits *limits, const char **why)
{
	*why = "not enough memory or file descriptors";
	blk->request = calloc(BLK_QUEUE_SIZE, sizeof(*blk->request));
	if (!blk->request)
		return -ENOMEM;
	int r = throttle_init(&blk->throttle, bus->loop, limits ? limits->iops : 0,
		limits ? limits->bandwidth : 0, blk_on_throttle, blk);
	if (r < 0)
		return r;
	describe(blk);
	r = device_init(&blk->dev, bus);
	if (r == -ENOSPC)
		*why = "there are too many devices";
	return r;
}

static struct blk *new_blk(unsigned flags, const char **why)
{
	struct blk *blk = calloc(1, sizeof(*blk));

	if (!blk) {
		*why = "not enough memory";
		return NULL;
	}
	blk->file.fd = blk->file.watch = -1;
	blk->throttle.timer = -1;
	blk->read_only = flags & BLK_READ_ONLY;
	return blk;
}

static void tell(const struct blk *blk, const char *path)
{
	log_info("disk %u: %s, %llu MiB%s%s", blk->dev.place, path,
		(unsigned long long)(blk->file.sectors >> 11), blk->read_only ? ", read-only" : "",
		blk_io_is_async(blk->io) ? "" : ", without io_uring");
}

/* r: how opening it went. The device, or NULL with errno and *why. */
static struct device *finish_blk(struct blk *blk, int r, struct bus *bus, const char *path,
	const struct blk_limits *limits, const char **why)
{
	if (r == 0)
		r = set_up_blk(blk, bus, limits, why);
	if (r < 0) {
		blk_free(blk);
		errno = -r;
		return NULL;
	}
	tell(blk, path);
	return &blk->dev;
}

struct device *blk_create(struct bus *bus, const char *path, unsigned flags,
	const struct blk_limits *limits, const char **why)
{
	struct blk *blk = new_blk(flags, why);

	if (!blk)
		return NULL;
	int r = open_own(blk, bus, path, flags & BLK_SYNC, why);
	struct device *dev = finish_blk(blk, r, bus, path, limits, why);
	if (dev && !blk->read_only)
		blk_file_watch(&blk->file, bus->loop, path, blk_on_resize, blk);
	return dev;
}

struct device *blk_create_vhost(struct bus *bus, int socket, const char *path, unsigned flags,
	const struct blk_limits *limits, void (*gone)(void *arg), void *arg, const char **why)
{
	struct blk *blk = new_blk(flags, why);

	if (!blk) {
		close(socket);
		return NULL;
	}
	int r = open_vhost(blk, bus, socket, gone, arg, why);
	return finish_blk(blk, r, bus, path, limits, why);
}
