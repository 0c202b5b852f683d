/* SPDX-License-Identifier: MIT */
/*
 * For tests of virtio-blk: a disk in a file of its own, by io_uring and by plain calls, and the
 * driver's requests. The names are short, as nothing but those tests includes this.
 */
#ifndef TEST_UNIT_BLK_RIG_H
#define TEST_UNIT_BLK_RIG_H

#include <linux/virtio_blk.h>

#include "device/blk.h"
#include "test/unit/rig.h"

#define PATH "/tmp/lucid-test-XXXXXX"
#define SECTORS 2048 /* 1 MiB */
#define QUEUE 128
#define WRITE VRING_DESC_F_WRITE
#define NEXT VRING_DESC_F_NEXT

extern struct rig rig;
extern struct ring ring;
extern char path[sizeof(PATH)];
extern int file; /* the test's own view of the disk */
extern const struct blk_limits *limits; /* of the disk that is started next */
extern uint64_t data; /* 8 MiB of guest memory */

/* For cmocka: a file and a machine, whose disk goes one way or the other. */
int setup_uring(void **state);
int setup_plain(void **state);
int teardown(void **state);
#define BOTH(f)                                                                                    \
	{#f " (io_uring)", f, setup_uring, teardown, NULL},                                        \
	{                                                                                          \
#f " (plain)", f, setup_plain, teardown, NULL                                      \
	}

/* Makes the disk, with these flags of blk_create(), and drives it. */
void start(unsigned flags);
/* The same for one that is made already. */
void start_made(void);

/* Lays out a request of up to three descriptors from head on, and offers it. */
void ask(unsigned head, unsigned type, uint64_t sector, uint64_t pa, uint32_t len, unsigned flags);
/* For rig_run_until(): all that was offered has come back. */
bool all_used(void *arg);
uint8_t status(unsigned head);

/* One request from start to end: its status. */
uint8_t request(unsigned type, uint64_t sector, uint64_t pa, uint32_t len, unsigned flags);
/* The same for a discard or zeroes. */
uint8_t range(unsigned type, uint64_t sector, uint32_t count, uint32_t flags);

#endif
