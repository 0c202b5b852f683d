/* SPDX-License-Identifier: MIT */
/*
 * Where C cannot go: the way from a host signal into the guest kernel, the way
 * back to guest user mode, hypercalls and the change of space.
 *
 * Some sequences are restartable. Each tests for a pending event and then
 * leaves the stub, or waits; a signal that arrives in between would be lost until the next
 * trap. So the signal handler, when it finds RIP inside one, moves RIP back to
 * its start (trap.c), and the test is made again.
 */
#include "abi/space.h"

#define VCPU(field) (LUCID_VCPU_ADDR + LUCID_VCPU_##field)
#define PRIVATE(field) (stub_private + PRIV_##field)(%rip)
#define FRAME(field) LUCID_FRAME_##field(%rsp)

#define KERNEL_FLAGS_IF 0x200
/* What a program may have set and the guest's kernel must not see: TF, DF, NT, AC. */
#define FLAGS_NOT_KERNEL 0x44500
#define PAUSE_BIT (1 << STUB_EVENT_PAUSE)
#define NOTIF_RECV 0xc0502100 /* SECCOMP_IOCTL_NOTIF_RECV */

	/* stub_private: STUB_PRIVATE_ADDR, by the linker script */
	.set stub_shared, STUB_SHARED_ADDR
	.set stub_stack_top, STUB_STACK_ADDR + STUB_STACK_SIZE

	/* The image's head, struct stub_header. */
	.section .head, "a"
	.quad	LUCID_MAGIC
	.quad	LUCID_ABI_VERSION
	.quad	stub_zygote
	.quad	stub_signal_entry
	.quad	stub_signal_entry_pku
	.quad	stub_restorer
	.quad	stub_return		/* LUCID_HC_RETURN */
	.quad	call_set_cr3
	.quad	call_flush
	.quad	call_flush_kernel
	.quad	call_premap
	.quad	call_halt
	.quad	stub_tail_start		/* LUCID_HC_EVENTS: the tail is all it is */
	.quad	call_set_timer
	.quad	call_notify
	.quad	call_monitor
	.quad	call_protect
	.quad	call_wrprotect
	.quad	stub_sysret
	.quad	stub_syscall
	.quad	call_send
	.quad	call_wait
	.quad	call_wake
	.quad	call_sync
	.quad	call_offline
	.quad	call_steal

	.text

/*
 * Host signal handlers: rdi = signal, rsi = siginfo, rdx = ucontext, on the
 * signal stack. With protection keys the host enters with every key but 0
 * denied, so no stack before WRPKRU.
 */
	.globl stub_signal_entry, stub_signal_entry_pku, stub_signal_entered
stub_signal_entry_pku:
	mov	%rdx, %r8
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
	mov	%r8, %rdx
	/*
	 * A program that jumped here by accident has the kernel's rights now. This is no
	 * wall, it can execute WRPKRU itself; but it does not take the machine with it.
	 */
	lea	8(%rsp), %rax
	cmp	%rax, %rdx
	jne	stub_restorer
	lea	stub_restorer(%rip), %rax
	cmp	%rax, (%rsp)
	jne	stub_restorer
stub_signal_entry:
	/* The host clears DF and TF alone: AC and NT would be the guest kernel's trouble. */
	pushq	$2
	popfq
	/*
	 * Which mode was it? A kick up to here puts the answer back: stub_trap(). It is
	 * this space's own byte: a late kick may find us waiting while another one runs.
	 */
	movzbl	PRIVATE(MODE), %ecx
	movb	$LUCID_MODE_KERNEL, PRIVATE(MODE)
stub_signal_entered:
	call	stub_signal
	ud2

/* The registers that a C function keeps, in the order of a frame. */
.macro PUSH_SAVED
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
.endm

.macro POP_SAVED
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
.endm

/* rsp = orig of a frame: the registers that are below it, as they are; rsp = the frame. */
.macro PUSH_GENERAL
	push	%rdi
	push	%rsi
	push	%rdx
	push	%rcx
	push	%rax
	push	%r8
	push	%r9
	push	%r10
	push	%r11
	PUSH_SAVED
.endm

/*
 * LUCID_HC_USER_SYSCALL: a program comes here by itself where its kernel has patched a
 * system call. rax = number, rcx = where to return, r11 = rdx; with protection keys
 * PKRU is the kernel's already. All else is the program's, its stack too, which is not
 * touched. A signal up to stub_syscall_entered makes of it the instruction that was
 * patched, not executed yet: user_trap() in trap.c. From there on we are the kernel.
 */
	.globl stub_syscall, stub_syscall_entered
