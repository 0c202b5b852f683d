/* SPDX-License-Identifier: MIT */
/*
 * Figures of a machine: one table, written as JSON or as text. What comes from pages that the
 * guest can write may be anything; it is only shown.
 */
#include <inttypes.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "monitor/figures.h"
#include "monitor/memory.h"

enum kind {
	COUNTER,
	GAUGE,
};

struct figure {
	const char *name, *help;
	enum kind kind;
	bool seconds; /* value is nanoseconds, shown as seconds */
	uint64_t value;
};

#define FIGURES_MAX 64

struct figures {
	struct figure list[FIGURES_MAX];
	unsigned count;
};

static void add(
	struct figures *f, enum kind kind, const char *name, const char *help, uint64_t value)
{
	if (f->count < FIGURES_MAX)
		f->list[f->count++] = (struct figure){name, help, kind, false, value};
}

static void add_seconds(
	struct figures *f, enum kind kind, const char *name, const char *help, uint64_t ns)
{
	add(f, kind, name, help, ns);
	f->list[f->count - 1].seconds = true;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec t;

	if (clock_gettime(clock, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* The CPU clocks of another process: how the host's kernel numbers them. */
#define CLOCK_ALL 0
#define CLOCK_USER 1
#define CLOCK_EXACT 2

static clockid_t process_clock(pid_t pid, int which)
{
	return (clockid_t)((~(unsigned)pid << 3) | (unsigned)which);
}

/* The host counts user and system time by ticks, and their sum exactly. */
static void add_process(pid_t pid, uint64_t ns[2])
{
	uint64_t all = clock_ns(process_clock(pid, CLOCK_ALL));
	uint64_t user = clock_ns(process_clock(pid, CLOCK_USER));
	uint64_t exact = clock_ns(process_clock(pid, CLOCK_EXACT));
	double share = all ? (double)user / (double)all : 1;

	if (share > 1)
		share = 1;
	ns[0] += (uint64_t)(share * (double)exact);
	ns[1] += exact - (uint64_t)(share * (double)exact);
}

static unsigned add_spaces(struct spaces *spaces, bool twins, uint64_t ns[2])
{
	unsigned count = 0;

	for (unsigned i = 0; i < STUB_SLOTS; i++) {
		if (!spaces->pid[i])
			continue;
		add_process(spaces->pid[i], ns);
		if (twins && spaces_twin(spaces, i))
			add_process(spaces_twin(spaces, i), ns);
		count++;
	}
	return count;
}

/* The share of user time is an estimate, which may well go down a little; counters may not. */
static uint64_t never_back(uint64_t *shown, uint64_t ns)
{
	if (ns > *shown)
		*shown = ns;
	return *shown;
}

static void collect_cpu(struct figures *f, struct machine *m)
{
	uint64_t ns[2] = {m->dead_ns[0], m->dead_ns[1]};
	bool twins = m->features & LUCID_FEATURE_SPLIT;
	unsigned spaces = 0;

	for (unsigned i = 0; i < m->control.vcpus; i++)
		spaces += add_spaces(&m->vcpu[i].spaces, twins, ns);
	add_seconds(f, COUNTER, "cpu_guest_seconds", "CPU time of guest code",
		never_back(&m->shown_ns[0], ns[0]));
	add_seconds(f, COUNTER, "cpu_system_seconds",
		"CPU time of the host's kernel on the guest's behalf",
		never_back(&m->shown_ns[1], ns[1]));
	add_seconds(f, COUNTER, "cpu_monitor_seconds", "CPU time of the monitor",
		clock_ns(CLOCK_PROCESS_CPUTIME_ID));
	add(f, GAUGE, "spaces", "Processes that the guest runs in", spaces);
	add(f, COUNTER, "spaces_made", "Processes made for it so far", m->counts[COUNT_SPACES]);
	add(f, COUNTER, "spaces_ended_for_tables", "Of them, ended for their page tables",
		m->counts[COUNT_TABLES_ENDED]);
}

static void collect_memory(struct figures *f, const struct machine *m)
{
	add(f, GAUGE, "memory_bytes", "Memory that the guest has been given",
		memory_now(m->memory));
	add(f, GAUGE, "memory_target_bytes", "Memory that it shall have", memory_target(m->memory));
	add(f, GAUGE, "memory_max_bytes", "Memory that it may have", memory_max(m->memory));
	add(f, GAUGE, "memory_host_bytes", "Of it, what the host has committed",
		ram_committed(&m->ram));
}

/* What the guest said when it was last asked; asked anew for the next look. */
static void collect_guest_memory(struct figures *f, const struct machine *m)
{
	const struct balloon_stats *s = memory_stats(m->memory);

	memory_ask(m->memory);
	add(f, COUNTER, "memory_reported_bytes",
		"Memory that the guest gave back because it was free", memory_reported(m->memory));
	add(f, GAUGE, "guest_memory_total_bytes", "Memory as the guest's kernel counts it",
		s->total);
	add(f, GAUGE, "guest_memory_free_bytes", "Of it, free", s->free);
	add(f, GAUGE, "guest_memory_available_bytes", "Of it, to be had without swapping",
		s->available);
	add(f, GAUGE, "guest_memory_caches_bytes", "Of it, cached files", s->caches);
}

/* Of all vCPUs: the counter at this offset of their pages. */
static uint64_t sum(const struct machine *m, size_t offset)
{
	uint64_t all = 0;

	for (unsigned i = 0; i < m->control.vcpus; i++)
		all += *(const volatile unsigned long *)((const char *)m->vcpu[i].page + offset);
	return all;
}

static void collect_runstates(struct figures *f, const struct machine *m)
{
	uint64_t in[RUNSTATES] = {0};

	for (unsigned i = 0; i < m->control.vcpus; i++)
		in[vcpu_runstate(&m->vcpu[i])]++;
	add(f, GAUGE, "cpus_running", "vCPUs that run, as far as the host lets them",
		in[RUNSTATE_RUNNING]);
	add(f, GAUGE, "cpus_halted", "vCPUs that sleep", in[RUNSTATE_HALTED]);
	add(f, GAUGE, "cpus_offline", "vCPUs that the guest does not use", in[RUNSTATE_OFFLINE]);
	add(f, GAUGE, "cpus_paused", "vCPUs that are paused", in[RUNSTATE_PAUSED]);
}

/* What a vCPU cannot do by itself: to map and unmap, to change processes, to sleep, to wake, to
 * ask. */
static uint64_t exits(const struct machine *m)
{
	static const size_t counters[] = {
		offsetof(struct lucid_vcpu, count_fill),
		offsetof(struct lucid_vcpu, count_flush),
		offsetof(struct lucid_vcpu, count_switch),
		offsetof(struct lucid_vcpu, count_halt),
		offsetof(struct lucid_vcpu, count_wait),
		offsetof(struct lucid_vcpu, count_kick),
	};
	uint64_t all = m->counts[COUNT_CALLS] + m->counts[COUNT_DOORBELLS];

	for (unsigned i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		all += sum(m, counters[i]);
	return all;
}

static void collect_vcpus(struct figures *f, const struct machine *m)
{
	static const struct {
		const char *name, *help;
		size_t offset;
	} counters[] = {
#define COUNT(field) offsetof(struct lucid_vcpu, field)
		{"syscalls", "System calls of guest programs", COUNT(count_syscall)},
		{"faults", "Page faults and other exceptions of guest programs, TLB misses too",
			COUNT(count_trap)},
		{"events", "Interrupts taken", COUNT(count_event)},
		{"halts", "Times that a vCPU went to sleep", COUNT(count_halt)},
		{"ipis", "Interrupts from vCPU to vCPU", COUNT(count_send)},
		{"kicks", "Of them, those that had to interrupt a running one", COUNT(count_kick)},
		{"lock_waits", "Times that a vCPU slept on a lock", COUNT(count_wait)},
		{"tlb_fills", "TLB fills", COUNT(count_fill)},
		{"tlb_filled_pages", "Pages that they mapped", COUNT(count_fill_pages)},
		{"tlb_premaps", "Pages filled before they were touched", COUNT(count_premap)},
		{"tlb_flushes", "TLB flushes", COUNT(count_flush)},
		{"tlb_evictions", "TLBs dropped because they were full", COUNT(count_evict)},
		{"space_switches", "Switches between processes", COUNT(count_switch)},
		{"spaces_retired", "Processes replaced instead of flushed", COUNT(count_retire)},
		{"restarts", "Exits that began again because of an interrupt", COUNT(count_rewind)},
#undef COUNT
	};

	for (unsigned i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
		add(f, COUNTER, counters[i].name, counters[i].help, sum(m, counters[i].offset));
	add_seconds(f, COUNTER, "steal_seconds", "Time that vCPUs waited for a CPU of the host",
		sum(m, offsetof(struct lucid_vcpu, steal)));
	add(f, COUNTER, "monitor_calls", "Hypercalls that the monitor answered",
		m->counts[COUNT_CALLS]);
	add(f, COUNTER, "doorbells", "Times that the guest rang the monitor",
		m->counts[COUNT_DOORBELLS]);
	add(f, COUNTER, "exits", "Times that a vCPU left the guest for something of the host's",
		exits(m));
}

static void collect_devices(struct figures *f, const struct machine *m)
{
	uint64_t in, out;

	bus_moved(&m->bus, VIRTIO_ID_BLOCK, &in, &out);
	add(f, COUNTER, "disk_read_bytes", "Bytes that the guest has read from disks", in);
	add(f, COUNTER, "disk_written_bytes", "Bytes that it has written to disks", out);
	bus_moved(&m->bus, VIRTIO_ID_NET, &in, &out);
	add(f, COUNTER, "net_received_bytes", "Bytes that the guest has received", in);
	add(f, COUNTER, "net_sent_bytes", "Bytes that it has sent", out);
	bus_moved(&m->bus, VIRTIO_ID_VSOCK, &in, &out);
	add(f, COUNTER, "vsock_received_bytes", "Bytes that the guest has received by vsock", in);
	add(f, COUNTER, "vsock_sent_bytes", "Bytes that it has sent by vsock", out);
}

static void collect(struct figures *f, struct machine *m)
{
	struct timespec now;

	f->count = 0;
	clock_gettime(CLOCK_MONOTONIC, &now);
	add_seconds(f, GAUGE, "uptime_seconds", "Time since the start",
		(uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec - m->begun);
	add(f, GAUGE, "cpus", "Virtual CPUs", m->config->cpus);
	collect_cpu(f, m);
	collect_memory(f, m);
	collect_guest_memory(f, m);
	collect_runstates(f, m);
	collect_vcpus(f, m);
	collect_devices(f, m);
}

json_t *figures_json(struct machine *m)
{
	json_t *all = json_object();
	struct figures f;

	collect(&f, m);
	for (unsigned i = 0; i < f.count; i++) {
		const struct figure *g = &f.list[i];

		json_object_set_new(all, g->name,
			g->seconds ? json_real((double)g->value / 1e9)
				   : json_integer((json_int_t)g->value));
	}
	return all;
}

char *figures_text(struct machine *m)
{
	struct figures f;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	collect(&f, m);
	for (unsigned i = 0; i < f.count; i++) {
		const struct figure *g = &f.list[i];
		const char *total = g->kind == COUNTER ? "_total" : "";

		fprintf(out, "# HELP lucid_%s%s %s.\n# TYPE lucid_%s%s %s\n", g->name, total,
			g->help, g->name, total, g->kind == COUNTER ? "counter" : "gauge");
		fprintf(out, "lucid_%s%s{vm=\"%s\"} ", g->name, total, m->config->claim->name);
		if (g->seconds)
			fprintf(out, "%.6f\n", (double)g->value / 1e9);
		else
			fprintf(out, "%" PRIu64 "\n", g->value);
	}
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}
