/* SPDX-License-Identifier: MIT */
/*
 * What vCPUs ask of the monitor: doorbells of queues and monitor calls. All it shares with
 * the guest is read once and checked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/machine.h"
#include "monitor/memory.h"
#include "monitor/shared.h"

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

static long space_call(struct vcpu *v, uint64_t slot)
{
	int err;

	if (slot >= STUB_SLOTS)
		return LUCID_E_INVAL;
	if (v->spaces.pid[slot])
		return 0;
	err = vcpu_make_space(v, (unsigned)slot);
	if (err)
		log_error("the host cannot make another process: %s", strerror(-err));
	else
		store(&v->shared->slot[slot].word, SLOT_IDLE);
	return err;
}

static long start_call(struct machine *m, uint64_t id, uint64_t rip, uint64_t rsp)
{
	int err;

	if (id >= m->control.vcpus)
		return LUCID_E_INVAL;
	err = vcpu_start(&m->vcpu[id], rip, rsp);
	if (err && err != -EBUSY)
		log_error("the host cannot make another process: %s", strerror(-err));
	return err;
}

static long dispatch(struct vcpu *v, unsigned nr, const uint64_t arg[5])
{
	struct machine *m = v->machine;

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
		return space_call(v, arg[0]);
	case LUCID_MC_VCPU_START:
		return start_call(m, arg[0], arg[1], arg[2]);
	}
	if (nr >= LUCID_MC_DEV_ID && nr <= LUCID_MC_DEV_QUEUE_STOP)
		return bus_call(&m->bus, nr, arg);
	return LUCID_E_NOSYS;
}

/* A monitor call: the arguments are copied once, before anything looks at them. */
static void answer(struct vcpu *v)
{
	struct lucid_vcpu *page = v->page;
	uint64_t arg[5];
	unsigned nr = load(&page->call_nr), i;
	long ret;

	for (i = 0; i < 5; i++)
		arg[i] = load(&page->call_arg[i]);
	v->machine->counts[COUNT_CALLS]++;
	ret = dispatch(v, nr, arg);
	/* One that ends the machine is never answered. */
	if (v->machine->end != END_NONE)
		return;
	store(&page->call_ret, ret);
	store(&page->call_state, LUCID_CALL_DONE);
	wake(&page->call_state);
}

static void look_at(struct vcpu *v)
{
	struct machine *m = v->machine;
	unsigned dev;

	for (dev = 0; dev < LUCID_DEVICES; dev++) {
		uint64_t queues = load(&v->page->notify[dev]);

		if (!queues)
			continue;
		m->rang[dev] = v->id;
		bus_doorbell(&m->bus, dev, exchange(&v->page->notify[dev], 0ul));
	}
	if (load(&v->page->call_state) == LUCID_CALL_ASKED)
		answer(v);
}

void call_doorbell(void *machine, uint32_t events)
{
	struct machine *m = machine;
	uint64_t count, rung;

	(void)events;
	if (read(m->doorbell, &count, sizeof(count)) != sizeof(count))
		return;
	m->counts[COUNT_DOORBELLS]++;
	rung = exchange(&m->control.machine->rung, 0ul);
	for (; rung && m->end == END_NONE; rung &= rung - 1) {
		unsigned id = (unsigned)__builtin_ctzl(rung);

		if (id >= m->control.vcpus)
			continue;
		place_rung(&m->place, &m->vcpu[id]);
		look_at(&m->vcpu[id]);
	}
}
