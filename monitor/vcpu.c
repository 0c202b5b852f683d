/* SPDX-License-Identifier: MIT */
/*
 * The monitor's side of vCPUs: how they start, events into them, and what to do when one of
 * their spaces dies. All it shares with the guest is read once and checked.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/machine.h"
#include "monitor/shared.h"

/* Spaces that died before they ran, in a vCPU's life: then there is something wrong. */
#define LOST_BATONS_MAX 100

/* ---- Making them ---------------------------------------------------------------- */

static void on_timer(void *vcpu, uint32_t events)
{
	struct vcpu *v = vcpu;
	uint64_t count;

	(void)events;
	if (read(v->timer, &count, sizeof(count)) != sizeof(count))
		return;
	/* Or a halt later on would see it pass a second time. */
	store(&v->shared->deadline, 0ul);
	vcpu_raise(v, LUCID_EVENT_TIMER);
}

static void reset_fpu(struct stub_shared *s)
{
	const uint32_t mxcsr = 0x1f80;

	/* What the first XRSTOR takes: all components in their initial state, MXCSR as well. */
	memset(s->xsave, 0, 576);
	memcpy(s->xsave + 24, &mxcsr, sizeof(mxcsr));
}

int vcpu_make_space(struct vcpu *v, unsigned slot)
{
	int err = spaces_make(&v->spaces, slot);

	if (err)
		return err;
	v->machine->counts[COUNT_SPACES]++;
	tables_watch(v, slot);
	return 0;
}

static int create(struct machine *m, unsigned id)
{
	struct vcpu *v = &m->vcpu[id];
	unsigned i;
	int err;

	*v = (struct vcpu){
		.machine = m,
		.id = id,
		.page = control_vcpu(&m->control, id),
		.shared = control_shared(&m->control, id),
		.spaces.order = -1,
		.timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
	};
	if (v->timer < 0)
		return -errno;
	err = loop_add(m->loop, v->timer, EPOLLIN, on_timer, v);
	if (err)
		return err;
	v->page->id = id;
	for (i = 0; i < LUCID_ASIDS; i++)
		v->shared->asid_slot[i] = i;
	v->shared->slot[0].word = SLOT_PARKED;
	v->shared->xcr0 = m->control.info->xcr0;
	if (m->control.vcpus == 1)
		return 0;
	m->kick[id] = kick_create();
	return m->kick[id] < 0 ? m->kick[id] : 0;
}

int vcpus_create(struct machine *m)
{
	unsigned n = m->control.vcpus, i;
	int err = -ENOMEM;

	m->vcpu = calloc(n, sizeof(*m->vcpu));
	if (m->vcpu && n > 1)
		m->kick = malloc(n * sizeof(*m->kick));
	if (m->vcpu && (n == 1 || m->kick))
		err = 0;
	for (i = 0; m->vcpu && i < n; i++) {
		m->vcpu[i].timer = m->vcpu[i].spaces.order = -1;
		if (m->kick)
			m->kick[i] = -1;
	}
	for (i = 0; !err && i < n; i++)
		err = create(m, i);
	if (err)
		log_error("virtual CPUs: %s", strerror(-err));
	return err ? -1 : 0;
}

/* --cpu-affinity: the CPUs of the list in turns. */
static const cpu_set_t *place(const struct vm_config *c, unsigned id, cpu_set_t *set)
{
	if (!c->affinity_count)
		return NULL;
	CPU_ZERO(set);
	CPU_SET(c->affinity[id % c->affinity_count], set);
	return set;
}

