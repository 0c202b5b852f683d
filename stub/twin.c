/* SPDX-License-Identifier: MIT */
/*
 * Split isolation: user mode runs in a process of its own, the space's twin. It maps user
 * memory, a page of text (twin_text.S), and what the space lets it read (struct stub_twin);
 * nothing of the kernel.
 *
 * The program is master of the twin: it sets all registers, writes all memory that is
 * writable there, jumps where it likes, and can make the few host system calls of the twin's
 * list. But those that matter stop the twin until the space has answered (the host's seccomp
 * notification), and each is looked at first:
 *
 * - The yield: made in the right place it says that a signal has come. Its frame lies in
 *   memory that the program can write, so it is no more than a wish for registers of its
 *   own, which it could have loaded anyway. It is copied and made harmless. The twin stands
 *   still while the kernel runs, which no program can fake.
 * - Calls that map memory: the space has ordered them, in this order, with these arguments,
 *   or the twin dies. From an answer to user mode the twin executes what is in twin_text.S
 *   with nothing but the space's orders in registers, so what was ordered is done before
 *   the program runs again, or the twin comes back from within that text. Should the
 *   program pretend that it does, the orders are repeated, which changes nothing.
 *
 * To drop and protect its own mappings needs no permission: programs lose what they had.
 */
#include <linux/ioctl.h>
#include <linux/seccomp.h>
#include <linux/signal.h>
#include <asm/sigcontext.h>
#include <asm/ucontext.h>

#include "stub/sys.h"
#include "stub/twin.h"

#define EINTR 4
#define EBADF 9
#define EAGAIN 11
#define ENOMEM 12
#define ENOTTY 25
#define EINVAL 22
#define ENOENT 2

#define BOOT_LOOKS 100000 /* of 20 us */
#define FAILED_MAX 3
/* What user mode can have in RFLAGS: ID, AC, RF, NT, OF, DF, IF, TF, SF, ZF, AF, PF, CF. */
#define RFLAGS_USER 0x254fd5
#define RFLAGS_FIXED 2
/* Kicks that came one on top of another, before the twin could say so. */
#define NESTED_MAX 8

/* What stopped the twin: signal 0 is none. */
struct stop {
	uint64_t sig, detail, context, fs, gs; /* detail: siginfo; an error */
};

/* The program gets a fault, or what ran in kernel mode goes on in another space. */
_Noreturn void twin_give_up(void)
{
	for (;;)
		sys3(__NR_exit_group, 4, 0, 0);
}

/* The same for a program that has told us what cannot be. */
static _Noreturn void end_program(void)
{
	vcpu->mode = LUCID_MODE_USER;
	twin_give_up();
}

static uint64_t address(const char *label)
{
	return (uint64_t)label;
}

/* ---- Talking to it ------------------------------------------------------------- */

static void answer(uint64_t id, unsigned flags)
{
	struct seccomp_notif_resp resp = {.id = id, .flags = flags};
	long ret;

	do {
		ret = sys3(
			__NR_ioctl, priv->notify_fd, (long)SECCOMP_IOCTL_NOTIF_SEND, (long)&resp);
	} while (ret == -EINTR);
	if (ret)
		twin_give_up();
}

/*
 * The next call. An event that comes meanwhile, if any is to interrupt it, makes the twin
 * stop by a signal, once.
 */
static void receive(struct seccomp_notif *call, uint64_t *mask)
{
	struct sys_timespec wait = {0, 20000};
	unsigned looks = 0, word = 0;

	for (;;) {
		long ret;

		*call = (struct seccomp_notif){0};
		ret = twin_receive(call, priv->notify_fd, *mask);
		switch (ret) {
		case 0:
			return;
		case -EAGAIN:
			*mask = 0;
			sys4(__NR_pidfd_send_signal, priv->twin_fd, STUB_KICK_SIGNAL, 0, 0);
			break;
		case -EINTR: /* a kick of ours */
		case -ENOENT: /* it has gone back, for a kick of its own; or it has ended just now
			       */
			break;
		case -EBADF: /* it has not got so far yet */
		case -ENOTTY:
			if (++looks > BOOT_LOOKS)
				twin_give_up();
			sys_futex_wait(&word, 0, &wait);
			break;
		default:
			twin_give_up();
		}
	}
}

