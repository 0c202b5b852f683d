/* SPDX-License-Identifier: MIT */
/* The guest's CPU: what CPUID tells it, which state it has, how fast its TSC runs. */
#ifndef MONITOR_CPU_H
#define MONITOR_CPU_H

#include <stdint.h>

#include "abi/lucid.h"

/*
 * Fills info->cpuid, info->cpuid_count and info->xcr0 from the host's CPU, less
 * what a space cannot do.
 */
void cpu_describe(struct lucid_info *info);

/*
 * The TSC's frequency in kHz, measured from cpu_tsc_begin() on: early, and asked for late, since
 * at least 8 ms have to pass.
 */
void cpu_tsc_begin(void);
uint64_t cpu_tsc_khz(void);

#endif
