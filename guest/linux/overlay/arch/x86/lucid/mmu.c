// SPDX-License-Identifier: GPL-2.0
/* pv_ops.mmu: page tables are written freely, the stub's TLB is told what to drop and fill. */
#include <linux/hardirq.h>
#include <linux/init.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <asm/lucid.h>
#include <asm/lucid_mm.h>
#include <asm/paravirt.h>
#include <asm/sections.h>
#include <asm/tlbflush.h>
#include <asm/trap_pf.h>

#include "lucid.h"

static unsigned long read_cr3_op(void)
{
	return lucid_vcpu->cr3;
}

static void write_cr3_op(unsigned long cr3)
{
	lucid_set_cr3(cr3);
}

static void write_cr2_op(unsigned long cr2)
{
	lucid_vcpu->cr2 = cr2;
}

/* The generation of the loaded mm that a fork here stands for; 0: no fork. */
static DEFINE_PER_CPU(u64, fork_gen);

/*
 * Another CPU's flush may come as an interrupt in the middle of the fork's, or may have been
 * counted before it: what is flushed then is more than the fork.
 */
static bool flush_is_fork(void)
{
	u64 gen = this_cpu_read(fork_gen);

	return gen && !in_hardirq() &&
	       atomic64_read(&this_cpu_read(cpu_tlbstate.loaded_mm)->context.tlb_gen) == gen;
}

static void flush_user_op(void)
{
	if (flush_is_fork())
		lucid_wrprotect();
	else
		lucid_flush(0, LUCID_USER_END);
}

/*
 * The parent's pages have become read-only and nothing else has changed. Where the
 * flush is a full one for another reason as well, this one is on the safe side: a
 * generation that was skipped makes flush_tlb_func() come here for more than the
 * fork, so only the generation of the fork itself is taken for it.
 */
void lucid_flush_fork(struct mm_struct *mm)
{
	u64 gen;
	u16 asid;

	preempt_disable();
	asid = this_cpu_read(cpu_tlbstate.loaded_mm_asid);
	gen = atomic64_read(&mm->context.tlb_gen);
	if (this_cpu_read(cpu_tlbstate.loaded_mm) == mm &&
	    this_cpu_read(cpu_tlbstate.ctxs[asid].tlb_gen) == gen)
		this_cpu_write(fork_gen, gen + 1);
	flush_tlb_mm(mm);
	this_cpu_write(fork_gen, 0);
	preempt_enable();
}

static void flush_all_op(void)
{
	lucid_flush(0, LUCID_USER_END);
	lucid_flush_kernel(LUCID_KERNEL_BASE, LUCID_KERNEL_END);
}

/* The windows are fixed: there is nothing to drop in them. */
bool lucid_flush_range(unsigned long start, unsigned long end)
{
	if (start < LUCID_USER_END)
		lucid_flush(start, end);
	else if (end > LUCID_KERNEL_BASE)
		lucid_flush_kernel(start, end);
	return true;
}

static void flush_one_op(unsigned long addr)
{
	addr &= PAGE_MASK;
	lucid_flush_range(addr, addr + PAGE_SIZE);
}

void lucid_premap(unsigned long address, unsigned long error_code)
{
	/* A stack that grew into the image window: it can never be mapped there. */
	if (lucid_in_window(address))
		force_sig_fault(SIGSEGV, SEGV_MAPERR, (void __user *)address);
	else
		lucid_map(address & PAGE_MASK, error_code & X86_PF_WRITE);
}

bool lucid_make_block(void *start)
{
	return lucid_map((u64)start, true);
}

/* Text is written through the direct map from here on; nothing else is executable. */
void lucid_protect_image(void)
{
	unsigned long text = (unsigned long)_text & PAGE_MASK;
	unsigned long etext = PFN_ALIGN((unsigned long)_etext);
	unsigned long rodata = (unsigned long)__start_rodata & PAGE_MASK;
	unsigned long rodata_end = PFN_ALIGN((unsigned long)__end_rodata);
	unsigned long data = (unsigned long)_sdata & PAGE_MASK; /* after a hole */
	unsigned long end = PFN_ALIGN((unsigned long)_end);

	lucid_protect(text, etext, LUCID_PROT_READ | LUCID_PROT_EXEC);
	lucid_protect(etext, rodata_end, LUCID_PROT_READ);
	lucid_protect(data, end, LUCID_PROT_READ | LUCID_PROT_WRITE);
	BUG_ON(rodata < etext || data < rodata_end);
	/* Other CPUs learn of it as they learn of flushes. */
	lucid_flush_kernel_all(LUCID_KERNEL_BASE, LUCID_KERNEL_END);
	lucid_check();
}

/* For a fork, whose parent we are; both mmap_locks are held. Else mm is ours already. */
static void enter_mmap_op(struct mm_struct *mm)
{
	if (current->mm)
		mm->context.lucid = current->mm->context.lucid;
}

void __init lucid_setup_mmu_ops(void)
{
	pv_ops.mmu.enter_mmap = enter_mmap_op;
	pv_ops.mmu.read_cr3 = read_cr3_op;
	pv_ops.mmu.write_cr3 = write_cr3_op;
	pv_ops.mmu.write_cr2 = write_cr2_op;
	pv_ops.mmu.flush_tlb_user = flush_user_op;
	pv_ops.mmu.flush_tlb_kernel = flush_all_op;
	pv_ops.mmu.flush_tlb_one_user = flush_one_op;
}
