/* SPDX-License-Identifier: MIT */
/* Traps and events of test guests, and the time by which events come. */
#include "guest/test/lib/test.h"

void test_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector);

volatile struct trap trapped;
volatile uint64_t trap_resume, trap_next, trap_flags;
trap_hook_fn *volatile trap_hook;
volatile uint64_t events_seen[64];

static void take_events(void)
{
	uint64_t bits = __atomic_exchange_n(&vcpu->pending, 0, __ATOMIC_SEQ_CST);
	unsigned i;

	for (i = 0; i < 64; i++)
		if (bits >> i & 1)
			events_seen[i]++;
}

void test_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	if (vcpu->id) {
		cpu_trap(frame, error, vector);
		return;
	}
	if (vector == LUCID_VEC_EVENT) {
		take_events();
		if (trap_hook)
			trap_hook(frame, error, vector);
		return;
	}
	trapped.vector = vector;
	trapped.error = error;
	trapped.cr2 = vcpu->cr2;
	trapped.dr6 = vcpu->dr6;
	trapped.at = (uint64_t)frame;
	*(struct lucid_frame *)&trapped.frame = *frame;
	trapped.count++;
	if (trap_hook && trap_hook(frame, error, vector))
		return;
	if (frame->cs & 3)
		user_ended();
	if (!trap_resume)
		failure("unexpected trap: vector %u error %x rip %x cr2 %x", vector, error,
			frame->rip, vcpu->cr2);
	frame->rip = trap_resume;
	trap_resume = 0;
}

void check_trap(const char *file, unsigned line, const char *what, unsigned seen, uint64_t vector,
	uint64_t error)
{
	if (trapped.count == seen)
		failure("%s:%u: %s: no trap", file, (uint64_t)line, what);
	if (trapped.vector != vector || trapped.error != error)
		failure("%s:%u: %s: vector %u error %x rip %x cr2 %x, not vector %u error %x", file,
			(uint64_t)line, what, trapped.vector, trapped.error, trapped.frame.rip,
			trapped.cr2, vector, error);
}

void irq_enable(void)
{
	vcpu->vif = 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&vcpu->pending, __ATOMIC_SEQ_CST))
		hc_events();
}

uint64_t now_ns(void)
{
	uint64_t tsc = __builtin_ia32_rdtsc();

	return tsc / info->tsc_khz * 1000000 + tsc % info->tsc_khz * 1000000 / info->tsc_khz;
}

void spin_ns(uint64_t ns)
{
	uint64_t end = __builtin_ia32_rdtsc() + ns / 1000 * info->tsc_khz / 1000;

	while (__builtin_ia32_rdtsc() < end)
		__builtin_ia32_pause();
}

bool wait_pending(unsigned event, uint64_t ns)
{
	uint64_t end = __builtin_ia32_rdtsc() + ns / 1000 * info->tsc_khz / 1000;

	while (!(__atomic_load_n(&vcpu->pending, __ATOMIC_SEQ_CST) >> event & 1))
		if (__builtin_ia32_rdtsc() >= end)
			return false;
	return true;
}
