/* SPDX-License-Identifier: MIT */
/* CPUID as the guest sees it. */
#include "monitor/cpu.h"

#include <cpuid.h>
#include <stdbool.h>
#include <string.h>

#include "monitor/cpu_cache.h"

#define BIT(n) (1u << (n))
#define ANY (~0u)

/* State components a guest gets: x87, SSE, AVX, AVX-512. Not PKRU (the stub's), not AMX. */
#define XCR0_GUEST 0xe7u

/* Kept of leaf 1 and 7: what works at CPL 3. The rest needs CPL 0, an APIC or MSRs. */
#define LEAF1_ECX_CLEAR                                                                            \
	(BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(15) |        \
		BIT(18) | BIT(21) | BIT(24))
#define LEAF1_ECX_SET (BIT(17) | BIT(27) | BIT(31)) /* PCID, OSXSAVE, hypervisor */
#define LEAF1_EDX_CLEAR                                                                            \
	(BIT(7) | BIT(9) | BIT(11) | BIT(12) | BIT(14) | BIT(16) | BIT(18) | BIT(21) | BIT(22) |   \
		BIT(28) | BIT(29) | BIT(30) | BIT(31))
#define LEAF1_EDX_SET BIT(13) /* PGE, which PCID needs */
#define LEAF7_EBX_KEEP                                                                             \
	(BIT(0) | BIT(3) | BIT(5) | BIT(8) | BIT(9) | BIT(16) | BIT(17) | BIT(18) | BIT(19) |      \
		BIT(21) | BIT(23) | BIT(24) | BIT(26) | BIT(27) | BIT(28) | BIT(29) | BIT(30) |    \
		BIT(31))
#define LEAF7_ECX_KEEP                                                                             \
	(BIT(1) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(25) |     \
		BIT(27) | BIT(28))
#define LEAF7_EDX_KEEP (BIT(2) | BIT(3) | BIT(4) | BIT(8) | BIT(14) | BIT(23))
#define LEAF7_1_EAX_KEEP (BIT(4) | BIT(5) | BIT(10) | BIT(11) | BIT(12) | BIT(23))
#define LEAFD_1_EAX_KEEP (BIT(0) | BIT(1) | BIT(2)) /* XSAVEOPT, XSAVEC, XGETBV(1) */
#define EXT1_ECX_KEEP (BIT(0) | BIT(5) | BIT(6) | BIT(7) | BIT(8) | BIT(11) | BIT(16) | BIT(21))
#define EXT1_EDX_KEEP                                                                              \
	(0x0183fbffu | BIT(11) | BIT(20) | BIT(22) | BIT(23) | BIT(24) | BIT(25) | BIT(26) |       \
		BIT(27) | BIT(29))
#define EXT1_EDX_CLEAR (BIT(7) | BIT(9) | BIT(12) | BIT(14) | BIT(16))
#define EXT7_EDX_KEEP BIT(8) /* invariant TSC */
#define EXT8_EBX_KEEP (BIT(0) | BIT(2)) /* CLZERO, XSAVEERPTR */
#define EXT21_EAX_KEEP (BIT(0) | BIT(2) | BIT(6))

struct leaf {
	unsigned eax, ebx, ecx, edx;
};

static struct leaf host(unsigned leaf, unsigned subleaf)
{
	struct leaf l;

	__cpuid_count(leaf, subleaf, l.eax, l.ebx, l.ecx, l.edx);
	return l;
}

static void add(struct lucid_info *info, unsigned leaf, unsigned subleaf, struct leaf l)
{
	if (info->cpuid_count == LUCID_CPUID_LEAVES)
		return;
	info->cpuid[info->cpuid_count++] =
		(struct lucid_cpuid){leaf, subleaf, l.eax, l.ebx, l.ecx, l.edx};
}

static void add_leaf_1(struct lucid_info *info)
{
	struct leaf l = host(1, 0);

	l.ebx = (l.ebx & 0xff00) | 1u << 16; /* APIC id 0, one logical CPU */
	l.ecx = (l.ecx & ~LEAF1_ECX_CLEAR) | LEAF1_ECX_SET;
	l.edx = (l.edx & ~LEAF1_EDX_CLEAR) | LEAF1_EDX_SET;
	add(info, 1, ANY, l);
}

