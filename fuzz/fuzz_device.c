/* SPDX-License-Identifier: MIT */
/* Each of the devices against a guest that does anything. */
#include "fuzz/guest.h"
#include "fuzz/input.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	guest_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	guest_run(data, size, NULL);
	guest_wipe();
	return 0;
}
