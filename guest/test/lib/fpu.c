/* SPDX-License-Identifier: MIT */
/* Patterns in the FPU's registers. */
#include "guest/test/lib/fpu.h"

#define X87 (1ull << 0)
#define SSE (1ull << 1)
#define AVX (1ull << 2)
#define AVX512 (7ull << 5)

#define FCW 0
#define MXCSR 24
#define ST 32
#define XMM 160
#define HEADER 512
#define EXTENDED 576

uint64_t fpu_mask(void)
{
	return info->xcr0 & (X87 | SSE | AVX | AVX512);
}

static void cpuid(unsigned leaf, unsigned subleaf, unsigned *eax, unsigned *ebx)
{
	unsigned ecx = subleaf, edx;

	*eax = leaf;
	__asm__ volatile("cpuid" : "+a"(*eax), "=b"(*ebx), "+c"(ecx), "=d"(edx));
}

static void scatter(struct fpu *fpu, size_t at, size_t size, uint64_t *state)
{
	size_t i;

	if (at + size > sizeof(fpu->bytes))
		failure("XSAVE state of %u bytes", at + size);
	for (i = at; i < at + size; i++) {
		*state = *state * 6364136223846793005ull + 1442695040888963407ull;
		fpu->bytes[i] = (unsigned char)(*state >> 56);
	}
}

void fpu_pattern(struct fpu *fpu, uint64_t seed)
{
	uint64_t mask = fpu_mask(), state = seed;
	unsigned i, size, offset;

	for (i = 0; i < sizeof(fpu->bytes); i++)
		((volatile unsigned char *)fpu->bytes)[i] = 0;
	*(uint16_t *)(fpu->bytes + FCW) = seed & 1 ? 0x27f : 0xf7f;
	fpu->bytes[4] = 0xff; /* all x87 registers in use */
	*(uint32_t *)(fpu->bytes + MXCSR) = seed & 1 ? 0x3f80 : 0xdfbf;
	for (i = 0; i < 8; i++)
		scatter(fpu, ST + 16 * i, 10, &state);
	scatter(fpu, XMM, 256, &state);
	for (i = 2; i < 8; i++) {
		if (!(mask >> i & 1))
			continue;
		cpuid(13, i, &size, &offset);
		if (offset < EXTENDED)
			failure("component %u at %u", (uint64_t)i, (uint64_t)offset);
		scatter(fpu, offset, size, &state);
	}
	*(uint64_t *)(fpu->bytes + HEADER) = mask;
}

void fpu_load(const struct fpu *fpu)
{
	uint64_t mask = fpu_mask();

	__asm__ volatile(
		"xrstor64 %0" ::"m"(*fpu), "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)));
}

void fpu_save(struct fpu *fpu)
{
	uint64_t mask = fpu_mask();
	unsigned i;

	for (i = 0; i < sizeof(fpu->bytes); i++)
		((volatile unsigned char *)fpu->bytes)[i] = 0;
	__asm__ volatile("xsave64 %0"
			 : "+m"(*fpu)
			 : "a"((uint32_t)mask), "d"((uint32_t)(mask >> 32)));
}

static void same(const struct fpu *is, const struct fpu *should, size_t at, size_t size,
	const char *what, const char *when)
{
	size_t i;

	for (i = at; i < at + size; i++)
		if (is->bytes[i] != should->bytes[i])
			failure("%s: %s: byte %u is %x, not %x", when, what, i - at,
				(uint64_t)is->bytes[i], (uint64_t)should->bytes[i]);
}

void fpu_compare(const struct fpu *is, const struct fpu *should, const char *when)
{
	unsigned i, size, offset;

	same(is, should, FCW, 2, "x87 control word", when);
	same(is, should, 4, 1, "x87 tags", when);
	same(is, should, MXCSR, 4, "MXCSR", when);
	for (i = 0; i < 8; i++)
		same(is, should, ST + 16 * i, 10, "x87 registers", when);
	same(is, should, XMM, 256, "SSE registers", when);
	for (i = 2; i < 8; i++) {
		if (!(fpu_mask() >> i & 1))
			continue;
		cpuid(13, i, &size, &offset);
		same(is, should, offset, size, i == 2 ? "AVX registers" : "AVX-512 registers",
			when);
	}
}
