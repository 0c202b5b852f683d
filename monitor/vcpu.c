/* SPDX-License-Identifier: MIT */
/*
 * The monitor's side of a vCPU: events into it, calls out of it, and what to do
 * when one of its spaces dies. All it shares with the guest is read once and checked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/futex.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/machine.h"
#include "monitor/memory.h"

#define load(p) __atomic_load_n(p, __ATOMIC_SEQ_CST)
#define store(p, v) __atomic_store_n(p, v, __ATOMIC_SEQ_CST)
/* Spaces that died before they ran, in a machine's life: then there is something wrong. */
#define LOST_BATONS_MAX 100

#define exchange(p, v) __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)

static void wake(unsigned *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/*
 * The bit is set before the vCPU's state is looked at, and the vCPU looks at the
 * bit after each change of its state: one of both sees the other. While bits are
 * pending the vCPU has been kicked for them already.
 */
void vcpu_raise(void *machine, unsigned event)
{
	struct machine *m = machine;
	struct lucid_vcpu *v = m->control.vcpu;

	if (__atomic_fetch_or(&v->pending, 1ul << event, __ATOMIC_SEQ_CST))
		return;
	if (exchange(&v->halted, 0u))
		wake(&v->halted);
	else
		spaces_kick(&m->spaces, load(&m->control.shared->current));
}

void vcpu_timer(void *machine, uint32_t events)
{
	struct machine *m = machine;
	uint64_t count;

	(void)events;
	if (read(m->timer, &count, sizeof(count)) != sizeof(count))
		return;
	/* Or a halt later on would see it pass a second time. */
	store(&m->control.shared->deadline, 0ul);
	vcpu_raise(m, LUCID_EVENT_TIMER);
}

static long wallclock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (long)t.tv_sec * 1000000000 + t.tv_nsec;
}

static long shutdown_call(struct machine *m, uint64_t how)
{
	static const enum machine_end ends[] = {
		[LUCID_SHUTDOWN_POWEROFF] = END_POWEROFF,
		[LUCID_SHUTDOWN_REBOOT] = END_REBOOT,
		[LUCID_SHUTDOWN_PANIC] = END_PANIC,
	};

	if (how > LUCID_SHUTDOWN_PANIC)
		return LUCID_E_INVAL;
	console_ring_drain(m);
	machine_stop(m, ends[how]);
	return 0;
}

static long space_call(struct machine *m, uint64_t slot)
{
	int err;

	if (slot >= STUB_SLOTS)
		return LUCID_E_INVAL;
	if (m->spaces.pid[slot])
		return 0;
	err = spaces_make(&m->spaces, (unsigned)slot);
	if (err)
		log_error("the host cannot make another process: %s", strerror(-err));
	else
		store(&m->control.shared->slot[slot].word, SLOT_IDLE);
	return err;
}

static long dispatch(struct machine *m, unsigned nr, const uint64_t arg[5])
{
	switch (nr) {
	case LUCID_MC_SHUTDOWN:
		return shutdown_call(m, arg[0]);
	case LUCID_MC_CONSOLE:
		console_ring_drain(m);
		return 0;
	case LUCID_MC_WALLCLOCK:
		return wallclock();
	case LUCID_MC_MEMORY:
		return (long)memory_pressure(m->memory, arg[0], arg[1], arg[2]);
	case STUB_MC_SPACE:
		return space_call(m, arg[0]);
	}
	if (nr >= LUCID_MC_DEV_ID && nr <= LUCID_MC_DEV_QUEUE_STOP)
		return bus_call(&m->bus, nr, arg);
	return LUCID_E_NOSYS;
}

/* A monitor call: the arguments are copied once, before anything looks at them. */
static void answer_call(struct machine *m)
{
	struct lucid_vcpu *v = m->control.vcpu;
	uint64_t arg[5];
	unsigned nr = load(&v->call_nr), i;
	long ret;

	for (i = 0; i < 5; i++)
		arg[i] = load(&v->call_arg[i]);
	m->counts[COUNT_CALLS]++;
	ret = dispatch(m, nr, arg);
	/* One that ends the machine is never answered. */
	if (m->end != END_NONE)
		return;
	store(&v->call_ret, ret);
	store(&v->call_state, LUCID_CALL_DONE);
	wake(&v->call_state);
}

void vcpu_doorbell(void *machine, uint32_t events)
{
	struct machine *m = machine;
	struct lucid_vcpu *v = m->control.vcpu;
	uint64_t count;
	unsigned dev;

	(void)events;
	if (read(m->doorbell, &count, sizeof(count)) != sizeof(count))
		return;
	m->counts[COUNT_DOORBELLS]++;
	for (dev = 0; dev < LUCID_DEVICES; dev++) {
		uint64_t queues = load(&v->notify[dev]);

		if (queues)
			bus_doorbell(&m->bus, dev, exchange(&v->notify[dev], 0ul));
	}
	if (load(&v->call_state) == LUCID_CALL_ASKED)
		answer_call(m);
}

