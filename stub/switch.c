/* SPDX-License-Identifier: MIT */
/*
 * Spaces and the baton: which process runs the vCPU. The zygote makes spaces on
 * the monitor's order; each waits on its slot's word.
 */
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/signal.h>

#include "stub/stub.h"
#include "stub/sys.h"
#include "stub/twin.h"

/* A death in user mode: the guest kernel sees a #GP where it last returned to. */
static _Noreturn void resume_fault(void)
{
	struct lucid_frame *frame = (struct lucid_frame *)vcpu->ret_frame;

	__builtin_ia32_wrfsbase64(0);
	__builtin_ia32_wrgsbase64(vcpu->kernel_gs);
	vcpu->mode = LUCID_MODE_KERNEL;
	vcpu->vif = 0;
	stub_enter(frame, 0, LUCID_VEC_GP);
}

static _Noreturn void take_baton(struct stub_slot *me)
{
	unsigned resume = shared->resume;

	store_release(&me->word, SLOT_HELD);
	/* Kicks for the vCPU are ours from here on; the way out looks for earlier ones. */
	if (info->vcpus > 1) {
		sys3(__NR_fcntl, STUB_FD_KICK + (int)vcpu->id, F_SETOWN, (long)priv->pid);
		kick_taken();
	}
	place_take();
	flush_catch_up();
	if (me->flush)
		flush_user_all();
	shared->resume = RESUME_SWITCH;
	if (resume == RESUME_START) {
		__builtin_ia32_xrstor64(shared->xsave, (long long)shared->xcr0);
		stub_start(shared->start, shared->start_sp);
	}
	if (resume == RESUME_FAULT)
		resume_fault();
	stub_switched();
}

_Noreturn void space_wait(void)
{
	struct stub_slot *me = &shared->slot[priv->slot];
	uint64_t begin;

	for (;;) {
		unsigned word = load_acquire(&me->word);

		if (word == SLOT_RUN)
			take_baton(me);
		if (word == SLOT_CLEAN) {
			begin = __builtin_ia32_rdtsc();
			flush_user_all();
			if (priv->twin)
				twin_work();
			place_left(begin);
			/* The monitor's and our own view: now a spare. */
			store_release(&me->word, SLOT_IDLE);
			continue;
		}
		sys_futex_wait(&me->word, word, 0);
	}
}

/* The second half of stub_switch(), on the stub's own stack. */
_Noreturn void space_pass(unsigned slot, unsigned leave_as);
_Noreturn void space_pass(unsigned slot, unsigned leave_as)
{
	struct stub_slot *me = &shared->slot[priv->slot], *to = &shared->slot[slot];
	uint64_t begin;

	if (slot == STUB_SLOTS) {
		store_release(&me->word, leave_as);
		space_wait();
	}
	store_release(&me->word, leave_as);
	store_release(&shared->current, slot);
	store_release(&to->word, SLOT_RUN);
	begin = __builtin_ia32_rdtsc();
	sys_futex_wake(&to->word);
	place_left(begin);
	space_wait();
}

/* Sees to it that slot has a process. */
static void require(unsigned slot)
{
	struct stub_slot *s = &shared->slot[slot];

	if (load_acquire(&s->word) != SLOT_ABSENT)
		return;
	s->maps = 0;
	s->flush = 0;
	s->writable = 0;
	if (monitor_call(STUB_MC_SPACE, slot, 0, 0, 0, 0) != 0)
		stub_crash(CRASH_MONITOR, 0, slot, 0);
}

/* A slot that no ASID uses and that is clean; STUB_SLOTS if there is none. */
static unsigned find_spare(void)
{
	bool used[STUB_SLOTS] = {false};
	unsigned i;

	for (i = 0; i < LUCID_ASIDS; i++)
		if (shared->asid_slot[i] < STUB_SLOTS)
			used[shared->asid_slot[i]] = true;
	for (i = 0; i < STUB_SLOTS; i++) {
		unsigned word = load_acquire(&shared->slot[i].word);

		if (!used[i] && (word == SLOT_IDLE || word == SLOT_ABSENT))
			return i;
	}
	return STUB_SLOTS;
}

bool switch_retire(void)
{
	unsigned asid = (unsigned)(vcpu->cr3 & LUCID_CR3_ASID_MASK);
	unsigned spare = find_spare();

	if (spare == STUB_SLOTS)
		return false;
	require(spare);
	vcpu->count_retire++;
	shared->asid_slot[asid] = spare;
	stub_switch(spare, SLOT_CLEAN);
	return true;
}

