/* SPDX-License-Identifier: MIT */
/*
 * The cache of erofs images: ${XDG_CACHE_HOME:-~/.cache}/lucid/images.
 *
 * An image is called <hash of the source's path>-<hash of its state>.erofs. It is
 * built under a temporary name and renamed, so that what has the name is whole.
 * A run holds a shared lock on the image that it uses; older images of the same
 * source are removed unless somebody uses them. One build at a time: the lock
 * also says that temporary files that are there were left by a build that died.
 *
 * Who owns what in the guest? root makes images with the owners that the source
 * has. For anyone else: a directory is all root's in the guest, for a user cannot
 * have made files of anyone but himself, and means them as the guest's system. An
 * archive knows its owners and device nodes better than a user may unpack it;
 * fakeroot keeps them without any privilege, where a user namespace would have to
 * be granted, with a range of user ids, and still make no device nodes. It serves
 * root as well, who may be without CAP_MKNOD, and should not leave set-user-ID
 * programs from an archive on the host's disk.
 *
 * No compression: the guest's page cache then reads large folios straight from the
 * file, which the host has cached.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/image_cache.h"
#include "monitor/image_state.h"
#include "monitor/tool.h"

/* Counted up when images are made differently. */
#define IMAGE_FORMAT 1

struct build {
	const char *source;
	enum image_kind kind;
	char cache[PATH_MAX - 128]; /* the folder of images */
	char path[PATH_MAX]; /* of the image */
	uint64_t source_hash;
	struct image_state state;
	struct tool_guard guard;
};

/* Makes the folder and those above it. */
static int make_folders(char *path)
{
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return -1;
		*p = c;
		if (c == '\0')
			return 0;
	}
}

static int find_cache(struct build *b)
{
	const char *base = getenv("XDG_CACHE_HOME"), *below = "";
	char path[sizeof(b->cache)], real[PATH_MAX];
	struct passwd *user;
	int n;

	/* By its specification, a path that is not absolute does not count. */
	if (!base || base[0] != '/') {
		base = getenv("HOME");
		below = "/.cache";
	}
	if (!base || base[0] != '/') {
		user = getpwuid(geteuid());
		base = user ? user->pw_dir : "/nonexistent";
	}
	n = snprintf(path, sizeof(path), "%s%s/lucid/images", base, below);
	errno = ENAMETOOLONG;
	/* The real path, since the source may hold it. */
	if (n >= 0 && (size_t)n < sizeof(path) && make_folders(path) == 0 && realpath(path, real) &&
		strlen(real) < sizeof(b->cache)) {
		strcpy(b->cache, real);
		return 0;
	}
	log_error("cannot make the cache %s: %s; set XDG_CACHE_HOME to a folder of yours", path,
		strerror(errno));
	return -1;
}

