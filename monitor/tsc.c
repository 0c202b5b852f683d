/* SPDX-License-Identifier: MIT */
/* The TSC's frequency. */
#define _GNU_SOURCE
#include <cpuid.h>
#include <linux/perf_event.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include "monitor/cpu.h"

#define NSEC_PER_SEC 1000000000ull
#define MEASURE_NS 10000000ull

/* The host kernel's own scale, through the page of a software event. 0: not to be had. */
static uint64_t from_perf(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.disabled = 1,
		.exclude_kernel = 1,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	struct perf_event_mmap_page *page;
	uint64_t khz = 0;

	if (fd < 0)
		return 0;
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
	if (page != MAP_FAILED) {
		if (page->cap_user_time && page->time_mult)
			khz = (1000000ull << page->time_shift) / page->time_mult;
		munmap(page, 4096);
	}
	close(fd);
	return khz;
}

/* CPUID leaf 15h, or the hypervisors' leaf 40000010h. */
static uint64_t from_cpuid(void)
{
	unsigned eax, ebx, ecx, edx;

	if (__get_cpuid(0x15, &eax, &ebx, &ecx, &edx) && eax && ebx && ecx)
		return (uint64_t)ecx * ebx / eax / 1000;
	__cpuid(1, eax, ebx, ecx, edx);
	if (!(ecx & (1u << 31)))
		return 0;
	__cpuid(0x40000000, eax, ebx, ecx, edx);
	if (eax < 0x40000010)
		return 0;
	__cpuid(0x40000010, eax, ebx, ecx, edx);
	return eax;
}

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC_RAW, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

static uint64_t measure(void)
{
	uint64_t ns = now_ns(), tsc = __rdtsc(), ns2;

	do
		ns2 = now_ns();
	while (ns2 - ns < MEASURE_NS);
	return (__rdtsc() - tsc) * 1000000 / (ns2 - ns);
}

uint64_t cpu_tsc_khz(void)
{
	uint64_t khz = from_perf();

	if (!khz)
		khz = from_cpuid();
	return khz ? khz : measure();
}
