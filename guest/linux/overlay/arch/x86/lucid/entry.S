/* SPDX-License-Identifier: GPL-2.0 */
/* Start, trap entry and return, and the interrupt flag, which is a byte in the vCPU page. */
#include <linux/elfnote.h>
#include <linux/init.h>
#include <linux/linkage.h>
#include <asm/asm-offsets.h>
#include <abi/lucid.h>
#include <asm/nospec-branch.h>
#include <asm/page_types.h>

#define HYPERCALL(nr) (LUCID_INFO_ADDR + LUCID_INFO_HYPERCALLS + 8 * (nr))
#define VCPU(field) (LUCID_VCPU_ADDR + LUCID_VCPU_##field)

	ELFNOTE(Lucid, LUCID_NOTE_TYPE, .quad LUCID_ABI_VERSION; .quad lucid_start)

	__INIT
/* rdi = struct lucid_info; no stack, no page tables, interrupts off. */
SYM_CODE_START(lucid_start)
	leaq	__top_init_kernel_stack(%rip), %rsp
	xorl	%ebp, %ebp
	call	lucid_start_kernel
	ud2
SYM_CODE_END(lucid_start)

	.text
/* A secondary CPU: rdi = struct lucid_info, rsp = top of its idle task's stack. */
SYM_CODE_START(lucid_secondary_start)
	xorl	%ebp, %ebp
	call	lucid_start_cpu
	ud2
SYM_CODE_END(lucid_secondary_start)

	.section .noinstr.text, "ax"
/* rsp = rdi = pt_regs, rsi = error code, rdx = vector; interrupts off. */
SYM_CODE_START(lucid_trap_entry)
	xorl	%ebp, %ebp
	call	lucid_trap
	testb	%al, %al
	jnz	1f
SYM_INNER_LABEL(lucid_return, SYM_L_GLOBAL)
	jmp	*HYPERCALL(LUCID_HC_RETURN)
1:	jmp	*HYPERCALL(LUCID_HC_SYSRET)
SYM_CODE_END(lucid_trap_entry)

/* Callee-save ops of pv_ops.irq and pv_ops.mmu: nothing but rax may change. */
SYM_FUNC_START(lucid_save_fl)
	movzbl	VCPU(VIF), %eax
	shl	$9, %eax
	RET
SYM_FUNC_END(lucid_save_fl)

SYM_FUNC_START(lucid_irq_disable)
	movb	$0, VCPU(VIF)
	RET
SYM_FUNC_END(lucid_irq_disable)

SYM_FUNC_START(lucid_irq_enable)
	movb	$1, VCPU(VIF)
	cmpq	$0, VCPU(PENDING)
	jne	1f
	RET
1:	push	%rax
	push	%rcx
	push	%rdx
	push	%rsi
	push	%rdi
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	call	*HYPERCALL(LUCID_HC_EVENTS)
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdi
	pop	%rsi
	pop	%rdx
	pop	%rcx
	pop	%rax
	RET
SYM_FUNC_END(lucid_irq_enable)

SYM_FUNC_START(lucid_read_cr2)
	mov	VCPU(CR2), %rax
	RET
SYM_FUNC_END(lucid_read_cr2)
