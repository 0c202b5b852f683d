/* SPDX-License-Identifier: MIT */
/* Guest kernels: ELF images into RAM, and the initial RAM disk behind them. */
#ifndef MONITOR_LOAD_H
#define MONITOR_LOAD_H

#include <stdint.h>

#include "base/ram.h"
#include "space/space.h"

/* What a loaded image tells about itself. */
struct load_image {
	uint64_t entry; /* virtual address to start at */
	uint64_t end; /* first physical address after it, page-aligned */
	struct space_segment segment[SPACE_SEGMENTS];
	unsigned segments;
};

/*
 * Loads the ELF file at path, whose note must be for this ABI version. On failure
 * -1, and *why is one line without a newline that fits after "kernel PATH".
 */
int load_kernel(
	const struct ram *ram, const char *path, struct load_image *image, const char **why);

/*
 * Reads count files to physical address at, one after another, each padded to 4
 * bytes as cpio wants. Returns the size; -1 with *why and *which set.
 */
int64_t load_initrd(const struct ram *ram, uint64_t at, const char *const *path, unsigned count,
	const char **why, unsigned *which);

#endif
