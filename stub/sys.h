/* SPDX-License-Identifier: MIT */
/* Host system calls of the stub: the whole list, one function each. */
#ifndef STUB_SYS_H
#define STUB_SYS_H

#include <asm/unistd.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

#define FUTEX_WAIT 0
#define FUTEX_WAKE 1

struct sys_timespec {
	long sec, nsec;
};

static inline long sys_futex_wait(
	unsigned int *word, unsigned int value, const struct sys_timespec *timeout)
{
	return sys4(__NR_futex, (long)word, FUTEX_WAIT, value, (long)timeout);
}

static inline long sys_futex_wake(unsigned int *word)
{
	return sys4(__NR_futex, (long)word, FUTEX_WAKE, 1, 0);
}

#endif
