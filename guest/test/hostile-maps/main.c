/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that uses the calls which a space does have, to map what it likes where it
 * likes: it gets its own RAM, and in the end breaks its own neck.
 * Expected: the VM ends with "the guest's CPU stopped: ".
 * Variants: what=0..4
 */
#include "guest/test/lib/host.h"

#define RAM 3

void test_main(void)
{
	uint64_t va, n;

	switch (cmdline_number("what", 0)) {
	case 0: /* all mappings that the host gives */
		for (n = 0;; n++)
			if (host_call(__NR_mmap, 0x100000000 + n * 2 * PAGE, PAGE, 3, 0x11, RAM,
				    0) < 0)
				break;
		report("%u mappings", n);
		check(n > 10000);
		host_call(__NR_exit_group, 9, 0, 0, 0, 0, 0);
		break;
	case 1: /* what is behind the end of RAM is nothing */
		va = 0x100000000;
		check_eq(host_call(__NR_mmap, va, PAGE, 3, 0x11, RAM, info->ram_size), va);
		report("read: %x", peek(va));
		break;
	case 2: /* the ground under its feet */
		host_call(__NR_munmap, LUCID_IMAGE_BASE, LUCID_WINDOW_END - LUCID_IMAGE_BASE, 0, 0,
			0, 0);
		break;
	case 3: /* its own stacks and page tables */
		host_call(__NR_munmap, LUCID_DIRECT_BASE, LUCID_DIRECT_END - LUCID_DIRECT_BASE, 0,
			0, 0, 0);
		(void)peek(0x10000000);
		break;
	case 4: /* a return from a signal that never was */
		host_call(__NR_rt_sigreturn, 0, 0, 0, 0, 0, 0);
		break;
	}
	failure("lives on");
}