stub_syscall:
	mov	%r11, %rdx
	/* The vCPU's mode first: other vCPUs rely on what is done at a trap from user mode. */
	movb	$LUCID_MODE_KERNEL, VCPU(MODE)
	movb	$LUCID_MODE_KERNEL, PRIVATE(MODE)
stub_syscall_entered:
	movb	$0, PRIVATE(SELECTOR)
	mov	%rsp, %r11
	mov	VCPU(KERNEL_SP), %rsp
	pushq	$LUCID_USER_SS
	push	%r11
	pushfq
	pushq	$LUCID_USER_CS
	push	%rcx
	push	%rax
	mov	(LUCID_FRAME_RFLAGS - LUCID_FRAME_ORIG)(%rsp), %r11
	PUSH_GENERAL
	test	$FLAGS_NOT_KERNEL, %r11d
	jnz	2f
1:	rdgsbase %rax
	mov	%rax, VCPU(USER_GS)
	mov	VCPU(KERNEL_GS), %rax
	wrgsbase %rax
	movb	$0, VCPU(VIF)
	incq	VCPU(COUNT_SYSCALL)
	mov	%rsp, %rdi
	mov	$1, %esi
	mov	$LUCID_VEC_SYSCALL, %edx
	jmp	*VCPU(ENTRY)
2:	pushq	$2
	popfq
	jmp	1b

/* Never returned to: every handler leaves by one of the ways below. */
	.globl stub_restorer
stub_restorer:
	ud2

/*
 * rdi = ucontext on the signal stack, esi = the mode to go back to. With user mode
 * told, the handler of another kick would take us for user mode. So that is done here
 * at the last moment, and here such a kick makes it be done again.
 */
	.globl stub_sigreturn, stub_again_start, stub_again_end
stub_sigreturn:
	mov	%rdi, %rsp
	mov	$15, %eax
stub_again_start:
	movb	%sil, PRIVATE(MODE)
	syscall
stub_again_end:
	ud2

/*
 * Back to the guest kernel after a fill, unless an event is pending.
 * rdi = ucontext; rsp alone carries it inside the restartable part.
 */
	.globl stub_resume_kernel, stub_resume_start, stub_resume_end
stub_resume_kernel:
	mov	%rdi, %rsp
stub_resume_start:
	cmpq	$0, VCPU(PENDING)
	je	1f
	cmpb	$0, VCPU(VIF)
	jne	2f
1:	mov	$15, %eax
	syscall
stub_resume_end:
	ud2
2:	mov	%rsp, %rdi
	sub	$64, %rsp
	call	stub_deliver_kernel
	ud2

/* rdi = frame, rsi = error code, rdx = vector. The frame is the stack. */
	.globl stub_enter
stub_enter:
	mov	%rdi, %rsp
	jmp	*VCPU(ENTRY)

/* rdi = guest's entry, rsi = its stack: starts a vCPU with the address of struct lucid_info. */
	.globl stub_start
stub_start:
	mov	%rdi, %rax
	mov	$LUCID_INFO_ADDR, %edi
	mov	%rsi, %rsp
	jmp	*%rax

/* rdi = frame: parks on it as a stack, and leaves by it later, maybe in another process. */
	.globl stub_stop
stub_stop:
	mov	%rdi, %rsp
.Lstop:	mov	%rsp, %rbx
	call	stub_pause
	mov	%rbx, %rsp
	jmp	stub_return

/* rsp = frame: loads all but rax, rcx, rdx and the iret frame; rsp = its rax. */
.macro POP_GENERAL
	POP_SAVED
	pop	%r11
	pop	%r10
	pop	%r9
	pop	%r8
	mov	(LUCID_FRAME_RDI - LUCID_FRAME_RAX)(%rsp), %rdi
	mov	(LUCID_FRAME_RSI - LUCID_FRAME_RAX)(%rsp), %rsi
.endm

/* The same, with rsp = what the exit pops last. */
.macro POP_FRAME
	POP_GENERAL
	lea	PRIVATE(EXIT_RAX), %rsp
.endm

/*
 * LUCID_HC_SYSRET: stub_return for the end of a system call, without iretq: rsp = a frame
 * of user mode with rcx = rip, r11 = rflags, no TF, and rip below LUCID_USER_END. A signal
 * makes it begin again as stub_return.
 */
	.globl stub_sysret
stub_sysret:
	mov	%rsp, VCPU(RET_FRAME)
	cmpl	$0, PRIVATE(TWIN)
	jne	stub_return_start
	jmp	.Lsysret

/* rdi = frame */
	.globl stub_leave
stub_leave:
	mov	%rdi, %rsp
	/* fall through */

/*
 * LUCID_HC_RETURN: rsp = struct lucid_frame. Loads all registers from it and
 * goes to the mode its cs tells. Nothing before the last instruction changes the
 * frame, and RET_FRAME remembers where it is: that makes it restartable.
 */
	.globl stub_return
