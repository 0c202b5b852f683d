/* SPDX-License-Identifier: MIT */
/* Which CPU of the host the calling thread keeps to, among those that it may use. */
#ifndef BASE_AFFINITY_H
#define BASE_AFFINITY_H

#include <sched.h>
#include <stdbool.h>

struct affinity {
	cpu_set_t allowed;
	unsigned place; /* a CPU's number + 1; 0: any that is allowed */
};

/* Finds what is allowed. Before a seccomp list without sched_getaffinity is taken. */
void affinity_init(struct affinity *a);

/* Whether place is one to keep to; it may come from a guest. */
bool affinity_allows(const struct affinity *a, unsigned place);

/*
 * Keeps the thread to place, which is allowed, or with 0 to no one CPU any more. If the host
 * does not let it, to none either.
 */
void affinity_keep(struct affinity *a, unsigned place);

#endif
