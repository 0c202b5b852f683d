/* SPDX-License-Identifier: MIT */
/* A running machine: what the monitor's files share, and no one else sees. */
#ifndef MONITOR_MACHINE_H
#define MONITOR_MACHINE_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "base/affinity.h"
#include "base/loop.h"
#include "base/ram.h"
#include "device/bus.h"
#include "monitor/helper.h"
#include "monitor/network.h"
#include "monitor/vm.h"
#include "space/space.h"

/* Why a machine stopped. */
enum machine_end {
	END_NONE,
	END_POWEROFF, /* the guest asked, or the command is over */
	END_REBOOT,
	END_PANIC,
	END_CRASH, /* the guest did what no guest may, or a vCPU of it is lost */
	END_HOST, /* the host refused something; reported */
	END_KILLED, /* by a second SIGTERM, a session error, or the like; reported */
};

/* What the monitor itself counts. */
enum {
	COUNT_CALLS, /* monitor calls */
	COUNT_DOORBELLS,
	COUNT_SPACES, /* processes made */
	COUNT_TABLES_ENDED, /* ended, for their page tables were too large */
	MACHINE_COUNTS,
};

struct session;
struct relay;
struct api_server;
struct vsock_host;
struct memory;

/* What is known of the host's page tables of a space. */
struct space_tables {
	timer_t timer;
	bool watched; /* the timer is there */
	unsigned kib; /* when it was last looked at */
};

struct vcpu {
	struct machine *machine;
	unsigned id;
	struct lucid_vcpu *page;
	struct stub_shared *shared;
	struct spaces spaces;
	struct space_tables tables[STUB_SLOTS];
	int timer; /* timerfd, set by its spaces */
	unsigned lost_batons; /* spaces that died before they had taken the baton */
};

/* Where the monitor runs; place.c. */
struct monitor_place {
	struct affinity affinity;
	unsigned vcpu, rung; /* who rings, how often since the last look */
	unsigned long halts; /* how often it had slept at the last look */
};

struct machine {
	const struct vm_config *config;
	struct loop *loop;
	struct ram ram;
	struct control control;
	unsigned features; /* LUCID_FEATURE_*; a guest's kernel may write to its page of them */
	struct vcpu *vcpu; /* control.vcpus of them */
	int *kick; /* a FIFO for each; NULL if there is one vCPU */
	struct monitor_place place;
	struct bus bus;
	unsigned rang[LUCID_DEVICES]; /* the vCPU that did last, for each */
	struct session *session;
	struct helpers helpers;
	struct networks networks;
	struct disks *disks;
	int doorbell; /* eventfd, rung by spaces */
	int timeout; /* timerfd of --timeout and of the grace after a shutdown, or -1 */
	int signals; /* signalfd */
	int console; /* where kernel messages go, or -1 */
	uint64_t console_read; /* bytes of the console ring seen */
	enum machine_end end;
	uint64_t begun; /* when it was begun, CLOCK_MONOTONIC in ns */
	int status; /* exit status so far, -1: none */
	bool stopping; /* somebody asked it to power off */
	bool paused; /* by the API */
	struct relay *relay; /* of a detached machine, else NULL */
	struct api_server *api; /* NULL: it has no name */
	struct vsock_host *vsock; /* the same */
	struct memory *memory;
	int64_t started; /* wall clock, seconds */
	uint64_t dead_ns[2]; /* CPU time of spaces that have ended: user's, system's */
	uint64_t shown_ns[2]; /* what was last told of it: it never goes back */
	uint64_t counts[MACHINE_COUNTS];
};

/* Stops the loop; the first reason stays. */
void machine_stop(struct machine *m, enum machine_end end);

/* ---- place.c ------------------------------------------------------------------ */

/* This vCPU has rung the doorbell. */
void place_rung(struct monitor_place *p, const struct vcpu *v);

/* ---- vcpu.c ------------------------------------------------------------------ */

/* What a vCPU does now, as far as its pages tell. */
enum runstate {
	RUNSTATE_OFFLINE,
	RUNSTATE_RUNNING, /* or would, if the host let it */
	RUNSTATE_HALTED, /* sleeps until an event or another vCPU's word */
	RUNSTATE_PAUSED,
	RUNSTATES,
};

