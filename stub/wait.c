/* SPDX-License-Identifier: MIT */
/* How a vCPU sleeps: halted, waiting for another one's word, parked, offline. */
#include "stub/stub.h"
#include "stub/sys.h"

#define NSEC_PER_SEC 1000000000ULL
#define DEVICE_EVENTS (~0UL << LUCID_EVENT_DEVICE(0))

/*
 * Sleeps in the futex until somebody wakes it or the timer is due; the monitor has no part
 * in it. Whoever wakes sets what the vCPU looks for first, and the vCPU looks for it after
 * it has said that it sleeps: one of both sees the other.
 */
static void sleep_until(bool (*done)(void))
{
	struct sys_timespec timeout, *limit = 0;
	uint64_t left;

	if (shared->deadline) {
		if (timer_expired(&left))
			return;
		timeout = (struct sys_timespec){
			(long)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC)};
		limit = &timeout;
	}
	__atomic_store_n(&vcpu->halted, 1, __ATOMIC_SEQ_CST);
	if (!done() && !pause_wanted())
		sys_futex_wait(&vcpu->halted, 1, limit);
	__atomic_store_n(&vcpu->halted, 0, __ATOMIC_SEQ_CST);
}

/*
 * The timerfd is disarmed meanwhile: the futex's own timeout serves, and the monitor sleeps
 * on. Flushes of kernel addresses do not reach a sleeping vCPU, so they are done at the end.
 */
static void wait_for(bool (*done)(void))
{
	uint64_t left;

	if (shared->deadline)
		set_timerfd(0);
	for (;;) {
		if (pause_wanted())
			stub_pause();
		if (done())
			break;
		sleep_until(done);
	}
	if (shared->deadline)
		set_timerfd(timer_expired(&left) ? 0 : left + 1);
	flush_catch_up();
}

static bool event_pending(void)
{
	return __atomic_load_n(&vcpu->pending, __ATOMIC_SEQ_CST);
}

/* LUCID_HC_HALT: interrupts are on by the time it returns, so the tail takes what ended it. */
void hypercall_halt(void);
void hypercall_halt(void)
{
	vcpu->count_halt++;
	wait_for(event_pending);
	vcpu->vif = 1;
}

static bool woken(void)
{
	return __atomic_load_n(&vcpu->woken, __ATOMIC_SEQ_CST) || (vcpu->vif && event_pending());
}

/* LUCID_HC_WAIT: with interrupts off it is the other vCPU's word alone that ends it. */
void hypercall_wait(void);
void hypercall_wait(void)
{
	vcpu->count_wait++;
	wait_for(woken);
	__atomic_store_n(&vcpu->woken, 0, __ATOMIC_SEQ_CST);
}

/* Not a switch to another space: to none, until the monitor gives the baton back. */
void stub_pause(void)
{
	__atomic_fetch_and(&vcpu->pending, ~(1UL << STUB_EVENT_PAUSE), __ATOMIC_SEQ_CST);
	while (pause_wanted())
		stub_switch(STUB_SLOTS, SLOT_PARKED);
}

/* LUCID_HC_OFFLINE: nothing of the vCPU is kept but its page. */
void hypercall_offline(void);
void hypercall_offline(void)
{
	if (shared->deadline)
		set_timerfd(0);
	shared->deadline = 0;
	vcpu->vif = 0;
	__atomic_store_n(&vcpu->state, LUCID_STATE_OFFLINE, __ATOMIC_SEQ_CST);
	/* Devices interrupt the first vCPU instead: the monitor, after it has seen the state. */
	send_events(0, __atomic_exchange_n(&vcpu->pending, 0, __ATOMIC_SEQ_CST) & DEVICE_EVENTS);
	stub_switch(STUB_SLOTS, SLOT_PARKED);
}
