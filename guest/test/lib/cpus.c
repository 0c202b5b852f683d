/* SPDX-License-Identifier: MIT */
/* vCPUs beside the first. */
#include "guest/test/lib/test.h"

#define STACK 16384
#define WAIT_NS 10000000000ull

void test_trap_entry(void);
void test_cpu_start(void);
void test_cpu_init(void);

volatile uint64_t cpu_events[CPUS][64];
trap_hook_fn *volatile cpu_hook;

/* The upper half of each is for traps from user mode. */
static char stack[CPUS][2 * STACK] __attribute__((aligned(4096)));
static void (*volatile work[CPUS])(void);

void test_cpu_init(void)
{
	unsigned id = vcpu->id;

	vcpu->kernel_gs = 0;
	vcpu->kernel_sp = (uint64_t)stack[id + 1];
	vcpu->entry = (uint64_t)test_trap_entry;
	work[id]();
	hc_offline();
	failure("vCPU %u goes on after it went offline", (uint64_t)id);
}

long cpu_start(unsigned id, void (*fn)(void))
{
	long ret;

	if (id == 0 || id >= CPUS - 1)
		failure("the library has no stack for vCPU %u", (uint64_t)id);
	work[id] = fn;
	do
		ret = hc_monitor(LUCID_MC_VCPU_START, id, (uint64_t)test_cpu_start,
			(uint64_t)(stack[id] + STACK), 0, 0);
	while (ret == LUCID_E_BUSY && vcpu_of(id)->state == LUCID_STATE_OFFLINE);
	return ret;
}

bool cpu_wait(unsigned id, uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (vcpu_of(id)->state != LUCID_STATE_OFFLINE)
		if (now_ns() > end)
			return false;
	return true;
}

void cpu_trap(struct lucid_frame *frame, uint64_t error, uint64_t vector)
{
	unsigned id = vcpu->id, i;

	if (vector == LUCID_VEC_EVENT) {
		uint64_t bits = __atomic_exchange_n(&vcpu->pending, 0, __ATOMIC_SEQ_CST);

		for (i = 0; i < 64; i++)
			if (bits >> i & 1)
				cpu_events[id][i]++;
		if (cpu_hook)
			cpu_hook(frame, error, vector);
		return;
	}
	if (!cpu_hook || !cpu_hook(frame, error, vector))
		failure("vCPU %u: unexpected trap: vector %u error %x rip %x cr2 %x", (uint64_t)id,
			vector, error, frame->rip, vcpu->cr2);
}

void await_word(const char *what, volatile uint64_t *word, uint64_t value)
{
	uint64_t end = now_ns() + WAIT_NS;

	while (*word != value) {
		if (now_ns() > end)
			failure("%s: %u, not %u", what, *word, value);
		__builtin_ia32_pause();
	}
}
