/* SPDX-License-Identifier: MIT */
/*
 * Purpose: a kernel that makes host system calls of its own (the dispatch that catches user
 * mode's is off for it) is killed with its first that is not on the list, or has other arguments.
 * Expected: the VM ends with "the guest's CPU stopped: its process was ended \(signal 31;".
 * Variants: call=0..19
 */
#include "guest/test/lib/host.h"

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
	uint64_t n = cmdline_number("call", 0), ret;
	const uint64_t *arg = list[n].arg;

	check(n < sizeof(list) / sizeof(list[0]));
	ret = (uint64_t)host_call((long)list[n].nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
	failure("host system call %u: %x", list[n].nr, ret);
}
