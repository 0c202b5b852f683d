/* SPDX-License-Identifier: MIT */
/*
 * Limits of a disk: token buckets for operations and for bytes.
 *
 * A bucket fills at its rate and holds a tenth of a second's worth. Whoever wants to
 * begin may while no bucket is in debt, and then pays what it costs, so that a large
 * request is never too large; it is paid off before the next one begins.
 */
#ifndef DEVICE_THROTTLE_H
#define DEVICE_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/loop.h"

struct bucket {
	uint64_t rate; /* tokens a second; 0: no limit */
	int64_t tokens; /* in billionths; below 0: debt */
};

struct throttle {
	struct bucket operations, bytes;
	uint64_t then; /* when the buckets were last filled; CLOCK_MONOTONIC, ns */
	struct loop *loop;
	int timer; /* -1: there are no limits */
	void (*ready)(void *arg);
	void *arg;
};

/* Limits of 0 are none. ready is called when throttle_may() is worth another try. 0 or -errno. */
int throttle_init(struct throttle *t, struct loop *loop, uint64_t iops, uint64_t bandwidth,
	void (*ready)(void *arg), void *arg);
void throttle_fini(struct throttle *t);

/* Whether an operation may begin; if not, ready will be called. */
bool throttle_may(struct throttle *t);
/* One has begun that moves as many bytes. */
void throttle_pay(struct throttle *t, uint64_t bytes);

#endif
