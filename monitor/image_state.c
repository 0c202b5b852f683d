/* SPDX-License-Identifier: MIT */
/*
 * Whether a root source has changed is told by what stat() says of each entry,
 * not by its content: 30,000 files take 50 ms. The change time cannot be set
 * back by a program, so that even a file with its old size and modification
 * time counts as changed. FNV suffices: nobody gains by two states of his own
 * source having one hash, and chance makes one in 2^64 of them.
 */
#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/image_state.h"

static uint64_t hash_byte(uint64_t hash, unsigned char byte)
{
	return (hash ^ byte) * 0x100000001b3ULL;
}

uint64_t image_hash_string(uint64_t hash, const char *s)
{
	do {
		hash = hash_byte(hash, (unsigned char)*s);
	} while (*s++); /* its end counts, too */
	return hash;
}

uint64_t image_hash_number(uint64_t hash, uint64_t number)
{
	for (int i = 0; i < 8; i++)
		hash = hash_byte(hash, (unsigned char)(number >> 8 * i));
	return hash;
}

static uint64_t hash_time(uint64_t hash, const struct timespec *time)
{
	hash = image_hash_number(hash, (uint64_t)time->tv_sec);
	return image_hash_number(hash, (uint64_t)time->tv_nsec);
}

/* All but the access time: reading is no change. */
static uint64_t hash_stat(uint64_t hash, const struct stat *st)
{
	hash = image_hash_number(hash, st->st_dev);
	hash = image_hash_number(hash, st->st_ino);
	hash = image_hash_number(hash, st->st_mode);
	hash = image_hash_number(hash, (uint64_t)st->st_uid << 32 | st->st_gid);
	hash = image_hash_number(hash, st->st_rdev);
	hash = image_hash_number(hash, (uint64_t)st->st_size);
	hash = hash_time(hash, &st->st_mtim);
	return hash_time(hash, &st->st_ctim);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int skip(struct image_state *state, const char *path)
{
	char **list = reallocarray(state->skip, state->skips + 2, sizeof(char *));

	if (!list)
		return -1;
	state->skip = list;
	list[state->skips] = strdup(path);
	if (!list[state->skips])
		return -1;
	list[++state->skips] = NULL;
	return 0;
}

/* One entry of the walk, at path below the source. 0, or -1 and errno. */
static int take_entry(struct image_state *state, FTS *fts, FTSENT *e, const char *path,
	const char *cache, dev_t dev)
{
	switch (e->fts_info) {
	case FTS_DP: /* a directory for the second time */
		return 0;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		/* Gone meanwhile: the directory's own time tells of the change. */
		if (e->fts_errno == ENOENT && e->fts_level > 0)
			return 0;
		errno = e->fts_errno;
		return -1;
	}
	if (e->fts_info == FTS_D && e->fts_level > 0 &&
		(e->fts_statp->st_dev != dev || strcmp(e->fts_path, cache) == 0)) {
		fts_set(fts, e, FTS_SKIP);
		return skip(state, path);
	}
	state->hash = image_hash_string(state->hash, path);
	state->hash = hash_stat(state->hash, e->fts_statp);
	return 0;
}

static int take_dir(struct image_state *state, const char *source, const char *cache)
{
	char *roots[] = {(char *)source, NULL};
	size_t prefix = strlen(source);
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_name);
	const char *path;
	dev_t dev = 0;
	FTSENT *e;

	if (!fts) {
		log_error("cannot read %s: %s; try again", source, strerror(errno));
		return -1;
	}
	while ((errno = 0, e = fts_read(fts))) {
		if (e->fts_level == 0)
			dev = e->fts_statp->st_dev;
		path = e->fts_path + prefix;
		while (*path == '/')
			path++;
		if (take_entry(state, fts, e, path, cache, dev) < 0) {
			log_error("cannot read %s: %s; give a root that you may read all of",
				e->fts_path, strerror(errno));
			fts_close(fts);
			return -1;
		}
	}
	if (errno) {
		log_error("cannot read %s: %s; try again", source, strerror(errno));
		fts_close(fts);
		return -1;
	}
	fts_close(fts);
	return 0;
}

int image_state_take(
	struct image_state *state, const char *source, enum image_kind kind, const char *cache)
{
	struct stat st;

	*state = (struct image_state){.hash = IMAGE_HASH_INIT};
	if (kind == IMAGE_DIR)
		return take_dir(state, source, cache);
	if (stat(source, &st) < 0) {
		log_error("cannot read %s: %s; see that it stays where it is", source,
			strerror(errno));
		return -1;
	}
	state->hash = hash_stat(state->hash, &st);
	return 0;
}

bool image_state_blame(const char *source)
{
	char *roots[] = {(char *)source, NULL};
	FTS *fts = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	bool found = false;
	FTSENT *e;

	if (!fts)
		return false;
	while (!found && (e = fts_read(fts))) {
		if (e->fts_info != FTS_F || access(e->fts_path, R_OK) == 0)
			continue;
		log_error("cannot read %s: %s; give a root that you may read all of", e->fts_path,
			strerror(errno));
		found = true;
	}
	fts_close(fts);
	return found;
}

void image_state_free(struct image_state *state)
{
	for (unsigned i = 0; i < state->skips; i++)
		free(state->skip[i]);
	free(state->skip);
	*state = (struct image_state){0};
}
