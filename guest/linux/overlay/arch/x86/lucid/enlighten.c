// SPDX-License-Identifier: GPL-2.0
/* From the monitor's jump to start_kernel(). */
#include <linux/cpu.h>
#include <linux/init.h>
#include <linux/string.h>
#include <asm/bootparam.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/paravirt.h>
#include <asm/pgalloc.h>
#include <asm/pgtable.h>
#include <asm/setup.h>
#include <asm/tlbflush.h>

#include "lucid.h"

static_assert(__START_KERNEL_map == LUCID_IMAGE_BASE);
static_assert(__START_KERNEL_map + KERNEL_IMAGE_SIZE <= LUCID_IMAGE_END);
static_assert(__PAGE_OFFSET_BASE_L4 == LUCID_DIRECT_BASE);
static_assert(__VMEMMAP_BASE_L4 >= LUCID_KERNEL_BASE);
static_assert(GUARD_HOLE_END_ADDR <= LUCID_KERNEL_END);
static_assert(LUCID_WINDOW_LIMIT == LUCID_WINDOW_END);
static_assert(LUCID_USER_PAGE == LUCID_USER_ADDR);
static_assert(TASK_SIZE_MAX <= LUCID_USER_END);
static_assert(TLB_NR_DYN_ASIDS < LUCID_ASIDS);
static_assert(sizeof(struct pt_regs) == LUCID_FRAME_SIZE);

static pud_t fixmap_puds[PTRS_PER_PUD] __page_aligned_bss;

/*
 * The tables that the kernel itself walks before init_mem_mapping(). The image's
 * PMDs are built for a window that starts on a GiB; ours does not.
 */
static void __init setup_page_tables(void)
{
	int first = pmd_index(__START_KERNEL_map);
	int count = KERNEL_IMAGE_SIZE / PMD_SIZE;
	int i;

	for (i = count - 1; i >= 0; i--) {
		level2_kernel_pgt[first + i] = level2_kernel_pgt[i];
		level2_kernel_pgt[i] = __pmd(0);
	}
	init_top_pgt[pgd_index(__START_KERNEL_map)] =
		__pgd(__pa_symbol(level3_kernel_pgt) | _PAGE_TABLE_NOENC);
	init_top_pgt[pgd_index(FIXADDR_TOP)] =
		__pgd(__pa_symbol(fixmap_puds) | _PAGE_TABLE_NOENC);
	fixmap_puds[pud_index(FIXADDR_TOP)] =
		__pud(__pa_symbol(level2_fixmap_pgt) | _PAGE_TABLE_NOENC);
	lucid_set_cr3(__pa_symbol(init_top_pgt));
}

static void __init setup_boot_params(void)
{
	boot_params.hdr.version = 0x20f;
	boot_params.hdr.type_of_loader = 0xff;
	boot_params.hdr.ramdisk_image = (u32)lucid_info->initrd;
	boot_params.ext_ramdisk_image = (u32)(lucid_info->initrd >> 32);
	boot_params.hdr.ramdisk_size = (u32)lucid_info->initrd_size;
	boot_params.ext_ramdisk_size = (u32)(lucid_info->initrd_size >> 32);
	strscpy(boot_command_line, lucid_info->cmdline, COMMAND_LINE_SIZE);
}

asmlinkage __visible void __init __noreturn lucid_start_kernel(void)
{
	lucid_vcpu->kernel_gs = (unsigned long)&init_per_cpu_var(fixed_percpu_data);
	wrgsbase(lucid_vcpu->kernel_gs);
	lucid_vcpu->kernel_sp = (unsigned long)__top_init_kernel_stack;
	lucid_vcpu->entry = (unsigned long)lucid_trap_entry;

	lucid_setup_cpu_ops();
	lucid_setup_mmu_ops();
	setup_page_tables();
	cr4_init_shadow();
	setup_boot_params();
	lucid_setup_platform();
	x86_64_start_reservations((char *)&boot_params);
}
