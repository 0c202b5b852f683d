/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a console ring with figures made up: the monitor reads no more than there is.
 * Expected: success.
 */
#include "guest/test/lib/test.h"

void test_main(void)
{
	static const uint64_t odd[] = {0, 1, LUCID_CONSOLE_DATA, LUCID_CONSOLE_DATA + 1, 1ull << 32,
		1ull << 63, ~0ull, ~0ull - LUCID_CONSOLE_DATA, 0x1234567};
	volatile struct lucid_console *console = (void *)LUCID_CONSOLE_ADDR;
	unsigned i;

	for (i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		console->produced = odd[i];
		console->consumed = ~odd[i];
		hc_monitor(LUCID_MC_CONSOLE, 0, 0, 0, 0, 0);
	}
	for (i = 0; i < LUCID_CONSOLE_DATA; i++)
		console->data[i] = '\n';
	console->listening = 1;
	report("");
}
