/* SPDX-License-Identifier: MIT */
/* Hypercalls that reach outside the vCPU: monitor calls, doorbells, timer and halt. */
#include "stub/stub.h"
#include "stub/sys.h"

#define NSEC_PER_SEC 1000000000ULL

static void ring_doorbell(void)
{
	uint64_t one = 1;

	sys3(__NR_write, STUB_FD_DOORBELL, (long)&one, sizeof(one));
}

long monitor_call(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	vcpu->call_nr = (unsigned)nr;
	vcpu->call_arg[0] = a0;
	vcpu->call_arg[1] = a1;
	vcpu->call_arg[2] = a2;
	vcpu->call_arg[3] = a3;
	vcpu->call_arg[4] = a4;
	store_release(&vcpu->call_state, LUCID_CALL_ASKED);
	ring_doorbell();
	while (load_acquire(&vcpu->call_state) != LUCID_CALL_DONE)
		sys_futex_wait(&vcpu->call_state, LUCID_CALL_ASKED, 0);
	return vcpu->call_ret;
}

long hypercall_monitor(
	uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4);
long hypercall_monitor(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
	if (nr >= STUB_MC_SPACE)
		return LUCID_E_NOSYS;
	return monitor_call(nr, a0, a1, a2, a3, a4);
}

void hypercall_notify(uint64_t device, uint64_t queue);
void hypercall_notify(uint64_t device, uint64_t queue)
{
	if (device >= LUCID_DEVICES || queue >= LUCID_DEVICE_QUEUES)
		return;
	/* Bits already set were rung for, and not looked at yet. */
	if (!__atomic_fetch_or(&vcpu->notify[device], 1UL << queue, __ATOMIC_SEQ_CST))
		ring_doorbell();
}

/* a * b / c through 128 bits; the quotient must fit, or the CPU says #DE. */
static uint64_t mul_div(uint64_t a, uint64_t b, uint64_t c)
{
	uint64_t quotient, high;

	__asm__("mulq %3\n\tdivq %4"
		: "=&a"(quotient), "=&d"(high)
		: "0"(a), "rm"(b), "rm"(c)
		: "cc");
	return quotient;
}

static uint64_t tsc_to_ns(uint64_t ticks)
{
	return mul_div(ticks, 1000000, info->tsc_khz);
}

static void set_timerfd(uint64_t ns)
{
	struct sys_timespec spec[2] = {
		{0, 0}, {(long)(ns / NSEC_PER_SEC), (long)(ns % NSEC_PER_SEC)}};

	sys4(__NR_timerfd_settime, STUB_FD_TIMER, 0, (long)spec, 0);
}

void hypercall_set_timer(uint64_t delta);
void hypercall_set_timer(uint64_t delta)
{
	if (!delta) {
		if (shared->deadline)
			set_timerfd(0);
		shared->deadline = 0;
		return;
	}
	/* Ten years stand for ever. */
	if (delta > 315360000ULL * NSEC_PER_SEC)
		delta = 315360000ULL * NSEC_PER_SEC;
	shared->deadline = __builtin_ia32_rdtsc() + mul_div(delta, info->tsc_khz, 1000000);
	set_timerfd(delta);
}

/* Waits in the futex until an event or the deadline; the monitor has no part in it. */
static void halt_wait(void)
{
	struct sys_timespec timeout, *limit = 0;

	if (shared->deadline) {
		uint64_t now = __builtin_ia32_rdtsc(), left;

		if (now >= shared->deadline) {
			shared->deadline = 0;
			__atomic_fetch_or(
				&vcpu->pending, 1UL << LUCID_EVENT_TIMER, __ATOMIC_SEQ_CST);
			return;
		}
		left = tsc_to_ns(shared->deadline - now);
		timeout = (struct sys_timespec){
			(long)(left / NSEC_PER_SEC), (long)(left % NSEC_PER_SEC)};
		limit = &timeout;
	}
	__atomic_store_n(&vcpu->halted, 1, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&vcpu->pending, __ATOMIC_SEQ_CST))
		sys_futex_wait(&vcpu->halted, 1, limit);
	__atomic_store_n(&vcpu->halted, 0, __ATOMIC_SEQ_CST);
}

/*
 * LUCID_HC_HALT. The timerfd is disarmed meanwhile: the futex's own timeout
 * serves, and the monitor sleeps on. Interrupts are enabled by the time it returns, so
 * that the tail delivers what ended the wait.
 */
void hypercall_halt(void);
void hypercall_halt(void)
{
	vcpu->count_halt++;
	if (shared->deadline)
		set_timerfd(0);
	while (!load_acquire(&vcpu->pending))
		halt_wait();
	if (shared->deadline) {
		uint64_t now = __builtin_ia32_rdtsc();

		set_timerfd(now < shared->deadline ? tsc_to_ns(shared->deadline - now) + 1 : 1);
	}
	vcpu->vif = 1;
}
