/* SPDX-License-Identifier: MIT */
/*
 * Leaf 2 of new CPUs says "see leaf 4", and so glibc asks both leaves some fifty times at the
 * start of each program, of which each is a fault here. Descriptors of the old kind spare it two
 * thirds of that. The sizes that they can tell are at most the real ones, which leaf 4 has.
 */
#include "monitor/cpu_cache.h"

#include <stddef.h>
#include <stdint.h>

/* Types of leaf 4. */
#define DATA 1
#define CODE 2
#define UNIFIED 3

static const struct {
	unsigned char level, type, code;
	unsigned kib;
} descriptors[] = {
	{1, DATA, 0x0d, 16},
	{1, DATA, 0x0e, 24},
	{1, DATA, 0x2c, 32},
	{1, CODE, 0x08, 16},
	{1, CODE, 0x30, 32},
	{2, UNIFIED, 0x21, 256},
	{2, UNIFIED, 0x7f, 512},
	{2, UNIFIED, 0x78, 1024},
	{2, UNIFIED, 0x7d, 2048},
	{2, UNIFIED, 0x48, 3072},
	{2, UNIFIED, 0x4e, 6144},
	{3, UNIFIED, 0x22, 512},
	{3, UNIFIED, 0x23, 1024},
	{3, UNIFIED, 0x25, 2048},
	{3, UNIFIED, 0x29, 4096},
	{3, UNIFIED, 0x4a, 6144},
	{3, UNIFIED, 0xe4, 8192},
	{3, UNIFIED, 0xea, 12288},
	{3, UNIFIED, 0xeb, 18432},
	{3, UNIFIED, 0xec, 24576},
};

static unsigned size_kib(const struct lucid_cpuid *c)
{
	uint64_t ways = (c->ebx >> 22) + 1, partitions = (c->ebx >> 12 & 0x3ff) + 1;
	uint64_t line = (c->ebx & 0xfff) + 1, sets = (uint64_t)c->ecx + 1;

	return (unsigned)(ways * partitions * line * sets / 1024);
}

/* 0: there is none. */
static unsigned char descriptor(unsigned level, unsigned type, unsigned kib)
{
	unsigned char code = 0;

	for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
		if (descriptors[i].level == level && descriptors[i].type == type &&
			descriptors[i].kib <= kib)
			code = descriptors[i].code;
	return code;
}

bool cpu_cache_leaf(const struct lucid_info *info, struct lucid_cpuid *leaf)
{
	unsigned code[4] = {0}, found = 0;

	for (unsigned i = 0; i < info->cpuid_count; i++) {
		const struct lucid_cpuid *c = &info->cpuid[i];
		unsigned type = c->eax & 0x1f, level = c->eax >> 5 & 7;

		if (c->leaf != 4 || !type)
			continue;
		if (found == sizeof(code) / sizeof(code[0]))
			return false;
		code[found] = descriptor(level, type, size_kib(c));
		if (!code[found++])
			return false;
	}
	*leaf = (struct lucid_cpuid){.leaf = 2, .subleaf = ~0u};
	/* One round; bit 31 of a register says that there is nothing in it. */
	leaf->eax = 1 | code[0] << 8 | code[1] << 16;
	leaf->ebx = code[2] | code[3] << 8;
	return found > 0;
}