/* A new address space takes over an ASID whose space is full of the old one's pages. */
static unsigned retire_other(unsigned asid, unsigned slot)
{
	unsigned spare = find_spare(), idle = SLOT_IDLE;

	/* The monitor may take the old one for dead at any time. */
	if (spare == STUB_SLOTS || !__atomic_compare_exchange_n(&shared->slot[slot].word, &idle,
					   SLOT_CLEAN, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		return slot;
	vcpu->count_retire++;
	shared->asid_slot[asid] = spare;
	sys_futex_wake(&shared->slot[slot].word);
	return spare;
}

void stub_renew(void)
{
	if (!switch_retire())
		sys3(__NR_exit_group, 4, 0, 0);
}

#define RETIRE_OTHER_MAPS 32

void hypercall_set_cr3(uint64_t cr3);
void hypercall_set_cr3(uint64_t cr3)
{
	unsigned asid = (unsigned)(cr3 & LUCID_CR3_ASID_MASK);
	bool flush = !(cr3 & LUCID_CR3_NOFLUSH);
	unsigned slot;

	if (asid >= LUCID_ASIDS || shared->asid_slot[asid] >= STUB_SLOTS)
		stub_crash(CRASH_BAD_ASID, (uint64_t)__builtin_return_address(0), cr3, 0);
	vcpu->cr3 = cr3 & ~LUCID_CR3_NOFLUSH;
	slot = shared->asid_slot[asid];
	if (slot == priv->slot) {
		if (flush)
			flush_user_all();
		return;
	}
	if (flush && shared->slot[slot].maps >= RETIRE_OTHER_MAPS &&
		load_acquire(&shared->slot[slot].word) == SLOT_IDLE)
		slot = retire_other(asid, slot);
	require(slot);
	if (flush && shared->slot[slot].maps)
		shared->slot[slot].flush = 1;
	vcpu->count_switch++;
	stub_switch(slot, SLOT_IDLE);
}

/* The list lets a space own its vCPU's kicks in its own name alone, and reach its own twin. */
static void complete_list(void)
{
	struct sock_filter *program = (struct sock_filter *)priv->filter;
	unsigned i;

	for (i = 0; i < priv->filter_len; i++) {
		if (program[i].k == STUB_FILTER_PID)
			program[i].k = (unsigned)priv->pid;
		else if (program[i].k == STUB_FILTER_TWIN)
			program[i].k = priv->twin_fd;
		else if (program[i].k == STUB_FILTER_NOTIFY)
			program[i].k = priv->notify_fd;
	}
}

/*
 * A new space, on the zygote's stack copy: dies with the monitor, traps user
 * system calls, and is confined from here on.
 */
static _Noreturn void space_main(unsigned slot)
{
	struct {
		unsigned short len;
		const void *filter;
	} program = {priv->filter_len, priv->filter};

	sys3(__NR_close, STUB_FD_ZYGOTE, 0, 0);
	sys4(__NR_openat, STUB_FD_PROC, (long)"self/schedstat", O_RDONLY, 0);
	sys3(__NR_close, STUB_FD_PROC, 0, 0);
	priv->pid = (unsigned long)sys3(__NR_getpid, 0, 0, 0);
	if (info->vcpus > 1)
		sys3(__NR_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0);
	sys3(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0);
	if (sys3(__NR_getppid, 0, 0, 0) != (long)priv->monitor)
		sys3(__NR_exit_group, 1, 0, 0);
	priv->slot = slot;
	if (priv->twin && !twin_create())
		sys3(__NR_exit_group, 2, 0, 0);
	complete_list();
	if (sys6(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0,
		    (long)&priv->user.selector, 0) ||
		sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program))
		sys3(__NR_exit_group, 2, 0, 0);
	space_wait();
}

/* What is left of the monitor in a fork of it: all between the guest's windows and the stub. */
static void unmap_rest(void)
{
	const unsigned long range[][2] = {
		{0, LUCID_IMAGE_BASE},
		{LUCID_WINDOW_END, LUCID_DIRECT_BASE},
		{LUCID_DIRECT_END, LUCID_STUB_BASE},
		{STUB_SHARED_ADDR + STUB_SHARED_SIZE, STUB_MACHINE_ADDR},
		{STUB_MACHINE_ADDR + STUB_MACHINE_SIZE, LUCID_VCPUS_ADDR},
		{LUCID_VCPUS_ADDR + info->vcpus * LUCID_VCPU_SIZE, LUCID_STUB_END},
	};
	unsigned i;

	for (i = 0; i < sizeof(range) / sizeof(range[0]); i++)
		sys3(__NR_munmap, (long)range[i][0], (long)(range[i][1] - range[i][0]), 0);
	for (i = 0; i < 3; i++)
		sys3(__NR_close, i, 0, 0);
}

/* The zygote's loop: an order comes in, a space is made, its process id goes out. */
_Noreturn void stub_zygote(void);
_Noreturn void stub_zygote(void)
{
	struct stub_order order;
	long answer;

	unmap_rest();
	while (sys3(__NR_read, STUB_FD_ZYGOTE, (long)&order, sizeof(order)) == sizeof(order)) {
		if (order.pid) {
			answer = order.slot == STUB_SLOTS ? twin_of(order.pid)
							  : page_tables(order.pid);
		} else {
			/* The monitor's child, not ours: it reaps it, and kills what is its own. */
			answer = sys6(__NR_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0);
			if (answer == 0)
				space_main(order.slot);
		}
		sys3(__NR_write, STUB_FD_ZYGOTE, (long)&answer, sizeof(answer));
	}
	for (;;)
		sys3(__NR_exit_group, 0, 0, 0);
}
