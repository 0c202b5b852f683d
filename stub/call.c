/* SPDX-License-Identifier: MIT */
/* Hypercalls that reach the monitor: calls, doorbells and the timer. */
#include "stub/stub.h"
#include "stub/sys.h"

#define NSEC_PER_SEC 1000000000ULL

static void ring_doorbell(void)
{
	uint64_t one = 1;

	__atomic_fetch_or(&machine->rung, 1UL << vcpu->id, __ATOMIC_SEQ_CST);
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

void set_timerfd(uint64_t ns)
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
		shared->deadline = shared->due = 0;
		return;
	}
	/* Ten years stand for ever. */
	if (delta > 315360000ULL * NSEC_PER_SEC)
		delta = 315360000ULL * NSEC_PER_SEC;
	shared->deadline = __builtin_ia32_rdtsc() + mul_div(delta, info->tsc_khz, 1000000);
	shared->due = shared->deadline;
	set_timerfd(delta);
}

bool timer_expired(uint64_t *left)
{
	uint64_t now = __builtin_ia32_rdtsc();

	if (now < shared->deadline) {
		*left = tsc_to_ns(shared->deadline - now);
		return false;
	}
	shared->deadline = 0;
	__atomic_fetch_or(&vcpu->pending, 1UL << LUCID_EVENT_TIMER, __ATOMIC_SEQ_CST);
	return true;
}
