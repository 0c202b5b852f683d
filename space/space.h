/* SPDX-License-Identifier: MIT */
/*
 * The spaces of one vCPU: processes made on demand from an empty zygote, the
 * monitor's children, each confined to its own VM's memory.
 */
#ifndef SPACE_SPACE_H
#define SPACE_SPACE_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/ram.h"
#include "space/control.h"

#define SPACE_SEGMENTS 16

/* A part of the kernel image as it is mapped in the image window. */
struct space_segment {
	uint64_t va, pa, size; /* bytes, page-aligned */
	int prot; /* PROT_* */
};

struct space_config {
	const struct ram *ram;
	const struct control *control;
	unsigned vcpu; /* whose spaces they are */
	int doorbell; /* eventfd */
	int timer; /* timerfd */
	const int *kick; /* a FIFO for each vCPU of the machine, kick_create(); NULL with one */
	const cpu_set_t *cpus; /* of the host, where they run; NULL: wherever the monitor may */
	struct space_segment segment[SPACE_SEGMENTS];
	unsigned segments;
};

struct spaces {
	pid_t zygote;
	pid_t group; /* process group of the zygote, the spaces and their twins */
	int order; /* socket to the zygote */
	pid_t pid[STUB_SLOTS]; /* 0: no process */
	pid_t twin[STUB_SLOTS]; /* as far as they have been asked for: spaces_twin() */
};

/*
 * What the host's CPU and kernel offer. Fills LUCID_FEATURE_* bits; false, with a
 * line to the user printed, where the host cannot run spaces at all.
 */
bool space_probe(unsigned *features);

/* Can the host keep user mode in spaces of its own (LUCID_FEATURE_SPLIT)? */
bool space_can_split(void);

/* The addresses of the stub's hypercalls, for lucid_info.hypercall. */
void space_hypercalls(unsigned long hypercall[LUCID_HC_COUNT]);

/*
 * Makes what one vCPU kicks another one by: a FIFO whose owner gets the kick signal for
 * each byte that is written. A descriptor, or -errno.
 */
int kick_create(void);

/*
 * Makes the zygote. Call from the thread that lives to the end: the zygote and
 * the spaces are killed by the host when it ends. 0 or -errno.
 */
int spaces_create(struct spaces *spaces, const struct space_config *config);

/* Makes the process of a slot that has none. 0 or -errno. */
int spaces_make(struct spaces *spaces, unsigned slot);

/* KiB of page tables that the host has for the space of a slot, or -errno: it cannot be told. */
long spaces_tables(const struct spaces *spaces, unsigned slot);

/* The process that runs the programs of a slot's space; 0: none, or it cannot be told. */
pid_t spaces_twin(struct spaces *spaces, unsigned slot);

/* Sends the kick to the space of a slot, if it has a process. */
void spaces_kick(const struct spaces *spaces, unsigned slot);

/*
 * Forgets a process that has ended and been reaped: its slot, STUB_SLOTS for the
 * zygote, -1 for neither.
 */
int spaces_forget(struct spaces *spaces, pid_t pid);

/* Kills them all, and the zygote; they are still to be reaped. */
void spaces_kill(const struct spaces *spaces);

/* Kills and reaps them all. */
void spaces_destroy(struct spaces *spaces);

#endif