/* Is it the call that is due? Those that are not asked about have been made by then. */
static bool ordered(const struct seccomp_data *d, unsigned *next)
{
	const struct stub_twin_call *c;
	unsigned i;

	while (*next < orders->count &&
		(orders->call[*next].nr == __NR_munmap || orders->call[*next].nr == __NR_mprotect))
		(*next)++;
	if (*next >= orders->count || d->instruction_pointer != address(twin_called))
		return false;
	c = &orders->call[(*next)++];
	if (c->nr != (unsigned)d->nr)
		return false;
	for (i = 0; i < 6; i++)
		if (c->arg[i] != d->args[i])
			return false;
	return true;
}

/* Waits until it yields, and sees that it does what it was told meanwhile. */
static void wait_for_yield(struct stop *stop, uint64_t mask)
{
	struct seccomp_notif call;
	unsigned next = 0;

	for (;;) {
		receive(&call, &mask);
		if (call.data.nr == STUB_TWIN_YIELD)
			break;
		if (!ordered(&call.data, &next))
			twin_give_up();
		answer(call.id, SECCOMP_USER_NOTIF_FLAG_CONTINUE);
	}
	if (call.data.instruction_pointer != address(twin_exit))
		twin_give_up();
	priv->twin_call = call.id;
	*stop = (struct stop){call.data.args[0], call.data.args[1], call.data.args[2],
		call.data.args[3], call.data.args[4]};
}

static void start(struct stop *stop)
{
	if (!priv->twin_call)
		wait_for_yield(stop, 0);
}

static void go(struct stop *stop, bool resume)
{
	start(stop);
	orders->resume = resume;
	answer(priv->twin_call, 0);
	wait_for_yield(stop, resume ? ~0ul : 0);
}

/* ---- What stopped it --------------------------------------------------------------- */

static bool in_stack(uint64_t addr, uint64_t size)
{
	return addr >= STUB_TWIN_STACK_ADDR &&
	       addr <= STUB_TWIN_STACK_ADDR + STUB_TWIN_STACK_SIZE - size;
}

static bool within(uint64_t rip, const char *start_label, const char *end_label)
{
	return rip >= address(start_label) && rip < address(end_label);
}

static void fetch_registers(const struct stop *stop, struct sigcontext_64 *regs)
{
	const struct ucontext *uc = (const struct ucontext *)stop->context;

	if (!in_stack(stop->context, sizeof(*uc)))
		end_program();
	twin_copy(regs, &uc->uc_mcontext, sizeof(*regs));
	regs->flags = (regs->flags & RFLAGS_USER) | RFLAGS_FIXED;
}

/*
 * The signal that says what user mode did: kicks may have come on top of it. false: it is
 * none, but what became of the calls.
 */
static bool unwind(struct stop *stop, struct sigcontext_64 *regs)
{
	unsigned i;

	for (i = 0; i < NESTED_MAX; i++) {
		if (!(int)stop->sig)
			return false;
		fetch_registers(stop, regs);
		if (!within(regs->ip, twin_signal, twin_exit))
			return true;
		stop->sig = regs->di;
		stop->detail = regs->si;
		stop->context = regs->dx;
	}
	end_program();
}

/* User mode's FPU state into the FPU: only what the guest has, and nothing that faults. */
static void load_fpu(struct sigcontext_64 *regs)
{
	unsigned *mxcsr = (unsigned *)(orders->xsave + 24);
	uint64_t *header = (uint64_t *)(orders->xsave + 512);
	unsigned i;

	if (!regs->fpstate)
		return;
	if (!in_stack((uint64_t)regs->fpstate, priv->xsave_size))
		end_program();
	twin_copy(orders->xsave, (const void *)regs->fpstate, priv->xsave_size);
	*mxcsr &= 0xffff;
	header[0] &= info->xcr0;
	for (i = 1; i < 8; i++)
		header[i] = 0;
	__builtin_ia32_xrstor64(orders->xsave, (long long)info->xcr0);
	regs->fpstate = 0;
}

static bool canonical(uint64_t addr)
{
	return (uint64_t)((int64_t)(addr << 16) >> 16) == addr;
}