/* Opens the image if it is there, for as long as it is in use. */
static int open_image(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -1;
	/* Between the two another run may have removed it. */
	if (flock(fd, LOCK_SH) == 0 && fstat(fd, &st) == 0 && st.st_nlink > 0)
		return fd;
	close(fd);
	return -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Removes the other images of the source that nobody uses. */
static void remove_old(const struct build *b)
{
	const char *name = strrchr(b->path, '/') + 1;
	DIR *dir = opendir(b->cache);
	struct dirent *e;
	int fd;

	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (strncmp(e->d_name, name, 17) != 0 || strcmp(e->d_name, name) == 0)
			continue;
		fd = openat(dirfd(dir), e->d_name, O_RDWR | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (flock(fd, LOCK_EX | LOCK_NB) == 0)
			unlinkat(dirfd(dir), e->d_name, 0);
		close(fd);
	}
	closedir(dir);
}

/* The option that keeps what is in a folder out of the image, but not the folder. NULL: no memory.
 */
static char *exclude_option(const char *folder)
{
	static const char option[] = "--exclude-regex=^";
	char *s = malloc(sizeof(option) + 2 * strlen(folder) + 1), *p;

	if (!s)
		return NULL;
	p = stpcpy(s, option);
	for (; *folder; folder++) {
		if (strchr("\\^.[$()|*+?{", *folder))
			*p++ = '\\';
		*p++ = *folder;
	}
	strcpy(p, "/");
	return s;
}

static int make_from_dir(struct build *b, const char *output, char line[TOOL_LINE])
{
	const char **argv = calloc(b->state.skips + 6, sizeof(*argv));
	char **options = calloc(b->state.skips + 1, sizeof(*options));
	int n = 0, ret = -ENOMEM;

	if (!argv || !options)
		goto out;
	argv[n++] = "mkfs.erofs";
	argv[n++] = "--quiet";
	if (geteuid() != 0)
		argv[n++] = "--all-root";
	for (unsigned i = 0; i < b->state.skips; i++) {
		options[i] = exclude_option(b->state.skip[i]);
		if (!options[i])
			goto out;
		argv[n++] = options[i];
	}
	argv[n++] = output;
	argv[n++] = b->source;
	ret = tool_run(&b->guard, argv, line);
out:
	for (unsigned i = 0; options && i < b->state.skips; i++)
		free(options[i]);
	free(options);
	free(argv);
	return ret;
}

static int make_from_archive(
	struct build *b, const char *tree, const char *output, char line[TOOL_LINE])
{
	static const char script[] =
		"tar --extract --file=\"$1\" --directory=\"$2\" --force-local --numeric-owner "
		"--same-owner --preserve-permissions && "
		"exec mkfs.erofs --quiet -x-1 \"$3\" \"$2\"";
	/* No extended attributes: mkfs.erofs does not understand fakeroot's. */
	const char *const argv[] = {
		"fakeroot", "--", "sh", "-c", script, "sh", b->source, tree, output, NULL};

	if (mkdir(tree, 0700) < 0)
		return -errno;
	return tool_run(&b->guard, argv, line);
}

static bool disk_full(const char *path)
{
	struct statvfs fs;

	return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < (1 << 20);
}

/* Reports why an image could not be made. The temporary files are still there. */
static void report(const struct build *b, int ret, const char *line)
{
	if (ret == -EINTR)
		return;
	if (ret > 0 && ret != 127 && b->kind == IMAGE_DIR && image_state_blame(b->source))
		return;
	if (ret == -ENOSPC || disk_full(b->cache))
		log_error("no space left in %s; free some or set XDG_CACHE_HOME to another folder",
			b->cache);
	else if (ret < 0)
		log_error(
			"cannot write to the cache %s: %s; set XDG_CACHE_HOME to a folder of yours",
			b->cache, strerror(-ret));
	else if (ret == 127)
		log_error("a program is missing%s%s; install erofs-utils, fakeroot and tar",
			line[0] ? ": " : "", line);
	else
		log_error(
			"cannot make an image of %s: %s; see that it is whole and you may read it",
			b->source, line[0] ? line : "no reason given");
}

/* Gives the finished file its name. */
static int publish(const struct build *b, const char *output)
{
	int fd = open(output, O_RDONLY | O_CLOEXEC), ret = 0;

	/* After a crash of the host, what has the name must still be whole. */
	if (fd < 0 || fsync(fd) < 0 || rename(output, b->path) < 0)
		ret = -errno;
	if (fd >= 0)
		close(fd);
	return ret;
}

static int build_image(struct build *b)
{
	char tmp[PATH_MAX], tree[PATH_MAX + 8], output[PATH_MAX + 8], line[TOOL_LINE] = "";
	int ret;

	snprintf(tmp, sizeof(tmp), "%s/tmp", b->cache);
	snprintf(tree, sizeof(tree), "%s/root", tmp);
	snprintf(output, sizeof(output), "%s/image", tmp);
	ret = tool_guard(&b->guard);
	if (ret < 0) {
		report(b, ret, line);
		return -1;
	}
	remove_tree(tmp);
	if (mkdir(tmp, 0700) < 0)
		ret = -errno;
	else if (b->kind == IMAGE_DIR)
		ret = make_from_dir(b, output, line);
	else
		ret = make_from_archive(b, tree, output, line);
	if (ret == 0)
		ret = publish(b, output);
	if (ret != 0)
		report(b, ret, line);
	remove_tree(tmp);
	tool_unguard(&b->guard);
	return ret == 0 ? 0 : -1;
}

/* Builds the image unless whoever had the lock before did. Returns it open, or -1. */
static int make_image(struct build *b)
{
	char path[PATH_MAX];
	int lock, fd;

	snprintf(path, sizeof(path), "%s/lock", b->cache);
	lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (lock < 0 || flock(lock, LOCK_EX) < 0) {
		report(b, -errno, "");
		fd = -1;
		goto out;
	}
	fd = open_image(b->path);
	if (fd >= 0)
		goto out;
	if (isatty(STDERR_FILENO))
		dprintf(STDERR_FILENO, "lucid: making an image of %s, once\n", b->source);
	if (build_image(b) < 0)
		goto out;
	fd = open_image(b->path);
	if (fd < 0)
		report(b, -errno, "");
	else
		remove_old(b);
out:
	if (lock >= 0)
		close(lock);
	return fd;
}

int image_cache_get(struct image *image, const char *source, enum image_kind kind)
{
	struct build b = {.source = source, .kind = kind};
	int ret = -1;

	if (find_cache(&b) < 0)
		return -1;
	if (image_state_take(&b.state, source, kind, b.cache) < 0)
		goto out;
	b.state.hash = image_hash_number(b.state.hash, IMAGE_FORMAT << 1 | (geteuid() == 0));
	b.source_hash = image_hash_string(IMAGE_HASH_INIT, source);
	snprintf(b.path, sizeof(b.path), "%s/%016" PRIx64 "-%016" PRIx64 ".erofs", b.cache,
		b.source_hash, b.state.hash);
	image->fd = open_image(b.path);
	if (image->fd < 0)
		image->fd = make_image(&b);
	if (image->fd < 0)
		goto out;
	log_info("root image %s", b.path);
	image->kind = IMAGE_EROFS;
	image->path = strdup(b.path);
	if (image->path)
		ret = 0;
	else
		log_error("out of memory; free some");
out:
	image_state_free(&b.state);
	return ret;
}