int vcpus_create_spaces(struct machine *m, const struct space_segment *segment, unsigned segments)
{
	unsigned i;

	for (i = 0; i < m->control.vcpus; i++) {
		cpu_set_t set;
		struct space_config config = {
			.ram = &m->ram,
			.control = &m->control,
			.vcpu = i,
			.doorbell = m->doorbell,
			.timer = m->vcpu[i].timer,
			.kick = m->kick,
			.cpus = place(m->config, i, &set),
			.segments = segments,
		};
		int err;

		memcpy(config.segment, segment, segments * sizeof(*segment));
		err = spaces_create(&m->vcpu[i].spaces, &config);
		if (err) {
			log_error("process for address spaces: %s", strerror(-err));
			return -1;
		}
	}
	return 0;
}

void vcpus_stop(struct machine *m)
{
	unsigned i;

	/* All are told before any is waited for: they end side by side. */
	for (i = 0; m->vcpu && i < m->control.vcpus; i++)
		spaces_kill(&m->vcpu[i].spaces);
	for (i = 0; m->vcpu && i < m->control.vcpus; i++)
		spaces_destroy(&m->vcpu[i].spaces);
}

void vcpus_destroy(struct machine *m)
{
	unsigned i;

	for (i = 0; m->vcpu && i < m->control.vcpus; i++) {
		if (m->vcpu[i].timer >= 0)
			close(m->vcpu[i].timer);
		if (m->kick && m->kick[i] >= 0)
			close(m->kick[i]);
	}
	free(m->kick);
	free(m->vcpu);
	m->kick = NULL;
	m->vcpu = NULL;
}

/* ---- Running them --------------------------------------------------------------- */

/* The slot whose space has the baton, or had it last. */
static struct stub_slot *current(const struct vcpu *v, unsigned *slot)
{
	*slot = load(&v->shared->current);
	if (*slot >= STUB_SLOTS)
		*slot = 0;
	return &v->shared->slot[*slot];
}

bool vcpu_parked(const struct vcpu *v)
{
	unsigned slot;

	return load(&current(v, &slot)->word) == SLOT_PARKED;
}

int vcpu_unpark(struct vcpu *v)
{
	unsigned slot;
	struct stub_slot *s = current(v, &slot);

	store(&s->word, SLOT_RUN);
	if (!v->spaces.pid[slot])
		return vcpu_make_space(v, slot);
	wake(&s->word);
	return 0;
}

int vcpu_start(struct vcpu *v, uint64_t entry, uint64_t stack)
{
	struct stub_shared *s = v->shared;

	/* It says that it is offline before it has parked; the guest waits for both so. */
	if (load(&v->page->state) != LUCID_STATE_OFFLINE || !vcpu_parked(v))
		return -EBUSY;
	s->start = entry;
	s->start_sp = stack;
	reset_fpu(s);
	store(&s->resume, RESUME_START);
	store(&v->page->state, LUCID_STATE_ONLINE);
	return vcpu_unpark(v);
}

enum runstate vcpu_runstate(const struct vcpu *v)
{
	if (load(&v->page->state) == LUCID_STATE_OFFLINE)
		return RUNSTATE_OFFLINE;
	if (vcpu_parked(v))
		return RUNSTATE_PAUSED;
	return load(&v->page->halted) ? RUNSTATE_HALTED : RUNSTATE_RUNNING;
}

void vcpu_kick(struct vcpu *v)
{
	/* It looks at all there is when it goes on, and only the monitor lets it. */
	if (vcpu_parked(v))
		return;
	if (exchange(&v->page->halted, 0u))
		wake(&v->page->halted);
	else
		spaces_kick(&v->spaces, load(&v->shared->current));
}

/*
 * The bit is set before the vCPU's state is looked at, and the vCPU looks at the
 * bit after each change of its state: one of both sees the other. While bits are
 * pending the vCPU has been kicked for them already.
 */
void vcpu_raise(struct vcpu *v, unsigned event)
{
	if (!__atomic_fetch_or(&v->page->pending, 1ul << event, __ATOMIC_SEQ_CST))
		vcpu_kick(v);
}

/* ---- The end of a space --------------------------------------------------------- */

