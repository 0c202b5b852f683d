/* SPDX-License-Identifier: MIT */
/*
 * How much memory a machine has: a balloon below the size that it booted with, virtio-mem above
 * it, and who decides: the user (`lucid memory`), the guest's need, its idleness, the host's
 * need.
 */
#ifndef MONITOR_MEMORY_H
#define MONITOR_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "device/balloon.h"
#include "device/bus.h"

struct memory;

struct memory_config {
	uint64_t boot; /* bytes from the start, a multiple of 2 MiB */
	uint64_t max; /* greatest, the same if it does not grow */
	bool host_pressure; /* --balloon auto */
};

/* Of a machine: how much RAM has to be made for it. */
uint64_t memory_ram_size(const struct memory_config *config);

/* Makes the devices on the bus. NULL after a reported error. */
struct memory *memory_create(struct bus *bus, const struct memory_config *config);
/* Before loop_destroy(); the devices are the bus's. */
void memory_destroy(struct memory *memory);

/* The least that a machine can be asked to shrink to. */
#define MEMORY_LEAST (32ULL << 20)

/* The user's wish. -ERANGE: less than MEMORY_LEAST or more than the greatest. */
int memory_set(struct memory *memory, uint64_t bytes);
uint64_t memory_target(const struct memory *memory);
/* What the guest has now. */
uint64_t memory_now(const struct memory *memory);
uint64_t memory_max(const struct memory *memory);

/*
 * LUCID_MC_MEMORY: the guest is short of memory, at its last if urgent. How many bytes are on
 * their way to it. Arguments are untrusted.
 */
uint64_t memory_pressure(struct memory *memory, uint64_t available, uint64_t total, bool urgent);

/* Asks the guest for its figures, so that they are fresh when next looked at. */
void memory_ask(struct memory *memory);
const struct balloon_stats *memory_stats(const struct memory *memory);
uint64_t memory_reported(const struct memory *memory);

#endif