static void load_fs(uint64_t fs)
{
	__builtin_ia32_wrfsbase64(canonical(fs) ? fs : 0);
}

static _Noreturn void stopped_in_user(struct stop *stop, struct sigcontext_64 *regs)
{
	siginfo_t si;

	if (!in_stack(stop->detail, sizeof(si)))
		end_program();
	twin_copy(&si, (const void *)stop->detail, sizeof(si));
	/* That the host has no page ends a machine, and a program could say so: a #GP. */
	if ((int)stop->sig == SIGBUS && regs->trapno != LUCID_VEC_AC &&
		regs->trapno != LUCID_VEC_SS) {
		stop->sig = SIGSEGV;
		si.si_code = SI_KERNEL;
		regs->trapno = LUCID_VEC_GP;
		regs->err = 0;
	}
	load_fpu(regs);
	load_fs(stop->fs);
	user_trapped((int)stop->sig, &si, regs, canonical(stop->gs) ? stop->gs : 0);
}

/*
 * The host has refused a call, or the program says so. All mappings go, and with them what
 * was ordered. No memory: it is tried again. Else, or if that does not help, the program
 * gets a fault.
 */
static bool forgive(const struct stop *stop)
{
	uint64_t i = (stop->context - (uint64_t)orders->call) / sizeof(orders->call[0]);
	bool place = i < orders->count && orders->call[i].nr == __NR_sched_setaffinity;

	priv->twin_maps = 1;
	twin_unmap_all();
	if (place) /* a CPU that the host has taken away meanwhile */
		return true;
	return (int)stop->detail == -ENOMEM && ++priv->twin_failed < FAILED_MAX;
}

void twin_work(void)
{
	struct sigcontext_64 regs;
	struct stop stop;

	for (;;) {
		if (priv->twin_dead)
			twin_give_up();
		go(&stop, false);
		/* A late kick: from the top. No program runs meanwhile. */
		if (unwind(&stop, &regs))
			continue;
		if (!stop.detail)
			break;
		if (!forgive(&stop))
			twin_give_up();
	}
	priv->twin_failed = 0;
	orders->count = 0;
}

/* ---- Into user mode --------------------------------------------------------------- */

static void save_fpu(void)
{
	unsigned eax = (unsigned)info->xcr0, edx = (unsigned)(info->xcr0 >> 32);

	if (priv->xsavec)
		__asm__ volatile("xsavec64 (%0)"
				 :
				 : "r"(orders->xsave), "a"(eax), "d"(edx)
				 : "memory");
	else
		__asm__ volatile("xsave64 (%0)"
				 :
				 : "r"(orders->xsave), "a"(eax), "d"(edx)
				 : "memory");
}

static void give(const struct lucid_frame *frame)
{
	twin_copy(&orders->frame, frame, sizeof(*frame));
	orders->frame.cs = LUCID_USER_CS;
	orders->frame.ss = LUCID_USER_SS;
	orders->fs = __builtin_ia32_rdfsbase64();
	orders->gs = canonical(vcpu->user_gs) ? vcpu->user_gs : 0;
	save_fpu();
}

/* From entry.S, on the stub's own stack: to user mode through the frame, and back by a trap. */
_Noreturn void twin_run(struct lucid_frame *frame);
_Noreturn void twin_run(struct lucid_frame *frame)
{
	struct sigcontext_64 regs;
	struct stop stop;

	give(frame);
	for (;;) {
		if (load_acquire(&vcpu->pending))
			stub_event(frame);
		twin_follow_place();
		vcpu->mode = LUCID_MODE_USER;
		go(&stop, true);
		vcpu->mode = LUCID_MODE_KERNEL;
		flush_before_kernel();
		if (!unwind(&stop, &regs)) {
			if (!stop.detail || forgive(&stop))
				continue;
			user_exit_fault(frame);
		}
		if (!within(regs.ip, twin_exit, twin_end))
			break;
		/* Nothing says how far it got: a program can have TF set on its way out. */
		if ((int)stop.sig != STUB_KICK_SIGNAL)
			user_exit_fault(frame);
		vcpu->count_rewind++;
	}
	orders->count = 0;
	priv->twin_failed = 0;
	stopped_in_user(&stop, &regs);
}
