/* SPDX-License-Identifier: MIT */
/*
 * From a host signal to an x86 trap. The signal's frame tells everything but
 * the P bit of a page fault, which the guest's own tables give.
 */
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "stub/stub.h"
#include "stub/sys.h"
#include "stub/twin.h"

#define SI_KERNEL_CODE 0x80
#define SYS_USER_DISPATCH_CODE 2
#define SEGV_PKUERR_CODE 4
#define AUDIT_ARCH_X86_64_VALUE 0xc000003e
#define RFLAGS_IF 0x200ul
#define RFLAGS_TF 0x100ul
#define DR6_BS 0x4000ul
#define DR6_INIT 0xffff0ff0ul

struct trap {
	unsigned vector;
	uint64_t error;
	uint64_t addr; /* of a page fault */
};

static bool in_range(uint64_t rip, const char *start, const char *end)
{
	return rip >= (uint64_t)start && rip < (uint64_t)end;
}

_Noreturn void stub_crash(unsigned reason, uint64_t rip, uint64_t addr, uint64_t detail)
{
	priv->user.selector = 0; /* or the exit below would trap in turn */
	shared->crash.rip = rip;
	shared->crash.addr = addr;
	shared->crash.detail = detail;
	store_release(&shared->crash.reason, reason);
	for (;;)
		sys3(__NR_exit_group, 3, 0, 0);
}

static _Noreturn void crash_signal(int sig, const siginfo_t *si, const struct sigcontext_64 *regs)
{
	shared->crash.signal = (unsigned)sig;
	stub_crash(CRASH_STUB_FAULT, regs->ip, (uint64_t)si->si_addr, regs->err);
}

/* Where a kernel may have its stacks: nothing else is mapped at all times. */
static bool stack_valid(uint64_t frame)
{
	if (frame >= LUCID_DIRECT_BASE)
		return frame - LUCID_DIRECT_BASE <= info->ram_size - LUCID_FRAME_SIZE;
	return frame >= LUCID_IMAGE_BASE && frame + LUCID_FRAME_SIZE <= LUCID_IMAGE_END;
}

static struct lucid_frame *make_frame(uint64_t at, const struct sigcontext_64 *r)
{
	struct lucid_frame *f = (struct lucid_frame *)at;

	if (!vcpu->entry)
		stub_crash(CRASH_NO_ENTRY, r->ip, r->cr2, r->trapno);
	if (!stack_valid(at))
		stub_crash(CRASH_BAD_STACK, r->ip, at, r->trapno);
	f->r15 = r->r15;
	f->r14 = r->r14;
	f->r13 = r->r13;
	f->r12 = r->r12;
	f->rbp = r->bp;
	f->rbx = r->bx;
	f->r11 = r->r11;
	f->r10 = r->r10;
	f->r9 = r->r9;
	f->r8 = r->r8;
	f->rax = r->ax;
	f->rcx = r->cx;
	f->rdx = r->dx;
	f->rsi = r->si;
	f->rdi = r->di;
	f->orig = ~0ul;
	f->rip = r->ip;
	f->rflags = r->flags;
	f->rsp = r->sp;
	return f;
}

static struct lucid_frame *user_frame(const struct sigcontext_64 *r)
{
	struct lucid_frame *f = make_frame(vcpu->kernel_sp - LUCID_FRAME_SIZE, r);

	f->cs = LUCID_USER_CS;
	f->ss = LUCID_USER_SS;
	f->rflags |= RFLAGS_IF;
	return f;
}

static struct lucid_frame *kernel_frame(const struct sigcontext_64 *r)
{
	uint64_t top = (r->sp - LUCID_TRAP_GAP) & ~15ul;
	struct lucid_frame *f = make_frame(top - LUCID_FRAME_SIZE, r);

	f->cs = LUCID_KERNEL_CS;
	f->ss = LUCID_KERNEL_SS;
	f->rflags = vcpu->vif ? f->rflags | RFLAGS_IF : f->rflags & ~RFLAGS_IF;
	return f;
}

/*
 * The host has reset the FPU for its handler; the interrupted state is in the
 * signal frame. Only what the guest has is asked for: PKRU is the stub's business,
 * and where the CPU has AMX, whose tiles no guest has, the host's frame ends before
 * their place while XRSTOR looks at it all the same.
 */
