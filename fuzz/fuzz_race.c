/* SPDX-License-Identifier: MIT */
/* The same guest with a second CPU, which changes bytes of its memory all the time. */
#include "fuzz/guest.h"
#include "fuzz/input.h"
#include "fuzz/second_cpu.h"

#define TURNS 8 /* of each program: the second CPU has to hit the moment */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	guest_init();
	second_cpu_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; i < TURNS; i++)
		guest_run(data, size, second_cpu_flip);
	second_cpu_rest();
	guest_wipe();
	return 0;
}