static void add_leaf_7(struct lucid_info *info, bool avx512)
{
	struct leaf l = host(7, 0), l1 = host(7, 1);
	const unsigned avx512_ebx =
		BIT(16) | BIT(17) | BIT(21) | BIT(26) | BIT(27) | BIT(28) | BIT(30) | BIT(31);

	l.eax = 1;
	l.ebx &= LEAF7_EBX_KEEP;
	l.ecx &= LEAF7_ECX_KEEP;
	l.edx &= LEAF7_EDX_KEEP;
	if (!avx512) {
		l.ebx &= ~avx512_ebx;
		l.ecx &= ~(BIT(1) | BIT(6) | BIT(11) | BIT(12) | BIT(14));
		l.edx &= ~(BIT(2) | BIT(3) | BIT(8) | BIT(23));
	}
	add(info, 7, 0, l);
	add(info, 7, 1, (struct leaf){l1.eax & LEAF7_1_EAX_KEEP, 0, 0, 0});
}

/* Leaf 13: sizes recomputed for the components that are left. */
static void add_leaf_d(struct lucid_info *info, unsigned mask)
{
	unsigned standard = 576, compact = 576, i;
	struct leaf l1 = host(13, 1);

	for (i = 2; i < 32; i++) {
		struct leaf c;

		if (!(mask & BIT(i)))
			continue;
		c = host(13, i);
		if (c.ebx + c.eax > standard)
			standard = c.ebx + c.eax;
		if (c.ecx & 2)
			compact = (compact + 63) & ~63u;
		compact += c.eax;
	}
	add(info, 13, 0, (struct leaf){mask, standard, standard, 0});
	add(info, 13, 1, (struct leaf){l1.eax & LEAFD_1_EAX_KEEP, compact, 0, 0});
	for (i = 2; i < 32; i++)
		if (mask & BIT(i))
			add(info, 13, i, host(13, i));
}

/* Caches as one CPU sees them: shared with nobody. */
static void add_caches(struct lucid_info *info, unsigned leaf)
{
	unsigned i;

	for (i = 0; i < 8; i++) {
		struct leaf l = host(leaf, i);

		if (!(l.eax & 0x1f))
			break;
		l.eax &= 0x3fff;
		add(info, leaf, i, l);
	}
}

/* After leaf 4. */
static void add_leaf_2(struct lucid_info *info)
{
	struct lucid_cpuid l;

	if (cpu_cache_leaf(info, &l))
		add(info, 2, ANY, (struct leaf){l.eax, l.ebx, l.ecx, l.edx});
	else
		add(info, 2, ANY, host(2, 0));
}

static void add_extended(struct lucid_info *info, unsigned max)
{
	struct leaf l = host(0x80000001, 0);
	unsigned i;

	add(info, 0x80000000, ANY, (struct leaf){max, 0, 0, 0});
	l.ecx &= EXT1_ECX_KEEP;
	l.edx = l.edx & EXT1_EDX_KEEP & ~EXT1_EDX_CLEAR;
	add(info, 0x80000001, ANY, l);
	for (i = 0x80000002; i <= 0x80000006; i++)
		add(info, i, ANY, host(i, 0));
	add(info, 0x80000007, ANY, (struct leaf){0, 0, 0, host(0x80000007, 0).edx & EXT7_EDX_KEEP});
	l = host(0x80000008, 0);
	add(info, 0x80000008, ANY, (struct leaf){l.eax, l.ebx & EXT8_EBX_KEEP, 0, 0});
	if (max >= 0x80000021)
		add(info, 0x80000021, ANY,
			(struct leaf){host(0x80000021, 0).eax & EXT21_EAX_KEEP, 0, 0, 0});
}

static unsigned read_xcr0(void)
{
	unsigned eax, edx;

	__asm__("xgetbv" : "=a"(eax), "=d"(edx) : "c"(0));
	return eax;
}

void cpu_describe(struct lucid_info *info)
{
	unsigned mask = read_xcr0() & XCR0_GUEST;
	struct leaf l = host(0, 0);
	unsigned max_ext = host(0x80000000, 0).eax;
	struct leaf name;

	info->xcr0 = mask;
	info->cpuid_count = 0;
	add(info, 0, ANY, (struct leaf){13, l.ebx, l.ecx, l.edx});
	add_leaf_1(info);
	add_caches(info, 4);
	if (l.ebx == signature_INTEL_ebx)
		add_leaf_2(info);
	add_leaf_7(info, mask & BIT(5));
	add_leaf_d(info, mask);
	memcpy(&name.ebx, "LucidLucid\0\0", 12);
	add(info, 0x40000000, ANY, (struct leaf){0x40000000, name.ebx, name.ecx, name.edx});
	add_extended(info, max_ext >= 0x80000021 ? 0x80000021 : 0x80000008);
	if (max_ext >= 0x8000001d)
		add_caches(info, 0x8000001d);
}