/*
 * Makes the vCPUs, their timers and what they kick each other by, all offline. Before
 * vcpus_create_spaces(). 0 or -1, reported.
 */
int vcpus_create(struct machine *m);
/* Makes their zygotes, with the image's segments. 0 or -1, reported. */
int vcpus_create_spaces(struct machine *m, const struct space_segment *segment, unsigned segments);
/* Kills all spaces. */
void vcpus_stop(struct machine *m);
void vcpus_destroy(struct machine *m);

/* Starts a vCPU that is offline. 0 or -errno (-EBUSY: it is not). */
int vcpu_start(struct vcpu *v, uint64_t entry, uint64_t stack);
/* Makes the process of a slot that has none. 0 or -errno. */
int vcpu_make_space(struct vcpu *v, unsigned slot);
enum runstate vcpu_runstate(const struct vcpu *v);
/* Makes an event pending and sees that the vCPU notices. */
void vcpu_raise(struct vcpu *v, unsigned event);
/* Wakes or kicks it, whatever is pending. */
void vcpu_kick(struct vcpu *v);
/* Gives the baton to the current space of a vCPU that is parked. 0 or -errno. */
int vcpu_unpark(struct vcpu *v);
bool vcpu_parked(const struct vcpu *v);
/* A child of the monitor has ended. */
void vcpu_child(struct machine *m, pid_t pid, int status);

/* ---- tables.c ---------------------------------------------------------------- */

/* Tells that a space has had CPU time, with its number; blocked, and read by signalfd. */
#define SIG_TABLES (SIGRTMIN + 2)

/* A slot has a new process, or none any more. */
void tables_watch(struct vcpu *v, unsigned slot);
void tables_forget(struct vcpu *v, unsigned slot);
/* SIG_TABLES came with this number. */
void tables_look(struct machine *m, unsigned which);

/* ---- call.c ------------------------------------------------------------------ */

/* The doorbell rang: monitor calls and queues. */
void call_doorbell(void *machine, uint32_t events);

/* ---- pause.c ------------------------------------------------------------------ */

/*
 * Parks all vCPUs: when it returns 0 no space runs guest code, and what vCPUs have in
 * registers is in guest RAM and their shared pages. Devices go on; what they raise waits. It
 * takes a millisecond or two, longer if the host does not run the vCPUs. -ETIMEDOUT: a vCPU
 * did not park, and all go on; -ECANCELED: the machine has ended meanwhile. Call it from the
 * loop's thread; doorbells are answered in it. Not again before machine_resume().
 */
int machine_pause(struct machine *m);
/* Lets them go on. 0 or -errno: no process for a space that died meanwhile. */
int machine_resume(struct machine *m);

/* ---- console_ring.c ------------------------------------------------------------ */

/* Opens what --console names. 0 or -1, reported. */
int console_ring_open(struct machine *m);
/* Passes on what the guest has written since. */
void console_ring_drain(struct machine *m);
/* Prints the last lines to stderr: the guest's own account of its end. */
void console_ring_tail(const struct machine *m);
void console_ring_close(struct machine *m);

/* ---- boot.c ------------------------------------------------------------------ */

struct load_image;

/* Fills the page that describes the machine; decides how programs are isolated. 0 or -1, reported.
 */
int machine_describe(struct machine *m);
/* Puts the kernel and its RAM disks into guest RAM, and tells where. 0 or -1, reported. */
int machine_load(struct machine *m, struct load_image *image);

/* ---- report.c ---------------------------------------------------------------- */

/* Says what the user must know of the end, counters with --verbose; the status for the process. */
int machine_report(struct machine *m);

/* ---- api.c ------------------------------------------------------------------ */

/* Opens the control socket of a machine with a name. 0 or -1, reported. */
int machine_api_open(struct machine *m);
void machine_api_close(struct machine *m);

/* ---- vm.c ------------------------------------------------------------------- */

/* Asks the guest to power off, as the first SIGTERM does; it is killed if it does not. */
void machine_power_off(struct machine *m);
/* Ends it at once, whatever it does. */
void machine_kill(struct machine *m);

/* ---- confine.c ------------------------------------------------------------------ */

/*
 * Two steps: what no part of the set-up needs, once the zygotes are there, for helpers as well; and
 * what the monitor does not need once the machine runs. 0 or -1, reported.
 */
int confine_start(void);
int confine_run(const struct machine *m);

#endif
