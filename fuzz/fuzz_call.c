/* SPDX-License-Identifier: MIT */
/*
 * Monitor calls, and all else that the monitor reads in pages that it shares with spaces: the
 * spaces' kernel does anything to them, at any moment. Calls, doorbells, vCPUs that start, events,
 * halts, pauses, spaces that die, the console ring; no process is made, and no host is asked.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "device/rng.h"
#include "fuzz/input.h"
#include "fuzz/second_cpu.h"
#include "monitor/machine.h"
#include "monitor/memory.h"
#include "monitor/shared.h"

#define VCPUS 3
#define BOOT (64ULL << 20)
#define STEPS_MAX 200
#define PATIENCE 50 /* looks of a pause */

static struct machine m;
static pid_t next_pid;
static unsigned looks; /* of the pause under way */
static int real_stderr;

/* ---- What the monitor calls on the host for ------------------------------------------- */

void machine_stop(struct machine *machine, enum machine_end end)
{
	if (end <= END_NONE || end > END_KILLED)
		abort();
	if (machine->end == END_NONE)
		machine->end = end;
}

int spaces_make(struct spaces *spaces, unsigned slot)
{
	if (slot >= STUB_SLOTS || spaces->pid[slot])
		abort();
	/* A host that has no more processes, now and then. */
	if (next_pid % 32 == 0 && ++next_pid)
		return -EAGAIN;
	spaces->pid[slot] = next_pid++;
	return 0;
}

void spaces_kick(const struct spaces *spaces, unsigned slot)
{
	(void)spaces;
	(void)slot;
}

int spaces_forget(struct spaces *spaces, pid_t pid)
{
	for (unsigned i = 0; i < STUB_SLOTS; i++) {
		if (spaces->pid[i] != pid)
			continue;
		spaces->pid[i] = 0;
		return (int)i;
	}
	return -1;
}

int spaces_create(struct spaces *spaces, const struct space_config *config)
{
	(void)spaces;
	(void)config;
	return 0;
}

void spaces_kill(const struct spaces *spaces)
{
	(void)spaces;
}

void spaces_destroy(struct spaces *spaces)
{
	(void)spaces;
}