static void restore_fpu(const struct sigcontext_64 *r)
{
	if (r->fpstate)
		__builtin_ia32_xrstor64((void *)r->fpstate, (long long)info->xcr0);
}

/* Signal number and code, trap number and error code: to an x86 vector. */
static void decode(int sig, const siginfo_t *si, const struct sigcontext_64 *r, struct trap *t)
{
	*t = (struct trap){LUCID_VEC_GP, 0, 0};
	switch (sig) {
	case SIGSEGV:
		if (si->si_code != SI_KERNEL_CODE && si->si_code > 0) {
			t->vector = LUCID_VEC_PF;
			t->addr = (uint64_t)si->si_addr;
			t->error = r->err & (PF_WRITE | PF_EXEC);
		} else if (r->trapno == LUCID_VEC_OF) {
			t->vector = LUCID_VEC_OF;
		} else if (r->trapno == LUCID_VEC_GP) {
			t->error = r->err;
		}
		break;
	case SIGBUS:
		if (r->trapno == LUCID_VEC_AC)
			t->vector = LUCID_VEC_AC;
		else if (r->trapno == LUCID_VEC_SS)
			t->vector = LUCID_VEC_SS;
		else /* the host could not give the page: no memory, or a bad one */
			stub_crash(CRASH_HOST, r->ip, (uint64_t)si->si_addr, SIGBUS);
		break;
	case SIGILL:
		t->vector = LUCID_VEC_UD;
		break;
	case SIGFPE:
		t->vector = r->trapno == LUCID_VEC_XM || r->trapno == LUCID_VEC_MF
				    ? (unsigned)r->trapno
				    : LUCID_VEC_DE;
		break;
	case SIGTRAP:
		t->vector = r->trapno == LUCID_VEC_BP ? LUCID_VEC_BP : LUCID_VEC_DB;
		vcpu->dr6 = DR6_INIT | ((r->flags & RFLAGS_TF) ? DR6_BS : 0);
		break;
	}
}

/* CPUID faults where the host lets it: the answers are lucid_info's. */
static bool emulate_cpuid(const struct trap *t, struct sigcontext_64 *r, bool user)
{
	const unsigned char *insn = (const unsigned char *)r->ip;
	unsigned char read[2];
	unsigned i, leaf = (unsigned)r->ax, subleaf = (unsigned)r->cx;

	if (!(info->features & LUCID_FEATURE_CPUID) || t->vector != LUCID_VEC_GP || t->error)
		return false;
	if (r->ip >= LUCID_KERNEL_END) /* the host's vsyscall page: not readable */
		return false;
	if (user && priv->twin) { /* the address is whatever the program likes */
		if (!twin_read(r->ip, read, sizeof(read)))
			return false;
		insn = read;
	}
	if (insn[0] != 0x0f || insn[1] != 0xa2)
		return false;
	r->ax = r->bx = r->cx = r->dx = 0;
	for (i = 0; i < info->cpuid_count && i < LUCID_CPUID_LEAVES; i++) {
		const struct lucid_cpuid *c = &info->cpuid[i];

		if (c->leaf == leaf && (c->subleaf == subleaf || c->subleaf == ~0u)) {
			r->ax = c->eax;
			r->bx = c->ebx;
			r->cx = c->ecx;
			r->dx = c->edx;
			break;
		}
	}
	r->ip += 2;
	return true;
}

static _Noreturn void enter_from_user(struct lucid_frame *f, uint64_t error, unsigned vector)
{
	__builtin_ia32_wrgsbase64(vcpu->kernel_gs);
	vcpu->vif = 0;
	stub_enter(f, error, vector);
}

static _Noreturn void user_syscall(const siginfo_t *si, const struct sigcontext_64 *r)
{
	struct lucid_frame *f = user_frame(r);

	if (si->si_arch != AUDIT_ARCH_X86_64_VALUE) { /* int 0x80 or sysenter: no such gate */
		f->rip -= 2;
		enter_from_user(f, 0x80 * 8 + 2, LUCID_VEC_GP);
	}
	f->orig = r->ax;
	vcpu->count_syscall++;
	enter_from_user(f, 0, LUCID_VEC_SYSCALL);
}

static bool user_may_fill(const siginfo_t *si, uint64_t addr)
{
	return si->si_code != SEGV_PKUERR_CODE && addr < LUCID_KERNEL_END &&
	       (addr < LUCID_IMAGE_BASE || addr >= LUCID_WINDOW_END);
}

