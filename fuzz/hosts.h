/* SPDX-License-Identifier: MIT */
/* The devices of device targets, and what happens at their other end: the host's. */
#ifndef FUZZ_HOSTS_H
#define FUZZ_HOSTS_H

#include "fuzz/input.h"
#include "test/unit/rig.h"

struct host {
	/* Puts the device on the bus of an empty machine. */
	void (*open)(struct rig *rig);
	/* Something happens at the host's end: what, and how much of it, is in the input. */
	void (*act)(struct rig *rig, struct input *in);
	/* Before queues stop: requests that the device would wait for come back. May be NULL. */
	void (*settle)(void);
	/* The device is gone. May be NULL. */
	void (*close)(void);
};

extern const struct host hosts[];
extern const unsigned hosts_count;

#endif
