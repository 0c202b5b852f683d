/* SPDX-License-Identifier: MIT */
/*
 * Blocks of 2 MiB of RAM that the guest is about to write, made by the host in one call: that
 * spares a fault for each page, and the guest its zeroing.
 */
#include "stub/stub.h"
#include "stub/sys.h"
#include "stub/walk.h"

#define BLOCK (1ul << HUGE_SHIFT)

#define SEEK_DATA 3
#define MADV_POPULATE_WRITE 23
#define ENXIO 6

bool block_make(uint64_t addr)
{
	uint64_t start = addr & ~(BLOCK - 1), pa = start - LUCID_DIRECT_BASE;
	long data;

	if (pa >= info->ram_size || info->ram_size - pa < BLOCK)
		return false;
	/* What the host has swapped out is data too; where there is none, it is zero. */
	data = sys3(__NR_lseek, STUB_FD_RAM, (long)pa, SEEK_DATA);
	/* Hosts before Linux 5.14 have no such call: there the pages come when they are touched. */
	sys3(__NR_madvise, (long)start, BLOCK, MADV_POPULATE_WRITE);
	return data == -ENXIO || data >= (long)(pa + BLOCK);
}