int vcpu_start(struct machine *m, uint64_t entry)
{
	struct stub_shared *s = m->control.shared;
	const uint32_t mxcsr = 0x1f80;
	unsigned i;

	for (i = 0; i < LUCID_ASIDS; i++)
		s->asid_slot[i] = i;
	s->xcr0 = m->control.info->xcr0;
	s->start = entry;
	s->resume = RESUME_START;
	s->current = 0;
	/* What the first XRSTOR takes: all components in their initial state, MXCSR as well. */
	memcpy(s->xsave + 24, &mxcsr, sizeof(mxcsr));
	store(&s->slot[0].word, SLOT_RUN);
	return spaces_make(&m->spaces, 0);
}

static void report_crash(struct machine *m, int status)
{
	static const char *const reasons[] = {
		[CRASH_NONE] = "its process was ended",
		[CRASH_STUB_FAULT] = "its kernel broke the stub's memory",
		[CRASH_NO_ENTRY] = "it trapped before it had set a trap entry",
		[CRASH_BAD_STACK] = "it trapped with no kernel stack to report it on",
		[CRASH_BAD_ASID] = "it asked for an address space that there is not",
		[CRASH_HOST] = "the host refused a mapping",
		[CRASH_MONITOR] = "there is no process for its next address space",
		[CRASH_HYPERCALL] = "it made a hypercall with impossible arguments",
	};
	const struct stub_shared *s = m->control.shared;
	unsigned reason = load(&s->crash.reason);

	if (reason >= sizeof(reasons) / sizeof(reasons[0]))
		reason = CRASH_STUB_FAULT;
	if (reason == CRASH_HOST && load(&s->crash.detail) == SIGBUS)
		log_error("the host has no memory left for the guest; free some, or give the guest "
			  "less (--memory)");
	log_error("the guest's CPU stopped: %s (%s %d; rip %#lx, address %#lx, detail %#lx)",
		reasons[reason], WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), load(&s->crash.rip),
		load(&s->crash.addr), load(&s->crash.detail));
	machine_stop(m, END_CRASH);
}

/* Gives the baton that a dead space had to a new process in its place. */
static void rebuild(struct machine *m, unsigned slot)
{
	struct stub_slot *s = &m->control.shared->slot[slot];
	int err;

	s->maps = 0;
	s->flush = 0;
	s->writable = 0;
	store(&s->word, SLOT_RUN);
	err = spaces_make(&m->spaces, slot);
	if (err) {
		log_error("the host cannot make another process: %s", strerror(-err));
		machine_stop(m, END_HOST);
	}
}

static void running_space_died(struct machine *m, unsigned slot, int status)
{
	struct stub_shared *s = m->control.shared;

	if (load(&m->control.vcpu->mode) != LUCID_MODE_USER || load(&s->crash.reason)) {
		report_crash(m, status);
		return;
	}
	log_info("a space died in user mode (status %#x); its program gets a fault", status);
	store(&s->resume, RESUME_FAULT);
	rebuild(m, slot);
}

/*
 * A space is a cache: an idle one is forgotten and made again when it is wanted.
 * Of the one that ran, user mode's registers are lost, and what ran gets a fault;
 * with the kernel's registers the vCPU itself is lost.
 */
void vcpu_child(struct machine *m, pid_t pid, int status)
{
	struct stub_shared *s = m->control.shared;
	int slot = spaces_forget(&m->spaces, pid);
	unsigned word;

	if (slot < 0 || m->end != END_NONE)
		return;
	if (slot == STUB_SLOTS) {
		log_error("the process that makes address spaces ended (status %#x)", status);
		machine_stop(m, END_HOST);
		return;
	}
	do {
		word = load(&s->slot[slot].word);
		if (word == SLOT_RUN) {
			if (++m->lost_batons > LOST_BATONS_MAX) {
				log_error("the host ends each new process of the machine (status "
					  "%#x)",
					status);
				machine_stop(m, END_HOST);
				return;
			}
			rebuild(m, (unsigned)slot);
			return;
		}
		if (word == SLOT_HELD || load(&s->crash.reason)) {
			running_space_died(m, (unsigned)slot, status);
			return;
		}
		/* Unless it is given the baton at this moment. */
	} while (!__atomic_compare_exchange_n(&s->slot[slot].word, &word, SLOT_ABSENT, false,
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}
