/* SPDX-License-Identifier: MIT */
/*
 * Purpose: vCPUs start, run at the same time with state of their own, go offline and start anew;
 * what cannot be started is refused.
 * Expected: success.
 * Options: --cpus 4
 */
#include "guest/test/lib/test.h"

#define SECOND 1000000000ull
#define ROUNDS 200

static volatile uint64_t seen[CPUS], go, here, sum;

static void says_who(void)
{
	uint32_t mxcsr = 0;
	unsigned id = vcpu->id;

	if (vcpu->vif || vcpu->mode || vcpu->state != LUCID_STATE_ONLINE)
		failure("vCPU %u does not start as it should", (uint64_t)id);
	if (((struct lucid_user *)LUCID_USER_ADDR)->cpu != id)
		failure("vCPU %u: user mode would be told another one", (uint64_t)id);
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	if (mxcsr != 0x1f80)
		failure("MXCSR is %x", (uint64_t)mxcsr);
	mxcsr = 0x1f80 | 0x6000;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr)); /* for the next start to find undone */
	seen[id]++;
}

/* All meet: none can go on before the last one is there. */
static void meets(void)
{
	uint64_t i;

	__atomic_fetch_add(&here, 1, __ATOMIC_SEQ_CST);
	await_word("vCPUs that run", &go, 1);
	for (i = 0; i < 100000; i++)
		__atomic_fetch_add(&sum, 1, __ATOMIC_SEQ_CST);
}

static void start(unsigned id, void (*fn)(void))
{
	check_eq(cpu_start(id, fn), 0);
}

void test_main(void)
{
	unsigned id, i;

	check_eq(info->vcpus, 4);
	check_eq(vcpu->state, LUCID_STATE_ONLINE);
	for (id = 0; id < 4; id++)
		check_eq(vcpu_of(id)->id, id);
	check(vcpu_of(0)->entry == vcpu->entry);

	check_eq(cpu_start(4, says_who), LUCID_E_INVAL);
	check_eq(hc_monitor(LUCID_MC_VCPU_START, ~0ull, 0, 0, 0, 0), LUCID_E_INVAL);
	check_eq(hc_monitor(LUCID_MC_VCPU_START, 0, 0, 0, 0, 0), LUCID_E_BUSY);

	for (i = 0; i < ROUNDS; i++) {
		id = 1 + i % 3;
		start(id, says_who);
		if (!cpu_wait(id, 10 * SECOND))
			failure("vCPU %u does not end", (uint64_t)id);
		check_eq(seen[id], i / 3 + 1);
	}
	for (id = 1; id < 4; id++)
		start(id, meets);
	await_word("vCPUs that meet", &here, 3);
	for (id = 1; id < 4; id++)
		check_eq(hc_monitor(LUCID_MC_VCPU_START, id, 0, 0, 0, 0), LUCID_E_BUSY);
	go = 1;
	for (id = 1; id < 4; id++)
		check(cpu_wait(id, 10 * SECOND));
	check_eq(sum, 300000);
}
