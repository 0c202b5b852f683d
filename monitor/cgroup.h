/* SPDX-License-Identifier: MIT */
/* Limits of the host for a machine as a whole: a control group (cgroup v2) of its own. */
#ifndef MONITOR_CGROUP_H
#define MONITOR_CGROUP_H

#include <stdint.h>

struct machine;

/*
 * Makes a group with these limits (0: none), and moves the process into it; what it starts from
 * now on is in it, too. memory: bytes; cpu: thousandths of a CPU. 0 or -1, reported.
 */
int cgroup_enter(uint64_t memory, uint64_t cpu);

/* Ends the machine when the host has ended one of its processes for want of memory. 0 or -errno. */
int cgroup_watch(struct machine *m);

/* The folder that the group is in, by a descriptor, for leaving; -1: there is none. */
int cgroup_parent(void);

/* Leaves the group, for a process that outlives the machine. */
void cgroup_leave(void);

/* Leaves and removes the group, which has to be empty but for the caller. */
void cgroup_remove(void);

#endif
