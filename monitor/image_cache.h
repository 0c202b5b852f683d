/* SPDX-License-Identifier: MIT */
/* The cache of erofs images made from directories and archives. */
#ifndef MONITOR_IMAGE_CACHE_H
#define MONITOR_IMAGE_CACHE_H

#include <stdint.h>

#include "monitor/image.h"

/*
 * Finds or makes the image of the directory or archive at the absolute path
 * source. 0, or -1 after a reported error; see image_prepare() for the rest.
 */
int image_cache_get(struct image *image, const char *source, enum image_kind kind);

#endif
