/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon: memory that the guest gives up on request, what it reports as free, and what
 * it tells of its memory. All that it gives is punched out of RAM.
 */
#ifndef DEVICE_BALLOON_H
#define DEVICE_BALLOON_H

#include <stdbool.h>
#include <stdint.h>

#include "device/bus.h"

struct balloon;

/* What the guest last told; zeros as long as it has told nothing. Any values. */
struct balloon_stats {
	uint64_t total, free, available, caches; /* bytes */
	uint64_t count; /* how often it has told */
};

/* told, which may be NULL, is called from the loop when new statistics have come. */
struct balloon *balloon_create(struct bus *bus, void (*told)(void *arg), void *arg);

/* Asks the guest to give up as many bytes in all, a multiple of 4 KiB. */
void balloon_set(struct balloon *balloon, uint64_t bytes);
uint64_t balloon_target(const struct balloon *balloon);
/* What it says to have given up: at most the target or what was once asked. */
uint64_t balloon_actual(const struct balloon *balloon);

/* Asks for statistics; no effect while the guest still owes some. */
void balloon_ask(struct balloon *balloon);
const struct balloon_stats *balloon_stats(const struct balloon *balloon);

/* Bytes that were punched out because the guest reported them free. */
uint64_t balloon_reported(const struct balloon *balloon);

#endif
