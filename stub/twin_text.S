/* SPDX-License-Identifier: MIT */
/*
 * All that a twin executes beside the program: one page of text. The program can jump
 * anywhere in here with any registers; see stub/twin.c for why that gains it nothing.
 *
 * Nothing here has a stack, but what the host pushes for a signal, and nothing is read
 * that the program could have written.
 */
#include <asm/unistd.h>

#include "abi/space.h"

#define TWIN(field) (STUB_TWIN_ADDR - STUB_TWIN_TEXT_ADDR + twin_text + TWIN_##field)(%rip)
#define BASE(field) TWIN_##field(%rbx)

#define SET_USER_DISPATCH 59
#define DISPATCH_ON 1
#define SET_MODE_FILTER 1
#define NEW_LISTENER_WAIT_KILLABLE 0x28

	.section .twin, "ax"
twin_text:

/*
 * The signal handler: rdi = signal, rsi = siginfo, rdx = ucontext. It tells the space by
 * a call that stops the twin until the space has answered. Up to there what was interrupted
 * is in the signal frame; the call is begun again if a kick breaks into it.
 */
	.globl twin_signal, twin_exit
twin_signal:
	rdfsbase %r10
	rdgsbase %r8
	mov	$STUB_TWIN_YIELD, %eax
	syscall

/*
 * The answer: calls to make, then user mode to go to. A signal from here on says nothing
 * new: the space has it all and begins again.
 */
twin_exit:
	lea	TWIN(FLAGS), %rsp
	popfq
	lea	-TWIN_XCR0(%rsp), %rbx
	mov	BASE(COUNT), %r12d
	lea	BASE(CALL), %r13
1:	test	%r12d, %r12d
	jz	2f
	mov	(%r13), %rax
	mov	8(%r13), %rdi
	mov	16(%r13), %rsi
	mov	24(%r13), %rdx
	mov	32(%r13), %r10
	mov	40(%r13), %r8
	mov	48(%r13), %r9
.Lcall:	syscall
	.globl twin_called
twin_called:
	test	%rax, %rax
	js	3f
.Lnext:	add	$TWIN_CALL_SIZE, %r13
	dec	%r12d
	jmp	1b
	/* What has changed since it was mapped cannot be protected: it goes. */
3:	cmpq	$__NR_mprotect, (%r13)
	jne	4f
	mov	$__NR_munmap, %eax
	mov	8(%r13), %rdi
	mov	16(%r13), %rsi
	syscall
	test	%rax, %rax
	jz	.Lnext
	/* No signal: rsi = the error, 0: none; rdx = the call. */
4:	mov	%r13, %rdx
.Ltell:	mov	%rax, %rsi
	xor	%edi, %edi
	jmp	twin_signal
2:	xor	%eax, %eax
	cmpl	$0, BASE(RESUME)
	je	.Ltell
	mov	BASE(XCR0), %eax
	mov	4+BASE(XCR0), %edx
	xrstor64 BASE(XSAVE)
	mov	BASE(FS), %rax
	wrfsbase %rax
	mov	BASE(GS), %rax
	wrgsbase %rax
	lea	BASE(FRAME), %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rsi
	pop	%rdi
	lea	8(%rsp), %rsp
	iretq
	.globl twin_end
twin_end:

/*
 * The start: all of the space but what a twin keeps goes, then the list is taken, and
 * there is nothing left to do but to wait. r12 = ranges, of pairs of start and length.
 */
	.globl twin_start
twin_start:
	lea	twin_ranges(%rip), %rbx
	mov	$(twin_ranges_end - twin_ranges) / 16, %r12d
1:	mov	(%rbx), %rdi
	mov	8(%rbx), %rsi
	mov	$__NR_munmap, %eax
	syscall
	test	%rax, %rax
	jnz	9f
	add	$16, %rbx
	dec	%r12d
	jnz	1b
	mov	$SET_USER_DISPATCH, %edi
	mov	$DISPATCH_ON, %esi
	lea	twin_text(%rip), %rdx
	mov	$STUB_TWIN_TEXT_SIZE, %r10d
	mov	$STUB_PRIVATE_ADDR, %r8
	mov	$__NR_prctl, %eax
	syscall
	test	%rax, %rax
	jnz	9f
	mov	$SET_MODE_FILTER, %edi
	mov	$NEW_LISTENER_WAIT_KILLABLE, %esi
	lea	TWIN(PROGRAM), %rdx
	mov	$__NR_seccomp, %eax
	syscall
	test	%rax, %rax
	js	9f
	xor	%eax, %eax
	jmp	.Ltell
9:	mov	$1, %edi
	mov	$__NR_exit_group, %eax
	syscall
	ud2

.macro RANGE start end
	.quad	\start, (\end) - (\start)
.endm
	.balign 8
twin_ranges:
	RANGE	0, LUCID_USER_END
	RANGE	LUCID_USER_END, STUB_TEXT_ADDR
	RANGE	STUB_TEXT_ADDR, STUB_TWIN_TEXT_ADDR
	RANGE	STUB_TWIN_TEXT_ADDR + STUB_TWIN_TEXT_SIZE, STUB_PRIVATE_ADDR
	RANGE	STUB_PRIVATE_ADDR + 0x1000, STUB_TWIN_ADDR
	RANGE	STUB_TWIN_STACK_ADDR + STUB_TWIN_STACK_SIZE, LUCID_STUB_END
twin_ranges_end:

	.section .note.GNU-stack, "", @progbits
