/* SPDX-License-Identifier: MIT */
/* The host's file behind a disk: opening it, and why that cannot be done. */
#ifndef DEVICE_BLK_FILE_H
#define DEVICE_BLK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#define SECTOR 512ULL

struct blk_file {
	int fd;
	uint64_t sectors;
	uint32_t block_size; /* bytes of a logical block */
	bool punch; /* ranges can be given up */
	bool read_only;
};

/* 0, or -errno and *why as in blk_create(). */
int blk_file_open(struct blk_file *file, const char *path, bool read_only, const char **why);

/* Closes and so unlocks it; harmless if it is not open. */
void blk_file_close(struct blk_file *file);

#endif
