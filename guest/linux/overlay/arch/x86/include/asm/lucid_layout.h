/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The address map of a Lucid guest, all in the lower half: the last lines of
 * page_64_types.h and pgtable_64_types.h include this to replace the native one.
 * The numbers are the ABI's (abi/lucid.h); lucid/enlighten.c compares them.
 */
#undef __PAGE_OFFSET_BASE_L4
#define __PAGE_OFFSET_BASE_L4	_AC(0x400000000000, UL)

#undef __START_KERNEL_map
#define __START_KERNEL_map	_AC(0x70000000, UL)

#undef KERNEL_IMAGE_SIZE
#define KERNEL_IMAGE_SIZE	(254 * 1024 * 1024)

#undef task_size_max
#define task_size_max()		((_AC(1, UL) << 46) - PAGE_SIZE)

#undef DEFAULT_MAP_WINDOW
#define DEFAULT_MAP_WINDOW	TASK_SIZE_MAX

/* From pgtable_64_types.h. One PGD slot, 512 GiB, each, but for vmemmap and vmalloc. */
#ifdef _ASM_X86_PGTABLE_64_DEFS_H

#undef GUARD_HOLE_BASE_ADDR
#undef GUARD_HOLE_END_ADDR
#define GUARD_HOLE_BASE_ADDR	_AC(0x560000000000, UL)
#define GUARD_HOLE_END_ADDR	_AC(0x568000000000, UL)

#undef LDT_BASE_ADDR
#define LDT_BASE_ADDR		_AC(0x540000000000, UL)

#undef ESPFIX_BASE_ADDR
#define ESPFIX_BASE_ADDR	_AC(0x558000000000, UL)

#undef CPU_ENTRY_AREA_BASE
#define CPU_ENTRY_AREA_BASE	_AC(0x550000000000, UL)

#undef __VMEMMAP_BASE_L4
#define __VMEMMAP_BASE_L4	0x480000000000UL

#undef __VMALLOC_BASE_L4
#undef VMALLOC_SIZE_TB_L4
#define __VMALLOC_BASE_L4	0x500000000000UL
#define VMALLOC_SIZE_TB_L4	1UL

/* Modules are not built; the area ends before the ABI's pages. */
#undef MODULES_END
#define MODULES_END		_AC(0x7ff00000, UL)

#undef PGD_KERNEL_START
#define PGD_KERNEL_START	128

#endif /* _ASM_X86_PGTABLE_64_DEFS_H */

/* User space keeps out of [__START_KERNEL_map, LUCID_WINDOW_LIMIT). */
#define LUCID_WINDOW_LIMIT	_AC(0x80000000, UL)
#define LUCID_WINDOW_SHIFT	28
#define LUCID_WINDOW_NR		7

#define lucid_in_window(addr)	(((addr) >> LUCID_WINDOW_SHIFT) == LUCID_WINDOW_NR)
