/* SPDX-License-Identifier: MIT */
/*
 * The TSC's frequency, by the host's clock that nobody adjusts: over the time that a machine takes
 * to be set up, to about two millionths. The host's kernel would tell its own figure through a
 * perf event, but to open and close one takes 30 ms.
 */
#define _GNU_SOURCE
#include <time.h>
#include <x86intrin.h>

#include "monitor/cpu.h"

#define NSEC_PER_SEC 1000000000ull
#define LEAST_NS 8000000ull
#define TRIES 16

struct moment {
	uint64_t ns, tsc;
};

static struct moment begun;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Both clocks at once: of some tries the one that was interrupted least. */
static struct moment look(void)
{
	struct moment best = {0};
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < TRIES; i++) {
		uint64_t before = __rdtsc(), ns = now_ns(), took = __rdtsc() - before;

		if (took < least) {
			least = took;
			best = (struct moment){ns, before + took / 2};
		}
	}
	return best;
}

void cpu_tsc_begin(void)
{
	begun = look();
}

uint64_t cpu_tsc_khz(void)
{
	struct moment now;
	uint64_t ns;

	do {
		now = look();
		ns = now.ns - begun.ns;
	} while (ns < LEAST_NS);
	return ((now.tsc - begun.tsc) * 1000000 + ns / 2) / ns;
}
