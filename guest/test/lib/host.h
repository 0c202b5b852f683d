/* SPDX-License-Identifier: MIT */
/* Host system calls made by a guest's kernel itself, past the stub: for hostile guests. */
#ifndef TEST_HOST_H
#define TEST_HOST_H

#include <asm/unistd.h>

#include "guest/test/lib/test.h"

/* Returns what the host does, if the space is still there. */
static inline long host_call(
	long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e, uint64_t f)
{
	register uint64_t r10 __asm__("r10") = d, r8 __asm__("r8") = e, r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#endif