/* Others do not wait for a vCPU that is in user mode when it is kicked: hypercall_sync(). */
void flush_before_kernel(void)
{
	if (priv->kernel_gen != __atomic_load_n(&machine->kernel_gen, __ATOMIC_SEQ_CST))
		flush_catch_up();
}

_Noreturn void user_trapped(int sig, const siginfo_t *si, struct sigcontext_64 *r, uint64_t gs)
{
	struct trap t;
	bool present = true;

	vcpu->user_gs = gs;
	if (in_range(r->ip, stub_syscall, stub_syscall_entered)) {
		/* The program is to come back by its system call instruction. */
		r->ip = r->cx - 2;
		r->dx = r->r11;
		if (sig != STUB_KICK_SIGNAL)
			stub_leave(user_frame(r));
	}
	if (sig == STUB_KICK_SIGNAL) {
		if (pause_wanted())
			stub_stop(user_frame(r));
		if (!load_acquire(&vcpu->pending))
			stub_leave(user_frame(r));
		vcpu->count_event++;
		enter_from_user(user_frame(r), 0, LUCID_VEC_EVENT);
	}
	if (sig == SIGSYS)
		user_syscall(si, r);
	decode(sig, si, r, &t);
	vcpu->count_trap++;
	if (t.vector == LUCID_VEC_PF) {
		t.error |= PF_USER;
		priv->twin_fault = priv->twin;
		if (user_may_fill(si, t.addr) && tlb_fill(t.addr, (unsigned)t.error, &present))
			stub_leave(user_frame(r));
		t.error |= present ? PF_PRESENT : 0;
		vcpu->cr2 = t.addr;
	} else if (emulate_cpuid(&t, r, true)) {
		if (!(r->flags & RFLAGS_TF))
			stub_leave(user_frame(r));
		/* A step over it is one like any other. */
		t = (struct trap){LUCID_VEC_DB, 0, 0};
		vcpu->dr6 = DR6_INIT | DR6_BS;
	}
	enter_from_user(user_frame(r), t.error, t.vector);
}

static _Noreturn void user_trap(int sig, const siginfo_t *si, struct sigcontext_64 *r)
{
	priv->user.selector = 0;
	vcpu->mode = LUCID_MODE_KERNEL;
	restore_fpu(r);
	if (sig == STUB_KICK_SIGNAL)
		kick_taken();
	flush_before_kernel();
	user_trapped(sig, si, r, __builtin_ia32_rdgsbase64());
}

_Noreturn void user_exit_fault(struct lucid_frame *frame)
{
	enter_from_user(frame, 0, LUCID_VEC_GP);
}

static _Noreturn void enter_from_kernel(
	const struct sigcontext_64 *r, uint64_t error, unsigned vector)
{
	struct lucid_frame *f = kernel_frame(r);

	vcpu->vif = 0;
	restore_fpu(r);
	stub_enter(f, error, vector);
}

/*
 * The kernel's registers go from the signal frame to its stack, as if it had been
 * interrupted, whether interrupts are on or not; where it has no stack it goes on, and
 * the monitor tries again.
 */
static void kernel_pause(const struct sigcontext_64 *r)
{
	if (!pause_wanted() || !vcpu->entry ||
		!stack_valid(((r->sp - LUCID_TRAP_GAP) & ~15ul) - LUCID_FRAME_SIZE))
		return;
	restore_fpu(r);
	stub_stop(kernel_frame(r));
}

/* The other way out of stub_resume_kernel(). */
_Noreturn void stub_deliver_kernel(struct ucontext *uc);
_Noreturn void stub_deliver_kernel(struct ucontext *uc)
{
	struct sigcontext_64 *r = (struct sigcontext_64 *)&uc->uc_mcontext;

	kernel_pause(r);
	vcpu->count_event++;
	enter_from_kernel(r, 0, LUCID_VEC_EVENT);
}

