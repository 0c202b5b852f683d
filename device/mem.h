/* SPDX-License-Identifier: MIT */
/*
 * virtio-mem: memory that comes and goes in blocks of 2 MiB, in a region of RAM that the guest
 * does not have from the start.
 */
#ifndef DEVICE_MEM_H
#define DEVICE_MEM_H

#include <stdint.h>

#include "device/bus.h"

#define MEM_BLOCK (2ULL << 20)
/* The region begins and ends at multiples of this: what Linux adds at once. */
#define MEM_ALIGN (128ULL << 20)

struct mem;

/* A region [base, base + size) of RAM. NULL and errno on failure. */
struct mem *mem_create(struct bus *bus, uint64_t base, uint64_t size);

/* Asks the guest to have as many bytes of it, a multiple of MEM_BLOCK up to the region's size. */
void mem_set(struct mem *mem, uint64_t bytes);
uint64_t mem_target(const struct mem *mem);
/* What it has. */
uint64_t mem_plugged(const struct mem *mem);

#endif
