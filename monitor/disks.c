/* SPDX-License-Identifier: MIT */
/* Makes each disk by its kind. */
#include "monitor/disks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/blk.h"

struct disks {
	struct storage storage[VM_DISKS_MAX];
	unsigned count; /* of images that are served */
};

static void server_gone(void *arg)
{
	struct storage *s = arg;
	const char *line = storage_complaint(s);

	storage_kill(s);
	log_warn("the server of disk %s has ended%s%s; the guest gets I/O errors there",
		s->disk->path, line[0] ? ": " : "", line);
}

static bool create_served(struct bus *bus, struct storage *s, unsigned flags,
	const struct blk_limits *limits, const char **why)
{
	int socket = storage_start(s, why);

	if (socket < 0)
		return false;
	/* Until the device is there an end is no news but an error. */
	if (blk_create_vhost(bus, socket, s->disk->path, flags, limits, server_gone, s, why))
		return true;
	if (errno == EPIPE || errno == ECONNRESET)
		*why = storage_complaint(s);
	if (!(*why)[0])
		*why = "its server has ended";
	return false;
}

static int create(struct disks *disks, struct bus *bus, const struct vm_disk *disk,
	const struct blk_limits *limits, struct helpers *helpers)
{
	const unsigned flags = disk->read_only ? BLK_READ_ONLY : 0;
	const char *why, *format = disk->format ? disk->format : disk_format(disk->path, &why);
	struct storage *s = &disks->storage[disks->count];

	if (!format) {
		log_error("disk %s: %s", disk->path, why);
		return -1;
	}
	if (strcmp(format, "raw") == 0) {
		if (blk_create(bus, disk->path, flags, limits, &why))
			return 0;
		log_error("disk %s: %s; give a disk image or a block device", disk->path, why);
		return -1;
	}
	*s = (struct storage){
		.disk = disk, .format = format, .helpers = helpers, .lock = -1, .errors = -1};
	disks->count++;
	if (create_served(bus, s, flags, limits, &why))
		return 0;
	log_error("disk %s: %s%s", disk->path, why,
		strchr(why, ';') ? "" : "; give a sound image of the format that it says");
	return -1;
}

struct disks *disks_create(struct bus *bus, const struct vm_config *config, struct helpers *helpers)
{
	const struct blk_limits limits = {config->iops, config->bandwidth};
	struct disks *disks = calloc(1, sizeof(*disks));

	if (!disks) {
		log_error("disks: %s", strerror(ENOMEM));
		return NULL;
	}
	for (unsigned i = 0; i < config->disks; i++) {
		if (create(disks, bus, &config->disk[i], &limits, helpers) < 0) {
			disks_destroy(disks);
			return NULL;
		}
	}
	return disks;
}

void disks_destroy(struct disks *disks)
{
	for (unsigned i = 0; disks && i < disks->count; i++)
		storage_end(&disks->storage[i]);
	free(disks);
}
