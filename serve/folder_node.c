/* SPDX-License-Identifier: MIT */
/* The guest's numbers for files: nodes, by FUSE's lookup counts, and open files. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "serve/folder.h"

#define BUCKETS 65536
#define HANDLES_MAX 65536

static struct node *bucket[BUCKETS]; /* by device and inode */
struct slot {
	struct node *node;
};

static struct slot *table; /* by number; number 1 is the root */
static size_t table_size;
static size_t *unused; /* numbers that are free again */
static size_t unused_count, highest = FUSE_ROOT_ID;

static int handle[HANDLES_MAX];
static size_t handles, next_free;

static struct node **chain_of(dev_t dev, ino_t ino)
{
	uint64_t hash = (ino ^ dev * 0x9e3779b97f4a7c15ULL) * 0xff51afd7ed558ccdULL;

	return &bucket[hash >> 48];
}

static bool grow(size_t need)
{
	size_t size = table_size ? table_size : 1024;
	struct slot *t;
	size_t *u;

	while (size <= need)
		size *= 2;
	if (size == table_size)
		return true;
	t = reallocarray(table, size, sizeof(*t));
	if (!t)
		return false;
	table = t;
	u = reallocarray(unused, size, sizeof(*u));
	if (!u)
		return false;
	unused = u;
	for (size_t i = table_size; i < size; i++)
		table[i].node = NULL;
	table_size = size;
	return true;
}

static struct node *insert(uint64_t id, int fd, const struct stat *st)
{
	struct node **chain = chain_of(st->st_dev, st->st_ino);
	struct node *n = malloc(sizeof(*n));

	if (!n)
		return NULL;
	*n = (struct node){.id = id,
		.fd = fd,
		.dev = st->st_dev,
		.ino = st->st_ino,
		.type = st->st_mode & S_IFMT,
		.next = *chain};
	*chain = n;
	table[id].node = n;
	return n;
}

int nodes_init(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!grow(FUSE_ROOT_ID) || !insert(FUSE_ROOT_ID, fd, &st))
		return -ENOMEM;
	table[FUSE_ROOT_ID].node->lookups = 1; /* for ever */
	for (size_t i = 0; i < HANDLES_MAX; i++)
		handle[i] = -1;
	return 0;
}

struct node *node_find(uint64_t id)
{
	return id < table_size ? table[id].node : NULL;
}

struct node *node_of(int fd, const struct stat *st)
{
	struct node *n = *chain_of(st->st_dev, st->st_ino);
	size_t id;

	/* An inode's number can come back for another file, but not while we have this one open. */
	while (n && (n->dev != st->st_dev || n->ino != st->st_ino))
		n = n->next;
	if (n) {
		close(fd);
		n->lookups++;
		return n;
	}
	id = unused_count > 0 ? unused[unused_count - 1] : highest + 1;
	if (grow(id))
		n = insert(id, fd, st);
	if (!n) {
		close(fd);
		return NULL;
	}
	if (unused_count > 0)
		unused_count--;
	else
		highest = id;
	n->lookups = 1;
	return n;
}

void node_forget(uint64_t id, uint64_t lookups)
{
	struct node *n = node_find(id), **at;

	if (!n || id == FUSE_ROOT_ID)
		return;
	n->lookups -= lookups < n->lookups ? lookups : n->lookups;
	if (n->lookups > 0)
		return;
	for (at = chain_of(n->dev, n->ino); *at != n;)
		at = &(*at)->next;
	*at = n->next;
	table[id].node = NULL;
	unused[unused_count++] = id;
	close(n->fd);
	free(n);
}

int64_t handle_new(int fd)
{
	/* From the last free one on, around. */
	for (size_t i = 0; i < HANDLES_MAX && handles < HANDLES_MAX; i++) {
		size_t h = (next_free + i) % HANDLES_MAX;

		if (handle[h] >= 0)
			continue;
		handle[h] = fd;
		next_free = h + 1;
		handles++;
		return (int64_t)h;
	}
	close(fd);
	return -ENFILE;
}

int handle_fd(uint64_t h)
{
	return h < HANDLES_MAX ? handle[h] : -1;
}

void handle_close(uint64_t h)
{
	if (handle_fd(h) < 0)
		return;
	close(handle[h]);
	handle[h] = -1;
	handles--;
	next_free = h;
}
