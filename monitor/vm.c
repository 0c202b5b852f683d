/* SPDX-License-Identifier: MIT */
/* A machine's life: set up, run, end. Every way out goes through tear_down(). */
#define _GNU_SOURCE
#include "monitor/vm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/landlock.h"
#include "base/log.h"
#include "base/process.h"
#include "device/rng.h"
#include "monitor/cgroup.h"
#include "monitor/cpu.h"
#include "monitor/disks.h"
#include "monitor/folders.h"
#include "monitor/load.h"
#include "monitor/ram_fault.h"
#include "monitor/shared.h"
#include "monitor/machine.h"
#include "monitor/memory.h"
#include "monitor/relay.h"
#include "monitor/session.h"
#include "monitor/vsock.h"

/* How long a guest has to power itself off once it was asked to. */
#define GRACE_SECONDS 15
/* The same once its agent has failed. */
#define FAILED_SECONDS 2

#define SIG_PAUSE SIGRTMIN
#define SIG_RESUME (SIGRTMIN + 1)

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void machine_stop(struct machine *m, enum machine_end end)
{
	if (m->end != END_NONE)
		return;
	m->end = end;
	/* What the command has written is still on its way out. */
	if (end == END_KILLED || !m->session)
		loop_stop(m->loop, 0);
	else
		session_machine_stopped(m->session);
}

static int fail(const char *what, int err)
{
	log_error("%s: %s", what, strerror(err < 0 ? -err : err));
	return -1;
}

/* ---- Signals and time-outs ----------------------------------------------------- */

static void set_timeout(struct machine *m, unsigned seconds)
{
	const struct itimerspec spec = {.it_value.tv_sec = seconds};

	timerfd_settime(m->timeout, 0, &spec, NULL);
}

/* --timeout runs out: a clean power-off first, and then not much patience. */
static void on_timeout(void *arg, uint32_t events)
{
	struct machine *m = arg;
	uint64_t count;

	(void)events;
	if (read(m->timeout, &count, sizeof(count)) != sizeof(count))
		return;
	if (m->status >= 0 || m->stopping) { /* the command is over, or was told to be */
		if (m->status < 0)
			m->status = 128 + SIGKILL;
		log_warn("the guest did not power off by itself; killed");
		machine_stop(m, END_KILLED);
		return;
	}
	if (!session_hello_time(m->session)) { /* nobody in there to ask */
		log_error("time-out after %u s; the guest has not come up, killed",
			m->config->timeout);
		m->status = EXIT_LUCID;
		machine_stop(m, END_KILLED);
		return;
	}
	log_error("time-out after %u s; powering the guest off", m->config->timeout);
	m->status = EXIT_LUCID;
	set_timeout(m, GRACE_SECONDS);
	session_shutdown(m->session);
}

void machine_power_off(struct machine *m)
{
	if (m->stopping || m->end != END_NONE)
		return;
	m->stopping = true;
	if (!session_hello_time(m->session)) { /* nobody in there to ask */
		m->status = 128 + SIGTERM;
		machine_stop(m, END_KILLED);
		return;
	}
	set_timeout(m, GRACE_SECONDS);
	session_shutdown(m->session);
}

void machine_kill(struct machine *m)
{
	if (m->end == END_NONE)
		m->end = END_KILLED;
	loop_stop(m->loop, 0);
}

static uint64_t timeval_ns(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_usec * 1000u;
}

static void reap(struct machine *m)
{
	struct rusage used;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG, &used)) > 0) {
		m->dead_ns[0] += timeval_ns(&used.ru_utime);
		m->dead_ns[1] += timeval_ns(&used.ru_stime);
		helper_forget(&m->helpers, pid);
		vcpu_child(m, pid, status);
	}
}

/* For tests of guests that have no name to be called by. */
static void pause_or_resume(struct machine *m, bool pause)
{
	uint64_t begun = now_ns();
	int err = pause ? machine_pause(m) : machine_resume(m);

	m->paused = pause && !err;
	if (err)
		log_warn("cannot %s: %s", pause ? "pause" : "resume", strerror(-err));
	else
		log_info("%s after %.1f ms", pause ? "paused" : "resumed",
			(double)(now_ns() - begun) / 1e6);
}

