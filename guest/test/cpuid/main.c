/* SPDX-License-Identifier: MIT */
/*
 * Purpose: where the host can make CPUID fault, it answers from the information page, to user and
 * kernel mode alike, and touches no other register; unknown leaves are zero.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

BLOB(ask, "cpuid\nud2");

static const struct lucid_cpuid *find(unsigned leaf, unsigned subleaf)
{
	unsigned i;

	for (i = 0; i < info->cpuid_count; i++)
		if (info->cpuid[i].leaf == leaf &&
			(info->cpuid[i].subleaf == subleaf || info->cpuid[i].subleaf == ~0u))
			return &info->cpuid[i];
	return NULL;
}

static void compare(unsigned leaf, unsigned subleaf, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
	static const struct lucid_cpuid none;
	const struct lucid_cpuid *is = find(leaf, subleaf);

	is = is ? is : &none;
	if (is->eax != a || is->ebx != b || is->ecx != c || is->edx != d)
		failure("leaf %x subleaf %x: %x %x %x %x", (uint64_t)leaf, (uint64_t)subleaf, a, b,
			c, d);
}

static void one(unsigned leaf, unsigned subleaf)
{
	const struct lucid_frame regs = {.rax = leaf, .rcx = subleaf, .rdi = 5, .r11 = 6, .rbp = 7};
	uint64_t a = leaf, b, c = subleaf, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	compare(leaf, subleaf, a, b, c, d);
	user_run(&regs);
	check_eq(trapped.vector, LUCID_VEC_UD);
	compare(leaf, subleaf, trapped.frame.rax, trapped.frame.rbx, trapped.frame.rcx,
		trapped.frame.rdx);
	check_eq(trapped.frame.rdi, 5);
	check_eq(trapped.frame.r11, 6);
	check_eq(trapped.frame.rbp, 7);
	check_eq(trapped.frame.rip, USER_CODE + 2);
}

void test_main(void)
{
	unsigned i;

	check(info->cpuid_count > 0 && info->cpuid_count <= LUCID_CPUID_LEAVES);
	check(find(0, 0));
	check(find(1, 0));
	check(find(0x80000000, 0));
	if (!(info->features & LUCID_FEATURE_CPUID))
		skip("this host cannot make CPUID fault");
	user_space(ask, BLOB_SIZE(ask), 0);
	for (i = 0; i < info->cpuid_count; i++)
		one(info->cpuid[i].leaf,
			info->cpuid[i].subleaf == ~0u ? 3 : info->cpuid[i].subleaf);
	one(0x12345678, 0);
	one(0x40000000, 0);
	one(0x8fffffff, ~0u);
}
