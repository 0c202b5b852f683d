/* SPDX-License-Identifier: MIT */
/* x87, SSE, AVX and AVX-512 state as the CPU has it: set to a pattern, and looked at. */
#ifndef TEST_FPU_H
#define TEST_FPU_H

#include "guest/test/lib/test.h"

/* An XSAVE image, standard format. */
struct fpu {
	unsigned char bytes[4096];
} __attribute__((aligned(64)));

/* The components that tests use: of lucid_info.xcr0 those that take any bits. */
uint64_t fpu_mask(void);
/* A pattern in every register, with MXCSR and the x87 control word out of the ordinary. */
void fpu_pattern(struct fpu *fpu, uint64_t seed);
void fpu_load(const struct fpu *fpu);
void fpu_save(struct fpu *fpu);
/* Are they the same? Names the first difference otherwise, and fails. */
void fpu_compare(const struct fpu *is, const struct fpu *should, const char *when);

#endif