static void on_signal(void *arg, uint32_t events)
{
	struct signalfd_siginfo info;
	struct machine *m = arg;

	(void)events;
	while (read(m->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap(m);
		else if (info.ssi_signo == (uint32_t)SIG_TABLES)
			tables_look(m, (unsigned)info.ssi_int);
		else
			pause_or_resume(m, info.ssi_signo == (uint32_t)SIG_PAUSE);
	}
}

/*
 * The command is over: the guest is about to power off, and gets the time to write
 * its disks back. Or the machine is, and the session had only to finish writing.
 */
static void on_session_end(void *arg, enum session_end why, int status)
{
	struct machine *m = arg;

	if (m->status < 0 && why != SESSION_LOST)
		m->status = status;
	if (m->end != END_NONE)
		loop_stop(m->loop, 0);
	else if (why == SESSION_KILLED)
		machine_stop(m, END_KILLED);
	else if (why == SESSION_FAILED)
		set_timeout(m, FAILED_SECONDS);
	else
		set_timeout(m, GRACE_SECONDS);
}

/* ---- Set-up ----------------------------------------------------------------------- */

static int set_up_process(const struct vm_config *config)
{
	int err;

	cpu_tsc_begin();
	/* A file at the user's limit is an error of the guest's write, not our end. */
	signal(SIGXFSZ, SIG_IGN);
	/* Twins of spaces are their children, and ours when those have ended. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		return fail("prctl", errno);
	err = process_hide();
	if (err)
		return fail("prctl", err);
	if (config->guard_speculation && process_guard_speculation() < 0) {
		log_error("--guard-speculation: this host's kernel does not let a process ask for "
			  "it; leave it out");
		return -1;
	}
	/*
	 * Any layer of Landlock forbids that files are linked or moved to other folders, unless it
	 * allows it, and then it forbids mounts, which passt makes. So not for who shares folders.
	 */
	err = config->folders ? 0 : landlock_scope();
	return err ? fail("Landlock", err) : 0;
}

static int set_up_signals(struct machine *m)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIG_PAUSE);
	sigaddset(&set, SIG_RESUME);
	sigaddset(&set, SIG_TABLES);
	sigprocmask(SIG_BLOCK, &set, NULL);
	m->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return m->signals < 0 ? fail("signalfd", errno) : 0;
}

static int set_up_descriptors(struct machine *m)
{
	m->loop = loop_create();
	if (!m->loop)
		return fail("event loop", errno);
	m->doorbell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	m->timeout = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (m->doorbell < 0 || m->timeout < 0 || set_up_signals(m) < 0)
		return fail("descriptors", errno);
	if (loop_add(m->loop, m->doorbell, EPOLLIN, call_doorbell, m) ||
		loop_add(m->loop, m->timeout, EPOLLIN, on_timeout, m) ||
		loop_add(m->loop, m->signals, EPOLLIN, on_signal, m))
		return fail("event loop", errno);
	if (m->config->timeout)
		set_timeout(m, m->config->timeout);
	return 0;
}

static struct memory_config memory_config(const struct machine *m)
{
	const struct vm_config *c = m->config;

	return (struct memory_config){
		.boot = c->memory,
		.max = c->memory_max > c->memory ? c->memory_max : c->memory,
		.host_pressure = c->balloon_auto,
	};
}

static int set_up_memory(struct machine *m)
{
	const struct memory_config config = memory_config(m);
	int err = ram_create(&m->ram, memory_ram_size(&config));

	if (!err)
		err = control_create(&m->control, m->config->cpus);
	if (err == -EFBIG) {
		log_error("guest memory is larger than a file may be here; give less --memory, or "
			  "raise `ulimit -f`");
		return -1;
	}
	if (err)
		return fail("guest memory", err);
	ram_fault_watch(&m->ram);
	return console_ring_open(m);
}

/* A detached machine's command runs: whoever started it may go. */
static void on_started(void *arg)
{
	struct machine *m = arg;

	if (write(m->config->ready, "", 1) < 0)
		log_info("nobody waits for the machine any more");
	close(m->config->ready);
}

static int set_up_streams(struct machine *m)
{
	if (!m->config->log)
		return 0;
	m->relay = relay_create(m->loop, m->config->log);
	return m->relay ? 0 : fail("standard streams", errno);
}

/*
 * Devices interrupt the vCPU that rang for them last: it is the one that waits, most often, and
 * no other has to be woken to wake it. One that goes offline hands over what it has not seen;
 * the first one never does.
 */
