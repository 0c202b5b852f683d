/* SPDX-License-Identifier: MIT */
/*
 * Which CPU of the host the monitor runs on.
 *
 * A vCPU that sleeps until its request is answered leaves its CPU to whoever answers it. On
 * another one, idle, both ways cost an interrupt to wake that up, more than most requests
 * themselves. So the monitor goes where the vCPU is that has rung, as long as it is one that
 * rings and sleeps. One that goes on working has the monitor work beside it, on another CPU.
 */
#include "base/affinity.h"
#include "monitor/machine.h"
#include "monitor/shared.h"

/* So many doorbells are looked at together. */
#define LOOK_AFTER 32

/* Where a vCPU keeps to, as it says; 0: nowhere. */
static unsigned place_of(const struct monitor_place *p, const struct vcpu *v)
{
	unsigned place = load(&v->shared->place);

	return affinity_allows(&p->affinity, place) ? place : 0;
}

static void begin_look(struct monitor_place *p, const struct vcpu *v)
{
	p->vcpu = v->id;
	p->rung = 0;
	p->halts = load(&v->page->count_halt);
}

void place_rung(struct monitor_place *p, const struct vcpu *v)
{
	/* Several that ring in turns: no place is better than another. */
	if (v->id != p->vcpu) {
		affinity_keep(&p->affinity, 0);
		begin_look(p, v);
	}
	if (p->affinity.place)
		affinity_keep(&p->affinity, place_of(p, v));
	if (++p->rung < LOOK_AFTER)
		return;
	affinity_keep(&p->affinity,
		load(&v->page->count_halt) - p->halts >= LOOK_AFTER / 2 ? place_of(p, v) : 0);
	begin_look(p, v);
}
