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

/* The TSC's frequency in kHz, from the host's kernel where it tells, else measured. */
uint64_t cpu_tsc_khz(void);

#endif
