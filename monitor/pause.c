/* SPDX-License-Identifier: MIT */
/*
 * Pause and resume: all vCPUs park, with what they have in registers in their pages and in
 * guest RAM, and go on later.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <time.h>

#include "monitor/machine.h"
#include "monitor/shared.h"

#define NSEC_PER_SEC 1000000000ull
#define LOOK_NS 50000
/*
 * A kick that finds the stub on its way to a kernel with interrupts off does nothing, and one
 * that finds a kernel without a stack neither: it is made again.
 */
#define KICK_AGAIN_NS 1000000
#define GIVE_UP_NS (5 * NSEC_PER_SEC)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

/* Kicks those that run, if told to; tells whether there are any. */
static bool some_run(struct machine *m, bool kick)
{
	bool some = false;
	unsigned i;

	for (i = 0; i < m->control.vcpus; i++) {
		if (vcpu_parked(&m->vcpu[i]))
			continue;
		some = true;
		if (!kick)
			continue;
		__atomic_fetch_or(
			&m->vcpu[i].page->pending, 1ul << STUB_EVENT_PAUSE, __ATOMIC_SEQ_CST);
		vcpu_kick(&m->vcpu[i]);
	}
	return some;
}

int machine_pause(struct machine *m)
{
	const struct timespec look = {.tv_nsec = LOOK_NS};
	uint64_t start = now_ns(), kicked = 0;

	store(&m->control.machine->pause, 1u);
	for (;;) {
		uint64_t now = now_ns();
		bool again = now - kicked >= KICK_AGAIN_NS;

		if (!some_run(m, again))
			return 0;
		if (again)
			kicked = now;
		if (now - start > GIVE_UP_NS) {
			machine_resume(m);
			return -ETIMEDOUT;
		}
		/* One that waits for an answer does not park before it has it. */
		call_doorbell(m, 0);
		if (m->end != END_NONE)
			return -ECANCELED;
		nanosleep(&look, NULL);
	}
}

int machine_resume(struct machine *m)
{
	unsigned i;
	int err = 0;

	store(&m->control.machine->pause, 0u);
	for (i = 0; i < m->control.vcpus; i++) {
		struct vcpu *v = &m->vcpu[i];

		if (load(&v->page->state) == LUCID_STATE_ONLINE && vcpu_parked(v) && !err)
			err = vcpu_unpark(v);
	}
	return err;
}
