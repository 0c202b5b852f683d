/* SPDX-License-Identifier: MIT */
/* The state of a root source: a number that any change of it changes. */
#ifndef MONITOR_IMAGE_STATE_H
#define MONITOR_IMAGE_STATE_H

#include <stdint.h>

#include "monitor/image.h"

struct image_state {
	uint64_t hash;
	char **skip; /* NULL-terminated: folders below whose content does not go in */
	unsigned skips;
};

/*
 * Takes the state of the directory or archive at source. Other file systems
 * below a directory (/proc and the like) stay out of it, and so does the folder
 * cache. 0, or -1 after a reported error. image_state_free() in either case.
 */
int image_state_take(
	struct image_state *state, const char *source, enum image_kind kind, const char *cache);
void image_state_free(struct image_state *state);

/* Reports the first file below source that may not be read; false if there is none. */
bool image_state_blame(const char *source);

/* FNV-1a, 64 bits, over one thing more; begin with IMAGE_HASH_INIT. */
#define IMAGE_HASH_INIT 0xcbf29ce484222325ULL
uint64_t image_hash_string(uint64_t hash, const char *s);
uint64_t image_hash_number(uint64_t hash, uint64_t number);

#endif
