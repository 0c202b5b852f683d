/* SPDX-License-Identifier: GPL-2.0 */
/* What the rest of arch/x86 calls in a Lucid guest; nothing elsewhere. */
#ifndef _ASM_X86_LUCID_H
#define _ASM_X86_LUCID_H

#include <linux/types.h>

#ifdef CONFIG_LUCID_GUEST

/*
 * Patched system calls of an address space: see lucid/patch.c. Written with mmap_lock
 * held for writing; a fork copies it.
 */
#define LUCID_PATCH_AREAS 4
struct lucid_patches {
	unsigned long area[LUCID_PATCH_AREAS]; /* pages of jump slots, 0: none yet */
	bool off; /* has been traced: its text stays as it is */
};

/* A tracer is to see the text as it was. Sleeps. */
struct task_struct;
void lucid_unpatch(struct task_struct *task);
#define arch_ptrace_attached(child) lucid_unpatch(child)

/* A user fault has been handled: maps what was set, to save the second fault. */
void lucid_premap(unsigned long address, unsigned long error_code);

/* On all CPUs. */
void lucid_flush_kernel_all(unsigned long start, unsigned long end);

/*
 * Has func(info) called on those CPUs of the mask that wanted(cpu, info) names, or does
 * what comes to the same.
 */
struct cpumask;
struct flush_tlb_info;
void lucid_flush_tlb_multi(const struct cpumask *mask, const struct flush_tlb_info *info,
			   void (*func)(void *info), bool (*wanted)(int cpu, void *info));

/* Drops [start, end) in one go instead of page by page. */
bool lucid_flush_range(unsigned long start, unsigned long end);

/* So a range is flushed whole only if it is very large, in pages. */
#define LUCID_FLUSH_CEILING (1UL << 18)

/* Seals the image: text not writable, nothing else executable. */
void lucid_protect_image(void);

#else

static inline void lucid_premap(unsigned long address, unsigned long error_code)
{
}

static inline bool lucid_flush_range(unsigned long start, unsigned long end)
{
	return false;
}

static inline void lucid_flush_kernel_all(unsigned long start, unsigned long end)
{
}

static inline void lucid_protect_image(void)
{
}

#define LUCID_FLUSH_CEILING 33

#endif
#endif
