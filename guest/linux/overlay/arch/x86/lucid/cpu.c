// SPDX-License-Identifier: GPL-2.0
/* pv_ops.cpu and pv_ops.irq: what the CPU would do at CPL 0. */
#include <linux/errno.h>
#include <linux/init.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/fsgsbase.h>
#include <asm/msr-index.h>
#include <asm/paravirt.h>
#include <asm/processor-flags.h>

#include "lucid.h"

unsigned long lucid_cr4 = X86_CR4_PAE | X86_CR4_PGE | X86_CR4_OSFXSR | X86_CR4_OSXMMEXCPT |
			  X86_CR4_OSXSAVE | X86_CR4_FSGSBASE;
static unsigned long cr0 = X86_CR0_PE | X86_CR0_MP | X86_CR0_ET | X86_CR0_NE | X86_CR0_WP |
			   X86_CR0_AM | X86_CR0_PG;
static u64 efer = EFER_SCE | EFER_LME | EFER_LMA | EFER_NX;

static void cpuid_op(unsigned int *ax, unsigned int *bx, unsigned int *cx, unsigned int *dx)
{
	unsigned int leaf = *ax, subleaf = *cx, i;

	*ax = *bx = *cx = *dx = 0;
	for (i = 0; i < lucid_info->cpuid_count; i++) {
		const struct lucid_cpuid *c = &lucid_info->cpuid[i];

		if (c->leaf != leaf || (c->subleaf != subleaf && c->subleaf != ~0u))
			continue;
		*ax = c->eax;
		*bx = c->ebx;
		*cx = c->ecx;
		*dx = c->edx;
		if (leaf == 1) /* the local APIC's id */
			*bx |= lucid_vcpu->id << 24;
		return;
	}
}

static unsigned long get_debugreg_op(int nr)
{
	return nr == 6 ? lucid_vcpu->dr6 : nr == 7 ? 0x400 : 0;
}

static void set_debugreg_op(int nr, unsigned long value)
{
	if (nr == 6)
		lucid_vcpu->dr6 = value;
}

static unsigned long read_cr0_op(void)
{
	return cr0;
}

static void write_cr0_op(unsigned long value)
{
	cr0 = value;
}

static void write_cr4_op(unsigned long value)
{
	lucid_cr4 = value;
}

static u64 read_msr_safe_op(unsigned int msr, int *err)
{
	*err = 0;
	switch (msr) {
	case MSR_EFER:
		return efer;
	case MSR_FS_BASE:
		return rdfsbase();
	case MSR_GS_BASE:
		return rdgsbase();
	case MSR_KERNEL_GS_BASE:
		return lucid_vcpu->user_gs;
	case MSR_IA32_CR_PAT:
		return 0x0007040600070406ULL;
	case MSR_IA32_APICBASE:
		return lucid_vcpu->id ? 0 : MSR_IA32_APICBASE_BSP;
	case MSR_IA32_MISC_ENABLE:
	case MSR_IA32_UCODE_REV:
		return 0;
	}
	*err = -EIO;
	return 0;
}

static u64 read_msr_op(unsigned int msr)
{
	int err;

	return read_msr_safe_op(msr, &err);
}

static int write_msr_safe_op(unsigned int msr, unsigned int low, unsigned int high)
{
	u64 value = low | (u64)high << 32;

	switch (msr) {
	case MSR_FS_BASE:
		wrfsbase(value);
		return 0;
	case MSR_GS_BASE:
		/* In this order: the stub may load it at any time. */
		lucid_vcpu->kernel_gs = value;
		wrgsbase(value);
		return 0;
	case MSR_KERNEL_GS_BASE:
		lucid_vcpu->user_gs = value;
		return 0;
	case MSR_EFER:
		efer = value;
		return 0;
	/* The system call entry and the like: set up by the kernel, read by no one here. */
	case MSR_STAR:
	case MSR_LSTAR:
	case MSR_CSTAR:
	case MSR_SYSCALL_MASK:
	case MSR_TSC_AUX:
	case MSR_IA32_SYSENTER_CS:
	case MSR_IA32_SYSENTER_ESP:
	case MSR_IA32_SYSENTER_EIP:
	case MSR_IA32_CR_PAT:
	case MSR_IA32_UCODE_REV:
		return 0;
	}
	return -EIO;
}

static void write_msr_op(unsigned int msr, unsigned int low, unsigned int high)
{
	write_msr_safe_op(msr, low, high);
}

static u64 read_pmc_op(int counter)
{
	return 0;
}

/* The host's descriptor tables are flat, and what there is. */
static void load_desc_op(const struct desc_ptr *ptr)
{
}

static void set_ldt_op(const void *desc, unsigned int entries)
{
}

static unsigned long store_tr_op(void)
{
	return 0;
}

static void load_tls_op(struct thread_struct *t, unsigned int cpu)
{
}

static void load_gs_index_op(unsigned int index)
{
}

static void write_idt_op(gate_desc *idt, int nr, const gate_desc *gate)
{
}

static void load_sp0_op(unsigned long sp0)
{
	lucid_vcpu->kernel_sp = sp0;
}

static void nop_op(void)
{
}

/* Halted with interrupts off: the only CPU has done what it ever will. */
static void halt_op(void)
{
	for (;;)
		lucid_call(LUCID_MC_SHUTDOWN, LUCID_SHUTDOWN_POWEROFF, 0, 0, 0, 0);
}

void __init lucid_setup_cpu_ops(void)
{
	pv_info.name = "Lucid";
	pv_info.extra_user_64bit_cs = 0;

	pv_ops.cpu.io_delay = nop_op;
	pv_ops.cpu.cpuid = cpuid_op;
	pv_ops.cpu.get_debugreg = get_debugreg_op;
	pv_ops.cpu.set_debugreg = set_debugreg_op;
	pv_ops.cpu.read_cr0 = read_cr0_op;
	pv_ops.cpu.write_cr0 = write_cr0_op;
	pv_ops.cpu.write_cr4 = write_cr4_op;
	pv_ops.cpu.wbinvd = nop_op;
	pv_ops.cpu.read_msr = read_msr_op;
	pv_ops.cpu.read_msr_safe = read_msr_safe_op;
	pv_ops.cpu.write_msr = write_msr_op;
	pv_ops.cpu.write_msr_safe = write_msr_safe_op;
	pv_ops.cpu.read_pmc = read_pmc_op;
	pv_ops.cpu.load_tr_desc = nop_op;
	pv_ops.cpu.load_gdt = load_desc_op;
	pv_ops.cpu.load_idt = load_desc_op;
	pv_ops.cpu.set_ldt = set_ldt_op;
	pv_ops.cpu.store_tr = store_tr_op;
	pv_ops.cpu.load_tls = load_tls_op;
	pv_ops.cpu.load_gs_index = load_gs_index_op;
	pv_ops.cpu.write_idt_entry = write_idt_op;
	pv_ops.cpu.load_sp0 = load_sp0_op;

	pv_ops.irq.save_fl = __PV_IS_CALLEE_SAVE(lucid_save_fl);
	pv_ops.irq.irq_disable = __PV_IS_CALLEE_SAVE(lucid_irq_disable);
	pv_ops.irq.irq_enable = __PV_IS_CALLEE_SAVE(lucid_irq_enable);
	pv_ops.irq.safe_halt = lucid_idle;
	pv_ops.irq.halt = halt_op;
	pv_ops.mmu.read_cr2 = __PV_IS_CALLEE_SAVE(lucid_read_cr2);
}
