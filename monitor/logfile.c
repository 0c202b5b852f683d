/* SPDX-License-Identifier: MIT */
/* Two files that take turns. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/logfile.h"

static int state_directory(char *path, size_t size)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n = -1;

	if (state && state[0] == '/')
		n = snprintf(path, size, "%s/lucid", state);
	else if (home && home[0] == '/')
		n = snprintf(path, size, "%s/.local/state/lucid", home);
	return n > 0 && (size_t)n < size ? 0 : -ENOENT;
}

static void make_directories(char *path)
{
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	mkdir(path, 0700);
}

static int open_part(int dir, const char *name, unsigned part, int flags)
{
	char file[NAME_MAX];

	snprintf(file, sizeof(file), "%s.%u.log", name, part);
	return openat(dir, file, flags | O_NOFOLLOW | O_CLOEXEC, 0600);
}

struct entry {
	struct timespec time;
	char name[NAME_MAX + 1];
};

static int newest_first(const void *a, const void *b)
{
	const struct timespec *s = &((const struct entry *)a)->time;
	const struct timespec *t = &((const struct entry *)b)->time;

	if (s->tv_sec != t->tv_sec)
		return s->tv_sec < t->tv_sec ? 1 : -1;
	return s->tv_nsec < t->tv_nsec ? 1 : -(s->tv_nsec > t->tv_nsec);
}

/* Removes the oldest logs. One that is being written still loses its name and nothing else. */
static void prune(int dir)
{
	int copy = openat(dir, ".", O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
	struct entry *list = NULL;
	size_t count = 0;
	struct dirent *e;

	while (d && (e = readdir(d))) {
		size_t len = strlen(e->d_name);
		struct entry *grown;
		struct stat st;

		if (len < 6 || strcmp(e->d_name + len - 4, ".log") != 0 ||
			fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		grown = reallocarray(list, count + 1, sizeof(*list));
		if (!grown)
			break;
		list = grown;
		list[count].time = st.st_mtim;
		snprintf(list[count].name, sizeof(list[count].name), "%s", e->d_name);
		count++;
	}
	if (list)
		qsort(list, count, sizeof(*list), newest_first);
	for (size_t i = 2 * (size_t)LOGFILE_KEEP; i < count; i++)
		unlinkat(dir, list[i].name, 0);
	free(list);
	if (d)
		closedir(d);
	else if (copy >= 0)
		close(copy);
}

int logfile_open(struct logfile *log, const char *name)
{
	char path[PATH_MAX];
	int dir, err = 0;

	*log = (struct logfile){.fd = {-1, -1}};
	if (state_directory(path, sizeof(path)) < 0) {
		log_error(
			"there is no place for a log; set XDG_STATE_HOME to a directory of yours");
		return -1;
	}
	make_directories(path);
	dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir >= 0)
		prune(dir);
	for (unsigned i = 0; i < 2 && err == 0; i++) {
		const int flags = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND;

		log->fd[i] = dir < 0 ? -1 : open_part(dir, name, i, flags);
		err = log->fd[i] < 0 ? errno : 0;
	}
	if (dir >= 0)
		close(dir);
	if (err == 0)
		return 0;
	log_error("cannot write a log in %s: %s; set XDG_STATE_HOME to a directory of yours", path,
		strerror(err));
	logfile_close(log);
	return -1;
}

void logfile_write(struct logfile *log, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		size_t part = len;
		ssize_t n;

		if (log->size >= LOGFILE_HALF) {
			log->now = !log->now;
			log->size = 0;
			if (ftruncate(log->fd[log->now], 0) < 0)
				return;
			log_set_fd(log->fd[log->now]);
		}
		if (part > LOGFILE_HALF - log->size)
			part = LOGFILE_HALF - log->size;
		n = write(log->fd[log->now], at, part);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* a full disk: the machine goes on without its log */
		at += n;
		len -= (size_t)n;
		log->size += (size_t)n;
	}
}

void logfile_close(struct logfile *log)
{
	for (unsigned i = 0; i < 2; i++) {
		if (log->fd[i] >= 0)
			close(log->fd[i]);
		log->fd[i] = -1;
	}
}

int logfile_read(const char *name, int part[2])
{
	char path[PATH_MAX];
	struct stat st[2];
	int dir = -1, first = 0;

	part[0] = part[1] = -1;
	if (state_directory(path, sizeof(path)) == 0)
		dir = open(path, O_DIRECTORY | O_RDONLY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		part[i] = open_part(dir, name, i, O_RDONLY);
		if (part[i] < 0 || fstat(part[i], &st[i]) < 0)
			st[i] = (struct stat){0};
	}
	close(dir);
	/* The newer one is the one that was written last. */
	if (st[1].st_size > 0)
		first = st[0].st_mtim.tv_sec > st[1].st_mtim.tv_sec ||
			(st[0].st_mtim.tv_sec == st[1].st_mtim.tv_sec &&
				st[0].st_mtim.tv_nsec > st[1].st_mtim.tv_nsec);
	else
		first = 1;
	if (first) {
		int other = part[0];

		part[0] = part[1];
		part[1] = other;
	}
	return (part[0] >= 0) + (part[1] >= 0);
}