int kick_create(void)
{
	return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void tables_watch(struct vcpu *v, unsigned slot)
{
	if (slot >= STUB_SLOTS || v->id >= VCPUS)
		abort();
}

void tables_forget(struct vcpu *v, unsigned slot)
{
	tables_watch(v, slot);
}

/* What waits for a vCPU to park: it does so in the end, whatever its kernel says. */
int nanosleep(const struct timespec *want, struct timespec *left)
{
	(void)want;
	(void)left;
	if (++looks < PATIENCE)
		return 0;
	second_cpu_rest();
	for (unsigned i = 0; i < VCPUS; i++) {
		struct stub_shared *s = m.vcpu[i].shared;

		s->slot[s->current < STUB_SLOTS ? s->current : 0].word = SLOT_PARKED;
	}
	return 0;
}

/* ---- The machine ------------------------------------------------------------------------- */

static void raise_event(void *arg, unsigned event)
{
	(void)arg;
	vcpu_raise(&m.vcpu[0], event);
}

static void set_up(void)
{
	static const struct memory_config memory = {.boot = BOOT, .max = 2 * BOOT};
	static const struct vm_config config;

	m.config = &config;
	m.end = END_NONE;
	m.console_read = 0;
	memset(m.counts, 0, sizeof(m.counts));
	m.bus = (struct bus){.ram = &m.ram, .loop = m.loop, .raise = raise_event};
	next_pid = 1;
	if (control_create(&m.control, VCPUS) < 0 || vcpus_create(&m) < 0 || !rng_create(&m.bus))
		abort();
	m.memory = memory_create(&m.bus, &memory);
	if (!m.memory || vcpu_start(&m.vcpu[0], 0x1000, 0) < 0)
		abort();
}

static void tear_down(void)
{
	second_cpu_rest();
	bus_destroy(&m.bus);
	memory_destroy(m.memory);
	for (unsigned i = 0; i < VCPUS; i++)
		loop_remove(m.loop, m.vcpu[i].timer);
	vcpus_destroy(&m);
	control_destroy(&m.control);
}

/* ---- The guest ------------------------------------------------------------------------------ */

static struct vcpu *take_vcpu(struct input *in)
{
	return &m.vcpu[input_number(in, 1) % VCPUS];
}

/* A byte that a space may change; most are of a vCPU's two pages, near their start. */
static uint8_t *take_byte(struct input *in)
{
	uint8_t *base = (uint8_t *)m.control.info;
	unsigned what = (unsigned)input_number(in, 1);
	uint64_t at = input_number(in, 2);

	switch (what % 4) {
	case 0:
		return (uint8_t *)m.vcpu[what / 4 % VCPUS].page + at % sizeof(struct lucid_vcpu);
	case 1:
		return (uint8_t *)m.vcpu[what / 4 % VCPUS].shared + at % STUB_SHARED_SIZE;
	case 2:
		return (uint8_t *)m.control.machine + at % sizeof(struct stub_machine);
	default:
		return base + (at << 2) % CONTROL_SIZE(VCPUS);
	}
}

static void ring(unsigned vcpus)
{
	const uint64_t one = 1;

	m.control.machine->rung |= vcpus;
	if (write(m.doorbell, &one, sizeof(one)) != sizeof(one))
		abort();
	call_doorbell(&m, 0);
}

static void call(struct input *in)
{
	struct vcpu *v = take_vcpu(in);
	unsigned shape = (unsigned)input_number(in, 1);

	v->page->call_nr = shape & 0x80	  ? (unsigned)input_number(in, 4)
			   : shape & 0x40 ? STUB_MC_SPACE
					  : shape % 20;
	for (unsigned i = 0; i < 5; i++)
		v->page->call_arg[i] = input_number(in, shape & 0x20 ? 8 : 1);
	v->page->call_state = LUCID_CALL_ASKED;
	ring(1u << v->id);
}

static void doorbell(struct input *in)
{
	struct vcpu *v = take_vcpu(in);

	v->page->notify[input_number(in, 1) % LUCID_DEVICES] = input_number(in, 1);
	ring((unsigned)input_number(in, 1));
}

static void change(struct input *in)
{
	uint8_t *byte = take_byte(in);
	uint8_t value = (uint8_t)input_number(in, 1);

	*byte = value;
}

static void die(struct input *in)
{
	struct vcpu *v = take_vcpu(in);
	pid_t pid = v->spaces.pid[input_number(in, 1) % STUB_SLOTS];

	if (pid)
		vcpu_child(&m, pid, (int)input_number(in, 2));
}

/* The words that its life hangs on. */
static void slot_word(struct input *in)
{
	struct stub_shared *s = take_vcpu(in)->shared;
	unsigned slot = (unsigned)input_number(in, 1);

	s->slot[slot % STUB_SLOTS].word = (unsigned)input_number(in, 1) % 7;
	if (slot & 0x80)
		s->current = slot % STUB_SLOTS;
}

static void console(struct input *in)
{
	m.control.console->produced = input_number(in, 8);
	console_ring_drain(&m);
	/* This one is for the user's eyes. */
	dup2(m.console, STDERR_FILENO);
	console_ring_tail(&m);
	dup2(real_stderr, STDERR_FILENO);
}

static void step(struct input *in)
{
	switch (input_number(in, 1) % 12) {
	case 0:
	case 1:
	case 2:
		call(in);
		break;
	case 3:
		doorbell(in);
		break;
	case 4:
		change(in);
		break;
	case 5:
		second_cpu_flip(take_byte(in), (uint8_t)input_number(in, 1));
		break;
	case 6:
		die(in);
		break;
	case 7:
		slot_word(in);
		break;
	case 8:
		vcpu_raise(take_vcpu(in), (unsigned)input_number(in, 1) % 64);
		break;
	case 9:
		looks = 0;
		if (machine_pause(&m) == 0)
			machine_resume(&m);
		break;
	case 10:
		console(in);
		break;
	default:
		if (vcpu_runstate(take_vcpu(in)) >= RUNSTATES)
			abort();
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	m.doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m.console = open("/dev/null", O_WRONLY | O_CLOEXEC);
	m.loop = loop_create();
	real_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (m.doorbell < 0 || m.console < 0 || real_stderr < 0 || !m.loop ||
		ram_create(&m.ram, 2 * BOOT) < 0)
		abort();
	log_set_fd(m.console);
	affinity_init(&m.place.affinity);
	second_cpu_init();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};

	set_up();
	for (unsigned i = 0; i < STEPS_MAX && in.left > 0 && m.end == END_NONE; i++)
		step(&in);
	tear_down();
	return 0;
}