static void raise_event(void *machine, unsigned event)
{
	struct machine *m = machine;
	unsigned device = (event - LUCID_EVENT_DEVICE(0)) / 2;
	struct vcpu *first = &m->vcpu[0], *v = &m->vcpu[m->rang[device % LUCID_DEVICES]];

	if (load(&v->page->state) == LUCID_STATE_ONLINE)
		vcpu_raise(v, event);
	if (load(&v->page->state) != LUCID_STATE_ONLINE)
		vcpu_raise(first, event);
}

static int set_up_devices(struct machine *m)
{
	const struct vm_config *c = m->config;

	m->bus.ram = &m->ram;
	m->bus.loop = m->loop;
	m->bus.raise = raise_event;
	m->bus.raise_arg = m;
	if (networks_create(&m->networks, &m->bus, c, &m->helpers) < 0 || set_up_streams(m) < 0)
		return -1;
	const struct vm_setup setup = {
		.command = &c->command,
		.root = c->root,
		.fstype = c->root_fstype,
		.net = m->networks.guest,
		.nets = m->networks.count,
		.folder = c->folder,
		.folders = c->folders,
		.memory_max = c->memory_max,
	};
	m->session = session_create(&m->bus, m->loop, &setup, on_session_end, m);
	if (!m->session)
		return -1;
	if (m->relay) {
		relay_join(m->relay, m->session);
		session_on_started(m->session, on_started, m);
	}
	if (folders_create(&m->bus, c, &m->helpers) < 0)
		return -1;
	if (!rng_create(&m->bus))
		return fail("random device", errno);
	m->disks = disks_create(&m->bus, c, &m->helpers);
	if (!m->disks)
		return -1;
	const struct memory_config memory = memory_config(m);

	m->memory = memory_create(&m->bus, &memory);
	if (!m->memory)
		return -1;
	if (c->claim) {
		m->vsock = vsock_host_create(&m->bus, c->claim->dir, c->vsock_outward);
		if (!m->vsock)
			return fail("vsock", errno);
	}
	return 0;
}

static int set_up(struct machine *m)
{
	struct load_image image;
	int err;

	if (set_up_process(m->config) < 0 ||
		cgroup_enter(m->config->host_memory, m->config->host_cpu) < 0 ||
		set_up_memory(m) < 0 || machine_describe(m) < 0 || machine_load(m, &image) < 0 ||
		set_up_descriptors(m) < 0 || vcpus_create(m) < 0 ||
		vcpus_create_spaces(m, image.segment, image.segments) < 0 || confine_start() < 0 ||
		set_up_devices(m) < 0 || machine_api_open(m) < 0)
		return -1;
	/* All paths have been opened; a daemon keeps no directory busy. */
	if (m->config->log && chdir("/") < 0)
		return fail("/", errno);
	err = cgroup_watch(m);
	if (err)
		return fail("control group", err);
	affinity_init(&m->place.affinity);
	if (confine_run(m) < 0)
		return -1;
	m->control.info->tsc_khz = cpu_tsc_khz();
	err = vcpu_start(&m->vcpu[0], image.entry, 0);
	return err ? fail("process for the first address space", err) : 0;
}

/* ---- The end -------------------------------------------------------------------------- */

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

static void tear_down(struct machine *m)
{
	/* Spaces first: nothing changes memory or rings any more while devices finish. */
	vcpus_stop(m);
	machine_api_close(m);
	if (m->session)
		session_destroy(m->session);
	relay_destroy(m->relay);
	vsock_host_destroy(m->vsock);
	memory_destroy(m->memory);
	bus_destroy(&m->bus);
	networks_destroy(&m->networks);
	helpers_end(&m->helpers);
	/* Locks of images go when nobody serves them any more. */
	disks_destroy(m->disks);
	console_ring_close(m);
	vcpus_destroy(m);
	control_destroy(&m->control);
	ram_destroy(&m->ram);
	close_fd(m->doorbell);
	close_fd(m->timeout);
	close_fd(m->signals);
	if (m->loop)
		loop_destroy(m->loop);
	cgroup_remove();
}

int vm_run(const struct vm_config *config)
{
	struct machine m = {
		.config = config,
		.ram.fd = -1,
		.control.fd = -1,
		.doorbell = -1,
		.timeout = -1,
		.signals = -1,
		.console = -1,
		.status = -1,
		.begun = now_ns(),
		.started = time(NULL),
	};
	int status = EXIT_LUCID;

	if (set_up(&m) == 0) {
		loop_run(m.loop);
		console_ring_drain(&m);
		status = machine_report(&m);
		if (m.relay)
			relay_end(m.relay, status);
	}
	tear_down(&m);
	return status;
}
