/* SPDX-License-Identifier: MIT */
/* Caches in the words of CPUID leaf 2. */
#ifndef MONITOR_CPU_CACHE_H
#define MONITOR_CPU_CACHE_H

#include <stdbool.h>

#include "abi/lucid.h"

/*
 * Makes a leaf 2 of what info->cpuid has of leaf 4: of each cache the descriptor of the largest
 * size that is not above its own. false: it has nothing of leaf 4, or a cache has none.
 */
bool cpu_cache_leaf(const struct lucid_info *info, struct lucid_cpuid *leaf);

#endif
