/* SPDX-License-Identifier: MIT */
/* A disk in a file of its own, and requests for it. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "test/unit/blk_rig.h"

#define NO_STATUS 0xee

struct rig rig;
struct ring ring;
char path[] = PATH;
int file;
const struct blk_limits *limits;
uint64_t data;
static unsigned way; /* BLK_SYNC or 0 */
static uint64_t headers, statuses; /* one of each for each head */

void start(unsigned flags)
{
	const char *why = NULL;

	if (!blk_create(&rig.bus, path, flags | way, limits, &why))
		fail_msg("blk_create: %s", why);
	start_made();
}

void start_made(void)
{
	uint64_t features = (uint64_t)rig_call(&rig, LUCID_MC_DEV_FEATURES, 0, 0, 0);
	rig_negotiate(&rig, 0, features);
	ring_open(&ring, &rig, 0, 0, QUEUE);
	rig_go(&rig, 0);
	rig_settle(&rig);
}

static int make_file(void)
{
	strcpy(path, PATH);
	headers = 0;
	file = mkstemp(path);
	if (file < 0 || ftruncate(file, SECTORS * 512) < 0)
		return -1;
	rig_open(&rig);
	data = rig_alloc(&rig, 8 << 20);
	return 0;
}

int setup_uring(void **state)
{
	(void)state;
	way = 0;
	return make_file();
}

int setup_plain(void **state)
{
	(void)state;
	way = BLK_SYNC;
	return make_file();
}

int teardown(void **state)
{
	(void)state;
	rig_close(&rig);
	close(file);
	unlink(path);
	return 0;
}

/* ---- Requests ---------------------------------------------------------------- */

void ask(unsigned head, unsigned type, uint64_t sector, uint64_t pa, uint32_t len, unsigned flags)
{
	struct virtio_blk_outhdr h = {.type = type, .sector = sector};
	const uint8_t none = NO_STATUS;

	if (headers == 0) {
		headers = rig_alloc(&rig, QUEUE * sizeof(h));
		statuses = rig_alloc(&rig, QUEUE);
	}
	assert_true(ram_write(&rig.ram, headers + head * sizeof(h), &h, sizeof(h)));
	assert_true(ram_write(&rig.ram, statuses + head, &none, 1));
	ring_desc(&rig, ring.desc, head, headers + head * sizeof(h), sizeof(h), NEXT, head + 1);
	if (len > 0)
		ring_desc(&rig, ring.desc, head + 1, pa, len, flags | NEXT, head + 2);
	ring_desc(&rig, ring.desc, head + 1 + (len > 0), statuses + head, 1, WRITE, 0);
	ring_offer(&ring, head);
}

bool all_used(void *arg)
{
	(void)arg;
	return ring_used_index(&ring) == ring.offered;
}

uint8_t status(unsigned head)
{
	return *(uint8_t *)rig_at(&rig, statuses + head, 1);
}

uint8_t request(unsigned type, uint64_t sector, uint64_t pa, uint32_t len, unsigned flags)
{
	ask(0, type, sector, pa, len, flags);
	ring_kick(&ring);
	rig_run_until(&rig, all_used, NULL);
	return status(0);
}

uint8_t range(unsigned type, uint64_t sector, uint32_t count, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes r = {
		.sector = sector,
		.num_sectors = count,
		.flags = flags,
	};

	assert_true(ram_write(&rig.ram, data, &r, sizeof(r)));
	return request(type, 0, data, sizeof(r), 0);
}
