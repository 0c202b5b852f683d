/* SPDX-License-Identifier: MIT */
/* The guest's CPUID: caches in the words of leaf 2. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "monitor/cpu.h"
#include "monitor/cpu_cache.h"

static int set_up(void **state)
{
	*state = calloc(1, sizeof(struct lucid_info));
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void cache(
	struct lucid_info *info, unsigned level, unsigned type, unsigned ways, unsigned sets)
{
	info->cpuid[info->cpuid_count] = (struct lucid_cpuid){.leaf = 4,
		.subleaf = info->cpuid_count,
		.eax = type | level << 5,
		.ebx = (ways - 1) << 22 | 63,
		.ecx = sets - 1};
	info->cpuid_count++;
}

static void test_describes(void **state)
{
	struct lucid_info *info = *state;
	struct lucid_cpuid leaf;

	cache(info, 1, 1, 12, 64); /* 48 KiB: 32 */
	cache(info, 1, 2, 8, 64); /* 32 KiB */
	cache(info, 2, 3, 16, 2048); /* 2 MiB */
	cache(info, 3, 3, 20, 212992); /* 260 MiB: 24 */
	assert_true(cpu_cache_leaf(info, &leaf));
	assert_int_equal(leaf.leaf, 2);
	assert_int_equal(leaf.eax, 0x00302c01);
	assert_int_equal(leaf.ebx, 0x0000ec7d);
	assert_int_equal(leaf.ecx, 0);
	assert_int_equal(leaf.edx, 0);
}

static void test_gives_up(void **state)
{
	struct lucid_info *info = *state;
	struct lucid_cpuid leaf;

	assert_false(cpu_cache_leaf(info, &leaf));
	cache(info, 1, 1, 1, 64); /* 4 KiB: no descriptor is as small */
	assert_false(cpu_cache_leaf(info, &leaf));
	info->cpuid_count = 0;
	for (unsigned i = 0; i < 4; i++)
		cache(info, 3, 3, 16, 16384);
	assert_true(cpu_cache_leaf(info, &leaf));
	cache(info, 3, 3, 16, 16384); /* no room */
	assert_false(cpu_cache_leaf(info, &leaf));
	info->cpuid_count = 0;
	cache(info, 4, 3, 16, 16384); /* a level that it has no words for */
	assert_false(cpu_cache_leaf(info, &leaf));
}

static const struct lucid_cpuid *find(const struct lucid_info *info, unsigned leaf)
{
	for (unsigned i = 0; i < info->cpuid_count; i++)
		if (info->cpuid[i].leaf == leaf)
			return &info->cpuid[i];
	return NULL;
}

/* A byte 0xff sends glibc to leaf 4 for each of its questions. */
static void test_of_this_host(void **state)
{
	struct lucid_info *info = *state;
	const struct lucid_cpuid *leaf;
	struct lucid_cpuid made;

	cpu_describe(info);
	assert_true(info->cpuid_count < LUCID_CPUID_LEAVES);
	leaf = find(info, 2);
	if (!leaf || !cpu_cache_leaf(info, &made))
		skip();
	assert_int_equal(leaf->eax & 0xff, 1);
	assert_memory_equal(leaf, &made, sizeof(made));
	for (unsigned i = 0; i < 32; i += 8) {
		assert_int_not_equal(leaf->eax >> i & 0xff, 0xff);
		assert_int_not_equal(leaf->ebx >> i & 0xff, 0xff);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_describes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gives_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_of_this_host, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
