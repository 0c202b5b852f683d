/* SPDX-License-Identifier: MIT */
/* What a fuzzer gives, taken from the front; what is missing at its end is zeros. */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdint.h>
#include <string.h>

struct input {
	const uint8_t *at;
	size_t left;
};

/* The one function of a target, and what some do once before. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* Takes up to n bytes to dst; how many there were. */
static inline size_t input_bytes(struct input *in, void *dst, size_t n)
{
	size_t part = n < in->left ? n : in->left;

	memset(dst, 0, n);
	if (part > 0)
		memcpy(dst, in->at, part);
	in->at += part;
	in->left -= part;
	return part;
}

static inline uint64_t input_number(struct input *in, size_t bytes)
{
	uint64_t value = 0;

	input_bytes(in, &value, bytes);
	return value;
}

#endif
