/* SPDX-License-Identifier: MIT */
/* A test guest's start, its note, and the way of traps into C and back. */
#include "abi/lucid.h"

	.section .note.lucid, "a", @note
	.long	6, 16, LUCID_NOTE_TYPE
	.asciz	"Lucid"
	.balign	4
	.quad	LUCID_ABI_VERSION, test_start

	.text
	.globl test_start
test_start:
	lea	stack_top(%rip), %rsp
	xor	%ebp, %ebp
	call	test_init
	ud2

/* Another vCPU: rsp = a stack of its own. */
	.globl test_cpu_start
test_cpu_start:
	xor	%ebp, %ebp
	call	test_cpu_init
	ud2

/*
 * rdi = frame, rsi = error code, rdx = vector; the frame is the stack's top. A system call
 * that is left as it came takes the short way back.
 */
	.globl test_trap_entry
test_trap_entry:
	pushfq
	pop	trap_flags(%rip)
	mov	%rdi, %rbx
	mov	%rdx, %r12
	and	$-16, %rsp
	call	test_trap
	mov	%rbx, %rsp
	cmp	$LUCID_VEC_SYSCALL, %r12
	jne	1f
	mov	LUCID_FRAME_RIP(%rsp), %rax
	cmp	%rax, LUCID_FRAME_RCX(%rsp)
	jne	1f
	mov	LUCID_FRAME_RFLAGS(%rsp), %rax
	cmp	%rax, LUCID_FRAME_R11(%rsp)
	jne	1f
	test	$0x100, %eax
	jz	test_sysret
1:	jmp	*(LUCID_INFO_ADDR + LUCID_INFO_HYPERCALLS + 8 * LUCID_HC_RETURN)

/* void test_return(struct lucid_frame *): leaves through a frame. */
	.globl test_return
test_return:
	mov	%rdi, %rsp
	jmp	*(LUCID_INFO_ADDR + LUCID_INFO_HYPERCALLS + 8 * LUCID_HC_RETURN)

/* void test_sysret(struct lucid_frame *): the same by LUCID_HC_SYSRET, rsp = frame. */
test_sysret:
	jmp	*(LUCID_INFO_ADDR + LUCID_INFO_HYPERCALLS + 8 * LUCID_HC_SYSRET)

	.bss
	.balign	4096
	.skip	65536
stack_top:
	.skip	65536
	.globl test_trap_stack
test_trap_stack:

	.section .note.GNU-stack, "", @progbits
