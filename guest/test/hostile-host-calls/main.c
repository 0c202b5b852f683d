/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that makes host system calls of its own (the dispatch that catches user
 * mode's is off for it) is killed with its first that is not on the list, or has other arguments.
 * Expected: the VM ends with "the guest's CPU stopped: its process was ended \(signal 31;".
 * Variants: call=0..19
 */
#include <asm/unistd.h>

#include "guest/test/lib/test.h"

#define RAM 3
#define DOORBELL 4
#define TIMER 5
#define SHARED_FIXED 0x11
#define RW 3

static const struct {
	uint64_t nr, arg[6];
} list[] = {
	{__NR_getpid, {0}}, {__NR_read, {RAM, LUCID_DIRECT_BASE, 4096}},
	{__NR_write, {1, LUCID_DIRECT_BASE, 8}}, {__NR_write, {DOORBELL, LUCID_DIRECT_BASE, 16}},
	{__NR_openat, {(uint64_t)-100, (uint64_t) "/etc/passwd", 0}},
	/* Anonymous memory, another descriptor, a private copy, the stub's own addresses. */
	{__NR_mmap, {0x10000000, 4096, RW, 0x32, (uint64_t)-1}},
	{__NR_mmap, {0x10000000, 4096, RW, SHARED_FIXED, DOORBELL}},
	{__NR_mmap, {0x10000000, 4096, RW, 0x12, RAM}},
	{__NR_mmap, {0x700000000000, 4096, RW, SHARED_FIXED, RAM}},
	{__NR_mprotect, {0x700000000000, 4096, 7}}, {__NR_munmap, {0x700000300000, 4096}},
	{__NR_mremap, {LUCID_DIRECT_BASE, 4096, 4096, 3, 0x700000000000}}, {__NR_kill, {1, 9}},
	{__NR_clone, {17}}, {__NR_execve, {(uint64_t) "/bin/sh"}}, {__NR_prctl, {59, 0}},
	{__NR_rt_sigaction, {11, LUCID_DIRECT_BASE, 0, 8}}, {__NR_socket, {1, 1}},
	{__NR_timerfd_settime, {RAM, 0, LUCID_DIRECT_BASE, 0}},
	{__NR_getpid | 0x40000000, {0}}, /* the x32 ABI's */
};

void test_main(void)
{
	uint64_t n = cmdline_number("call", 0);
	register uint64_t r10 __asm__("r10"), r8 __asm__("r8"), r9 __asm__("r9");
	uint64_t ret;

	check(n < sizeof(list) / sizeof(list[0]));
	r10 = list[n].arg[3];
	r8 = list[n].arg[4];
	r9 = list[n].arg[5];
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(list[n].nr), "D"(list[n].arg[0]), "S"(list[n].arg[1]),
			 "d"(list[n].arg[2]), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	failure("host system call %u: %x", list[n].nr, ret);
}
