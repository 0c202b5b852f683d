/* SPDX-License-Identifier: MIT */
/*
 * The host's page tables of spaces. No limit of a process counts them, and mappings that lie far
 * apart cost two pages of tables each: a guest could take gigabytes beside its RAM. To make
 * tables takes CPU time, so a timer on each space's CPU time has them looked at, which costs an
 * idle machine nothing.
 *
 * Spaces are caches. When all of a machine's have more than its share, those that do not run are
 * ended; a running one cannot be. What the stub maps for a guest stays below the limit for one
 * space, whatever a program in the guest does; beyond it the kernel has made mappings itself.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "monitor/machine.h"
#include "monitor/shared.h"

/* A process's CPU time, as Linux numbers it: clock_getcpuclockid() asks whether there is one. */
#define CPU_CLOCK(pid) ((clockid_t)((~(unsigned)(pid) << 3) | 2))
/* CPU time of a space before the first look, and between two. */
#define FIRST_NS 5000000
#define LOOK_NS 50000000
/* For all spaces of a machine, and for one, beside what direct maps need. */
#define ALL_KIB (256u << 10)
#define ONE_KIB (320u << 10)
/* Not worth ending a space for. */
#define SMALL_KIB 1024

void tables_watch(struct vcpu *v, unsigned slot)
{
	const struct itimerspec spec = {{0, LOOK_NS}, {0, FIRST_NS}};
	struct space_tables *t = &v->tables[slot];
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL,
		.sigev_signo = SIG_TABLES,
		.sigev_value.sival_int = (int)(v->id * STUB_SLOTS + slot)};

	tables_forget(v, slot);
	/* A host that has no timer to give has its other limits. */
	if (timer_create(CPU_CLOCK(v->spaces.pid[slot]), &event, &t->timer) < 0)
		return;
	t->watched = true;
	timer_settime(t->timer, 0, &spec, NULL);
}

void tables_forget(struct vcpu *v, unsigned slot)
{
	struct space_tables *t = &v->tables[slot];

	if (t->watched)
		timer_delete(t->timer);
	*t = (struct space_tables){0};
}

static uint64_t sum(const struct machine *m)
{
	uint64_t kib = 0;

	for (unsigned i = 0; i < m->control.vcpus; i++)
		for (unsigned s = 0; s < STUB_SLOTS; s++)
			kib += m->vcpu[i].tables[s].kib;
	return kib;
}

/* The largest space that waits for the baton; false: there is none worth it. */
static bool end_largest(struct machine *m)
{
	struct space_tables *largest = NULL;
	pid_t pid = 0;

	for (unsigned i = 0; i < m->control.vcpus; i++) {
		struct vcpu *v = &m->vcpu[i];
		unsigned current = load(&v->shared->current);

		for (unsigned s = 0; s < STUB_SLOTS; s++) {
			struct space_tables *t = &v->tables[s];

			if (s == current || !v->spaces.pid[s] || t->kib < SMALL_KIB ||
				(largest && t->kib <= largest->kib))
				continue;
			largest = t;
			pid = v->spaces.pid[s];
		}
	}
	if (!largest)
		return false;
	kill(pid, SIGKILL);
	largest->kib = 0;
	m->counts[COUNT_TABLES_ENDED]++;
	return true;
}

static void look(struct vcpu *v, unsigned slot)
{
	long kib = v->spaces.pid[slot] ? spaces_tables(&v->spaces, slot) : 0;

	if (kib >= 0)
		v->tables[slot].kib = (unsigned)kib;
}

/* What is known of the others is what they had at their last looks. */
static void look_at_all(struct machine *m)
{
	for (unsigned i = 0; i < m->control.vcpus; i++)
		for (unsigned s = 0; s < STUB_SLOTS; s++)
			look(&m->vcpu[i], s);
}

void tables_look(struct machine *m, unsigned which)
{
	const uint64_t ram_kib = m->ram.size >> 10, all = ALL_KIB + ram_kib / 8;
	unsigned id = which / STUB_SLOTS, slot = which % STUB_SLOTS;

	if (id >= m->control.vcpus || m->end != END_NONE)
		return;
	look(&m->vcpu[id], slot);
	if (m->vcpu[id].tables[slot].kib > ONE_KIB + ram_kib / 64) {
		log_error("the host's page tables for the guest have grown to %u MiB in one "
			  "address space: its kernel maps more than it may",
			m->vcpu[id].tables[slot].kib >> 10);
		machine_stop(m, END_CRASH);
		return;
	}
	if (sum(m) < all / 2)
		return;
	look_at_all(m);
	while (sum(m) > all && end_largest(m))
		;
}