stub_return:
	mov	%rsp, VCPU(RET_FRAME)
	.globl stub_return_start, stub_return_restart, stub_return_end
stub_return_start:
	/* The words that are popped last wait where user mode's PKRU can read. */
	mov	FRAME(RAX), %rax
	mov	FRAME(RCX), %rcx
	mov	FRAME(RDX), %rdx
	mov	%rax, PRIVATE(EXIT_RAX)
	mov	%rcx, PRIVATE(EXIT_RCX)
	mov	%rdx, PRIVATE(EXIT_RDX)
	mov	FRAME(RIP), %rax
	mov	FRAME(RFLAGS), %rcx
	mov	FRAME(RSP), %rdx
	mov	%rax, PRIVATE(EXIT_RIP)
	mov	%rcx, PRIVATE(EXIT_RFLAGS)
	mov	%rdx, PRIVATE(EXIT_RSP)
	testb	$3, FRAME(CS)
	jz	.Lto_kernel
	cmpl	$0, PRIVATE(TWIN)
	jne	.Lto_twin

	cmpq	$0, VCPU(PENDING)
	jne	.Levent_user
	mov	VCPU(USER_GS), %rax
	wrgsbase %rax
	movb	$LUCID_MODE_USER, VCPU(MODE)
	movb	$LUCID_MODE_USER, PRIVATE(MODE)
	movb	$1, PRIVATE(SELECTOR)
	mov	PRIVATE(PKRU), %eax
	POP_FRAME
	test	%eax, %eax
	jz	.Lpop
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
.Lpop:	pop	%rax
	pop	%rcx
	pop	%rdx
	iretq

.Lto_kernel:
	testl	$KERNEL_FLAGS_IF, %ecx
	setnz	VCPU(VIF)
	jz	1f
	cmpq	$0, VCPU(PENDING)
	jne	.Levent_kernel
1:	POP_FRAME
	jmp	.Lpop

.Lsysret:
	cmpq	$0, VCPU(PENDING)
	jne	.Levent_user
	mov	VCPU(USER_GS), %rax
	wrgsbase %rax
	movb	$LUCID_MODE_USER, VCPU(MODE)
	movb	$LUCID_MODE_USER, PRIVATE(MODE)
	movb	$1, PRIVATE(SELECTOR)
	cmpl	$0, PRIVATE(PKRU)
	jne	1f
	pushq	FRAME(RFLAGS)
	popfq
	POP_GENERAL
	mov	(LUCID_FRAME_RDX - LUCID_FRAME_RAX)(%rsp), %rdx
	mov	(LUCID_FRAME_RIP - LUCID_FRAME_RAX)(%rsp), %rcx
	mov	(%rsp), %rax
	mov	(LUCID_FRAME_RSP - LUCID_FRAME_RAX)(%rsp), %rsp
	jmp	*%rcx
1:	mov	FRAME(RAX), %rax
	mov	FRAME(RDX), %rdx
	mov	FRAME(RIP), %rcx
	mov	%rax, PRIVATE(EXIT_RAX)
	mov	%rdx, PRIVATE(EXIT_RDX)
	mov	%rcx, PRIVATE(EXIT_RIP)
	mov	FRAME(RFLAGS), %rax
	mov	FRAME(RSP), %rdx
	mov	%rax, PRIVATE(EXIT_RFLAGS)
	mov	%rdx, PRIVATE(EXIT_RSP)
	POP_GENERAL
	mov	PRIVATE(PKRU), %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
	mov	PRIVATE(EXIT_RAX), %rax
	mov	PRIVATE(EXIT_RDX), %rdx
	mov	PRIVATE(EXIT_RIP), %rcx
	lea	PRIVATE(EXIT_RFLAGS), %rsp
	popfq
	mov	(%rsp), %rsp
	jmp	*%rcx
stub_return_end:

/* User mode is another process's. Where that has ended, another space's. */
.Lto_twin:
	cmpl	$0, PRIVATE(TWIN_DEAD)
	jne	1f
	mov	%rsp, %rdi
	movabs	$stub_stack_top, %rsp
	call	twin_run
	ud2
1:	mov	%rsp, %rbx
	call	stub_renew
	mov	%rbx, %rsp
	jmp	stub_return

/* The signal handler comes here with the kernel's mode and selector set. */
stub_return_restart:
	mov	PRIVATE(PKRU), %eax
	test	%eax, %eax
	jz	1f
	xor	%eax, %eax
	xor	%ecx, %ecx
	xor	%edx, %edx
	wrpkru
1:	mov	VCPU(RET_FRAME), %rsp
	jmp	stub_return_start

