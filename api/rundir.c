/* SPDX-License-Identifier: MIT */
/* Names, and who is alive. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "api/rundir.h"
#include "base/log.h"

/* Claims and burials are made one at a time, and each takes microseconds. */
#define CLAIM_TRIES 1000
#define CLAIM_WAIT_NS 10000000

bool rundir_name_valid(const char *name)
{
	static const char letters[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
	size_t len = strlen(name);

	if (len == 0 || len > RUNDIR_NAME_MAX || !strchr(letters, name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!strchr(letters, name[i]) && !strchr("._-", name[i]))
			return false;
	return true;
}

/* ---- The folder of all --------------------------------------------------------- */

/* Nobody else may have a hand in it: /tmp is everybody's. */
static bool is_ours(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == geteuid() && (st.st_mode & 077) == 0;
}

static bool is_directory_of_ours(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid();
}

static int top_path(char *path, size_t size)
{
	const char *base = getenv("XDG_RUNTIME_DIR");
	int n;

	if (base && base[0] == '/') {
		n = snprintf(path, size, "%s/lucid", base);
	} else {
		snprintf(path, size, "/run/user/%u", geteuid());
		if (is_directory_of_ours(path))
			n = snprintf(path, size, "/run/user/%u/lucid", geteuid());
		else
			n = snprintf(path, size, "/tmp/lucid-%u", geteuid());
	}
	return n > 0 && (size_t)n < size ? 0 : -ENAMETOOLONG;
}

/* Opens it; made if it is not there and create says so. -errno on failure. */
static int open_top(char *path, size_t size, bool create)
{
	int r = top_path(path, size);

	if (r < 0)
		return r;
	if (create && mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	int fd = open(path, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (is_ours(fd))
		return fd;
	close(fd);
	return -EPERM;
}

/*
 * Takes the right to claim and to bury. Not so if somebody else has it, or if the folder of all
 * has been removed meanwhile by whoever was the last.
 */
static bool take_turn(int top, const char *path)
{
	struct stat a, b;

	return flock(top, LOCK_EX | LOCK_NB) == 0 && fstat(top, &a) == 0 && lstat(path, &b) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/* ---- Locks ----------------------------------------------------------------------- */

/* Locks of open files, which children of the monitor share and a fork does not lose. */
static bool take_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK};

	return fcntl(fd, F_OFD_SETLK, &lock) == 0;
}

static bool is_locked(int dir)
{
	struct flock lock = {.l_type = F_WRLCK};
	int fd = openat(dir, RUNDIR_LOCK, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	bool locked;

	if (fd < 0)
		return false;
	locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return locked;
}

/* Whether the locked file still has its name: its last owner may have removed it meanwhile. */
static bool still_there(int dir, int lock)
{
	struct stat a, b;

	return fstat(lock, &a) == 0 && fstatat(dir, RUNDIR_LOCK, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	       a.st_ino == b.st_ino && a.st_dev == b.st_dev;
}

/*
 * Opens and locks the folder of a name, which is made if need be: 1; 0: a living machine has it;
 * -EAGAIN: its last owner is just leaving; or another -errno. It must be the caller's turn.
 */
static int lock_folder(int top, const char *name, int *dir, int *lock)
{
	int r = -EAGAIN;

	if (mkdirat(top, name, 0700) < 0 && errno != EEXIST)
		return errno == ENOENT ? -EAGAIN : -errno;
	*dir = openat(top, name, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
	if (*dir < 0)
		return errno == ENOENT ? -EAGAIN : -errno;
	*lock = openat(*dir, RUNDIR_LOCK, O_CREAT | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (*lock < 0)
		r = errno == ENOENT ? -EAGAIN : -errno;
	else if (!take_lock(*lock))
		r = errno == EAGAIN || errno == EACCES ? 0 : -errno;
	else if (still_there(*dir, *lock))
		return 1;
	if (*lock >= 0)
		close(*lock);
	close(*dir);
	return r;
}

/* ---- The dead --------------------------------------------------------------------- */

/* Removes what a folder holds; the lock last, for until then the name is taken. */
static void empty_folder(int dir)
{
	int copy = openat(dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;

	if (!d) {
		if (copy >= 0)
			close(copy);
		return;
	}
	while ((e = readdir(d)))
		if (strcmp(e->d_name, RUNDIR_LOCK) != 0)
			unlinkat(dir, e->d_name, 0);
	closedir(d);
}

static void bury(int top, const char *name)
{
	int dir = -1, lock = -1;

	if (lock_folder(top, name, &dir, &lock) != 1)
		return;
	empty_folder(dir);
	unlinkat(dir, RUNDIR_LOCK, 0);
	unlinkat(top, name, AT_REMOVEDIR);
	close(lock);
	close(dir);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorts the names in the folder into the living and the dead, and buries these if it may. */
static int sort_out(int top, bool may_bury, char ***names, size_t *count)
{
	int copy = openat(top, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *e;
	size_t room = 0;
	int r = 0;

	*names = NULL;
	*count = 0;
	if (!d) {
		r = -errno;
		if (copy >= 0)
			close(copy);
		return r;
	}
	while (r == 0 && (e = readdir(d))) {
		int dir;

		if (!rundir_name_valid(e->d_name))
			continue;
		dir = openat(top, e->d_name, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
		if (dir < 0)
			continue;
		bool alive = is_locked(dir);
		close(dir);
		if (!alive && may_bury)
			bury(top, e->d_name);
		if (!alive)
			continue;
		if (*count == room) {
			char **grown = reallocarray(*names, room = 2 * room + 16, sizeof(char *));

			r = grown ? 0 : -ENOMEM;
			*names = grown ? grown : *names;
		}
		if (r == 0 && !((*names)[*count] = strdup(e->d_name)))
			r = -ENOMEM;
		*count += r == 0;
	}
	closedir(d);
	if (*count > 0)
		qsort(*names, *count, sizeof(char *), compare);
	return r;
}

void rundir_free(char **names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(names[i]);
	free(names);
}

/* ---- Claims ------------------------------------------------------------------------- */

static int report(const char *path, int err)
{
	if (err == -EPERM)
		log_error("%s is not yours alone; set XDG_RUNTIME_DIR to a directory of your own",
			path);
	else
		log_error(
			"runtime directory %s: %s; set XDG_RUNTIME_DIR to a directory of your own",
			path, strerror(-err));
	return -1;
}

static int note(const char *path, int err)
{
	log_info("no control socket: %s: %s", path, strerror(-err));
	return -1;
}

/* One machine a process: its number is a name that no other one has. */
static void make_up_name(struct rundir_claim *c)
{
	static unsigned count;

	if (count++ == 0)
		snprintf(c->name, sizeof(c->name), "vm-%d", getpid());
	else
		snprintf(c->name, sizeof(c->name), "vm-%d.%u", getpid(), count);
}

/* As lock_folder(). -EAGAIN: it is somebody else's turn, or what was there is going. */
static int try_claim(struct rundir_claim *c, const char *name, char *path, size_t size)
{
	int top = open_top(path, size, true), r = -EAGAIN;
	char **names;
	size_t count;

	if (top < 0)
		return top == -ENOENT ? -EAGAIN : top;
	if (take_turn(top, path)) {
		sort_out(top, true, &names, &count);
		rundir_free(names, count);
		if (name)
			snprintf(c->name, sizeof(c->name), "%s", name);
		else
			make_up_name(c);
		r = lock_folder(top, c->name, &c->dir, &c->lock);
		/* A name that was made up may be one that somebody has given. */
		if (r == 0 && !name)
			r = -EAGAIN;
		if (r == 1)
			empty_folder(c->dir);
	}
	close(top);
	return r;
}

int rundir_claim(struct rundir_claim *c, const char *name, bool must)
{
	const struct timespec pause = {.tv_nsec = CLAIM_WAIT_NS};
	char path[PATH_MAX] = "";
	int r = -EAGAIN;

	*c = (struct rundir_claim){.dir = -1, .lock = -1};
	for (int i = 0; i < CLAIM_TRIES && r == -EAGAIN; i++) {
		if (i > 0)
			nanosleep(&pause, NULL);
		r = try_claim(c, name, path, sizeof(path));
	}
	if (r <= 0)
		c->dir = c->lock = -1;
	if (r == 0) {
		log_error("there is a machine named %s already; choose another name", c->name);
		return -1;
	}
	if (r < 0)
		return must ? report(path, r) : note(path, r);
	if (asprintf(&c->path, "%s/%s", path, c->name) < 0) {
		c->path = NULL;
		rundir_release(c);
		return report(path, -ENOMEM);
	}
	return 0;
}

int rundir_write(const struct rundir_claim *c, const char *file, const char *text)
{
	char temporary[64];
	size_t len = strlen(text);
	int fd, r = 0;

	snprintf(temporary, sizeof(temporary), "%s.new", file);
	fd = openat(c->dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		r = errno ? -errno : -EIO;
	close(fd);
	if (r == 0 && renameat(c->dir, temporary, c->dir, file) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(c->dir, temporary, 0);
	return r;
}

static void remove_file(const struct rundir_claim *c, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", c->path, file);
	unlink(path);
}

void rundir_release(struct rundir_claim *c)
{
	if (c->dir < 0)
		return;
	if (c->path) {
		char *slash;

		remove_file(c, RUNDIR_CONTROL);
		remove_file(c, RUNDIR_VSOCK);
		remove_file(c, RUNDIR_INFO);
		remove_file(c, RUNDIR_LOCK);
		rmdir(c->path);
		/* The folder of all goes with the last machine. */
		slash = strrchr(c->path, '/');
		*slash = '\0';
		rmdir(c->path);
	}
	free(c->path);
	close(c->dir);
	close(c->lock);
	*c = (struct rundir_claim){.dir = -1, .lock = -1};
}

/* ---- For those who look for a machine -------------------------------------------------- */

int rundir_enter(const char *name)
{
	char path[PATH_MAX];
	int top, dir, saved;

	if (!rundir_name_valid(name)) {
		errno = ENOENT;
		return -1;
	}
	top = open_top(path, sizeof(path), false);
	if (top < 0) {
		errno = -top;
		return -1;
	}
	dir = openat(top, name, O_DIRECTORY | O_NOFOLLOW | O_RDONLY | O_CLOEXEC);
	saved = errno;
	close(top);
	if (dir >= 0 && !is_locked(dir)) {
		close(dir);
		dir = -1;
		saved = ENOENT;
	}
	errno = saved;
	return dir;
}

int rundir_list(char ***names, size_t *count)
{
	char path[PATH_MAX];
	int top = open_top(path, sizeof(path), false), r;

	*names = NULL;
	*count = 0;
	if (top == -ENOENT)
		return 0;
	if (top < 0)
		return report(path, top);
	r = sort_out(top, take_turn(top, path), names, count);
	if (r == 0 && *count == 0)
		rmdir(path); /* nobody is left; whoever comes makes it again */
	close(top);
	if (r == 0)
		return 0;
	rundir_free(*names, *count);
	return report(path, r);
}