static _Noreturn void kernel_trap(int sig, const siginfo_t *si, struct ucontext *uc)
{
	struct sigcontext_64 *r = (struct sigcontext_64 *)&uc->uc_mcontext;
	struct trap t;
	bool present = true;

	if (sig == STUB_KICK_SIGNAL) {
		kick_taken();
		kernel_pause(r);
		stub_resume_kernel(uc);
	}
	if (sig == SIGSYS)
		crash_signal(sig, si, r);
	decode(sig, si, r, &t);
	if (t.vector == LUCID_VEC_PF) {
		priv->twin_fault = 0;
		if (tlb_fill(t.addr, (unsigned)t.error, &present))
			stub_resume_kernel(uc);
		t.error |= present ? PF_PRESENT : 0;
		vcpu->cr2 = t.addr;
	} else if (emulate_cpuid(&t, r, false)) {
		stub_resume_kernel(uc);
	}
	enter_from_kernel(r, t.error, t.vector);
}

/*
 * A signal that found the stub itself running. A kick has nothing to do but to
 * make a restartable sequence look again; a fault is the user frame's if the last
 * exit made it (a non-canonical RIP in iretq), else the end.
 */
static _Noreturn void stub_trap(int sig, const siginfo_t *si, struct ucontext *uc, unsigned mode)
{
	struct sigcontext_64 *r = (struct sigcontext_64 *)&uc->uc_mcontext;

	/*
	 * Still set where a kick came on top of a signal from user mode, before that
	 * one's handler had got far: rt_sigreturn would trap.
	 */
	priv->user.selector = 0;
	if (sig == STUB_KICK_SIGNAL)
		kick_taken();
	if (in_range(r->ip, stub_return_start, stub_return_end)) {
		vcpu->mode = LUCID_MODE_KERNEL;
		if (sig != STUB_KICK_SIGNAL) {
			struct lucid_frame *f = (struct lucid_frame *)vcpu->ret_frame;

			if (!stack_valid((uint64_t)f) || !(f->cs & 3))
				crash_signal(sig, si, r);
			restore_fpu(r);
			user_exit_fault(f);
		}
		vcpu->count_rewind++;
		flush_before_kernel();
		r->ip = (uint64_t)stub_return_restart;
		r->flags = RFLAGS_IF; /* may be the program's already */
		stub_sigreturn(uc, LUCID_MODE_KERNEL);
	}
	if (sig != STUB_KICK_SIGNAL)
		crash_signal(sig, si, r);
	if (in_range(r->ip, stub_tail_start, stub_tail_end)) {
		vcpu->count_rewind++;
		r->ip = (uint64_t)stub_tail_start;
	} else if (in_range(r->ip, stub_resume_start, stub_resume_end)) {
		vcpu->count_rewind++;
		r->ip = (uint64_t)stub_resume_start;
	} else if (in_range(r->ip, twin_receive_start, twin_receive_end)) {
		vcpu->count_rewind++;
		r->ip = (uint64_t)twin_receive_start;
	} else if (in_range(r->ip, stub_again_start, stub_again_end)) {
		r->ip = (uint64_t)stub_again_start;
	}
	/* User mode: where a handler had not looked at the mode yet, or had put it back. */
	stub_sigreturn(uc, mode);
}

/*
 * A program may jump into the stub's text: nothing stops it, and its faults there
 * are its own. In the way out, which user mode runs as well, they look like a bad frame.
 */
static bool user_in_stub(int sig, uint64_t rip, unsigned mode)
{
	if (mode != LUCID_MODE_USER || in_range(rip, stub_return_start, stub_return_end))
		return false;
	return sig != STUB_KICK_SIGNAL ||
	       (!in_range(rip, stub_signal_entry_pku, stub_signal_entered) &&
		       !in_range(rip, stub_again_start, stub_again_end));
}

/* Called from entry.S with the host's arguments and the mode, in kernel PKRU. */
_Noreturn void stub_signal(int sig, siginfo_t *si, struct ucontext *uc, unsigned mode);
_Noreturn void stub_signal(int sig, siginfo_t *si, struct ucontext *uc, unsigned mode)
{
	struct sigcontext_64 *r = (struct sigcontext_64 *)&uc->uc_mcontext;

	if (sig == STUB_TWIN_SIGNAL) {
		priv->twin_dead = 1;
		sig = STUB_KICK_SIGNAL;
	}
	if (in_range(r->ip, stub_text_start, stub_text_end) && !user_in_stub(sig, r->ip, mode))
		stub_trap(sig, si, uc, mode);
	if (mode == LUCID_MODE_USER)
		user_trap(sig, si, r);
	kernel_trap(sig, si, uc);
}