/* rdi = frame of user mode: what is pending comes before it. */
	.globl stub_event
stub_event:
	mov	%rdi, %rsp
	jmp	.Levent_kernel

/* An event came before the exit: take it on the same frame, as if right after. */
.Levent_user:
	mov	VCPU(KERNEL_GS), %rax
	wrgsbase %rax
.Levent_kernel:
	testb	$PAUSE_BIT, VCPU(PENDING)
	jnz	.Lstop
	movb	$0, VCPU(VIF)
	mov	%rsp, %rdi
	xor	%esi, %esi
	mov	$LUCID_VEC_EVENT, %edx
	jmp	*VCPU(ENTRY)

/* rdi = struct seccomp_notif, esi = descriptor, rdx = which events end it. */
	.globl twin_receive, twin_receive_start, twin_receive_end
twin_receive:
	mov	%rdx, %r8
	mov	%rdi, %rdx
	mov	%esi, %edi
	mov	$NOTIF_RECV, %esi
twin_receive_start:
	test	%r8, VCPU(PENDING)
	jnz	1f
	cmpl	$0, PRIVATE(TWIN_DEAD)
	jne	2f
	mov	$16, %eax
	syscall
twin_receive_end:
	ret
1:	mov	$-11, %rax
	ret
2:	mov	$-3, %rax
	ret

/*
 * Hypercalls: called as C functions by the guest kernel. The tail delivers an
 * event that arrived meanwhile, as an interrupt at the return address.
 */
.macro HYPERCALL name
call_\name:
	call	hypercall_\name
	jmp	stub_tail_start
.endm
	HYPERCALL set_cr3
	HYPERCALL flush
	HYPERCALL flush_kernel
	HYPERCALL premap
	HYPERCALL halt
	HYPERCALL set_timer
	HYPERCALL notify
	HYPERCALL monitor
	HYPERCALL protect
	HYPERCALL wrprotect
	HYPERCALL send
	HYPERCALL wait
	HYPERCALL wake
	HYPERCALL sync
	HYPERCALL offline
	HYPERCALL steal

	.globl stub_tail_start, stub_tail_end
stub_tail_start:
	cmpq	$0, VCPU(PENDING)
	jne	1f
	ret
1:	testb	$PAUSE_BIT, VCPU(PENDING)
	jnz	3f
	cmpb	$0, VCPU(VIF)
	jne	2f
	ret
stub_tail_end:
3:	push	%rax
	call	stub_pause
	pop	%rax
	jmp	stub_tail_start
2:	movb	$0, VCPU(VIF)
	mov	(%rsp), %rcx
	lea	8(%rsp), %rdx
	sub	$LUCID_TRAP_GAP, %rsp
	and	$-16, %rsp
	pushq	$LUCID_KERNEL_SS
	push	%rdx
	pushfq
	orq	$KERNEL_FLAGS_IF, (%rsp)
	pushq	$LUCID_KERNEL_CS
	push	%rcx
	pushq	$-1
	PUSH_GENERAL
	mov	%rsp, %rdi
	xor	%esi, %esi
	mov	$LUCID_VEC_EVENT, %edx
	jmp	*VCPU(ENTRY)

/*
 * void stub_switch(unsigned slot, unsigned leave_as): leaves what the guest
 * kernel has in registers in the shared page and passes the baton. XSAVEC rather
 * than XSAVEOPT: its modified-optimization would confuse two spaces that use one
 * linear address.
 */
	.globl stub_switch
stub_switch:
	PUSH_SAVED
	movabs	$stub_shared, %rbx
	mov	%rsp, SHARED_RSP(%rbx)
	rdfsbase %rax
	mov	%rax, SHARED_FS(%rbx)
	mov	SHARED_XCR0(%rbx), %eax
	mov	SHARED_XCR0+4(%rbx), %edx
	cmpl	$0, PRIVATE(XSAVEC)
	je	1f
	xsavec64 SHARED_XSAVE(%rbx)
	jmp	2f
1:	xsave64	SHARED_XSAVE(%rbx)
2:	movabs	$stub_stack_top, %rsp
	call	space_pass
	ud2

/* The other end of it, in the space that was given the baton. */
	.globl stub_switched
stub_switched:
	movabs	$stub_shared, %rbx
	mov	VCPU(KERNEL_GS), %rax
	wrgsbase %rax
	mov	SHARED_FS(%rbx), %rax
	wrfsbase %rax
	mov	SHARED_XCR0(%rbx), %eax
	mov	SHARED_XCR0+4(%rbx), %edx
	xrstor64 SHARED_XSAVE(%rbx)
	mov	SHARED_RSP(%rbx), %rsp
	POP_SAVED
	ret

	.section .note.GNU-stack, "", @progbits
