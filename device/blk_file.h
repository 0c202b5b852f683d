/* SPDX-License-Identifier: MIT */
/* The host's file behind a disk: opening it, and why that cannot be done. */
#ifndef DEVICE_BLK_FILE_H
#define DEVICE_BLK_FILE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

#define SECTOR 512ULL

struct blk_file {
	int fd;
	uint64_t sectors;
	uint32_t block_size; /* bytes of a logical block */
	bool punch; /* ranges can be given up */
	bool read_only;
	/* blk_file_watch()'s */
	int watch; /* inotify, or -1 */
	struct loop *loop;
	void (*resized)(void *arg);
	void *resized_arg;
};

/* 0, or -errno and *why as in blk_create(). */
int blk_file_open(struct blk_file *file, const char *path, bool read_only, const char **why);

/*
 * Opens path for reading, and writing unless read_only, and locks it against a second machine.
 * The descriptor, or -errno and *why.
 */
int blk_file_lock(const char *path, bool read_only, const char **why);

/*
 * Measures the file anew whenever somebody closes it who had it open for writing,
 * and calls resized if it has another size, and one that a disk can have. Where
 * the host cannot tell, the size stays.
 */
void blk_file_watch(struct blk_file *file, struct loop *loop, const char *path,
	void (*resized)(void *arg), void *arg);

/* Closes and so unlocks it; harmless if it is not open. */
void blk_file_close(struct blk_file *file);

#endif
