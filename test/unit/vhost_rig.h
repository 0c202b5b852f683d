/* SPDX-License-Identifier: MIT */
/*
 * For tests of a disk that another process serves: a back end, a thread, which can also answer
 * wrongly. Memory is the same for both ends, so it takes addresses as they come.
 */
#ifndef TEST_UNIT_VHOST_RIG_H
#define TEST_UNIT_VHOST_RIG_H

#include <stdint.h>

#include "test/unit/blk_rig.h"

#define SIZE (SECTORS * 512)

enum mood {
	SOUND,
	/* while it is asked for the device */
	NO_FEATURES, /* which are required */
	NO_PROTOCOL, /* features */
	OTHER_ANSWER, /* than to what was asked */
	SHORT_ANSWER,
	LONG_ANSWER,
	REFUSES, /* memory */
	CLOSES, /* when it is asked for the configuration */
	NO_CAPACITY,
	ODD_BLOCKS,
	READ_ONLY,
	/* while it serves requests */
	SPARING, /* with calls: none that was not asked for by an event index */
	FAILS,
	KNOWS_NOTHING, /* of such requests */
	ODD_STATUS,
	OTHER_SLOT, /* which it was not given */
	NO_SLOT, /* there is one of that number */
	TWICE, /* it gives one slot back */
	RUNS_AHEAD, /* with its index */
	DIES, /* at the first request */
	TALKS, /* without being asked */
};

/* The back end. */
extern struct back_end {
	enum mood mood;
	int socket, kick, call;
	int fds; /* that came with memory */
	uint64_t features;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t seen;
	unsigned flushed, discarded, zeroed, kept;
	unsigned char disk[SIZE];
} be;

/* The back end's thread. Ends with its socket, or when its mood is to. */
void *back_end(void *arg);

#endif