static void report_crash(struct vcpu *v, int status)
{
	static const char *const reasons[] = {
		[CRASH_NONE] = "its process was ended",
		[CRASH_STUB_FAULT] = "its kernel broke the stub's memory",
		[CRASH_NO_ENTRY] = "it trapped before it had set a trap entry",
		[CRASH_BAD_STACK] = "it trapped with no kernel stack to report it on",
		[CRASH_BAD_ASID] = "it asked for an address space that there is not",
		[CRASH_HOST] = "the host refused a mapping, or had no page for it",
		[CRASH_MONITOR] = "there is no process for its next address space",
		[CRASH_HYPERCALL] = "it made a hypercall with impossible arguments",
	};
	const struct stub_shared *s = v->shared;
	unsigned reason = load(&s->crash.reason);

	if (reason >= sizeof(reasons) / sizeof(reasons[0]))
		reason = CRASH_STUB_FAULT;
	log_error("the guest's CPU stopped: %s (%s %d; rip %#lx, address %#lx, detail %#lx)",
		reasons[reason], WIFSIGNALED(status) ? "signal" : "status",
		WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), load(&s->crash.rip),
		load(&s->crash.addr), load(&s->crash.detail));
	machine_stop(v->machine, END_CRASH);
}

/* Gives the baton that a dead space had to a new process in its place. */
static void rebuild(struct vcpu *v, unsigned slot)
{
	struct stub_slot *s = &v->shared->slot[slot];
	int err;

	s->maps = 0;
	s->flush = 0;
	s->writable = 0;
	store(&s->word, SLOT_RUN);
	err = vcpu_make_space(v, slot);
	if (err) {
		log_error("the host cannot make another process: %s", strerror(-err));
		machine_stop(v->machine, END_HOST);
	}
}

static void running_space_died(struct vcpu *v, unsigned slot, int status)
{
	struct stub_shared *s = v->shared;

	if (load(&v->page->mode) != LUCID_MODE_USER || load(&s->crash.reason)) {
		report_crash(v, status);
		return;
	}
	log_info("a space died in user mode (status %#x); its program gets a fault", status);
	store(&s->resume, RESUME_FAULT);
	rebuild(v, slot);
}

/*
 * A space is a cache: an idle one is forgotten and made again when it is wanted.
 * Of the one that ran, user mode's registers are lost, and what ran gets a fault;
 * with the kernel's registers the vCPU itself is lost.
 */
static void child_of(struct vcpu *v, int slot, int status)
{
	struct machine *m = v->machine;
	struct stub_shared *s = v->shared;
	unsigned word;

	if (slot == STUB_SLOTS) {
		log_error("the process that makes address spaces ended (status %#x)", status);
		machine_stop(m, END_HOST);
		return;
	}
	do {
		word = load(&s->slot[slot].word);
		if (word == SLOT_RUN) {
			if (++v->lost_batons > LOST_BATONS_MAX) {
				log_error("the host ends each new process of the machine (status "
					  "%#x)",
					status);
				machine_stop(m, END_HOST);
				return;
			}
			rebuild(v, (unsigned)slot);
			return;
		}
		if (word == SLOT_HELD || load(&s->crash.reason)) {
			running_space_died(v, (unsigned)slot, status);
			return;
		}
		/* It is made again when the vCPU goes on. */
		if (word == SLOT_PARKED)
			return;
		/* Unless it is given the baton at this moment. */
	} while (!__atomic_compare_exchange_n(&s->slot[slot].word, &word, SLOT_ABSENT, false,
		__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
}

void vcpu_child(struct machine *m, pid_t pid, int status)
{
	unsigned i;

	for (i = 0; i < m->control.vcpus; i++) {
		int slot = spaces_forget(&m->vcpu[i].spaces, pid);

		if (slot < 0)
			continue;
		if (slot < STUB_SLOTS)
			tables_forget(&m->vcpu[i], (unsigned)slot);
		if (m->end == END_NONE)
			child_of(&m->vcpu[i], slot, status);
		return;
	}
}
