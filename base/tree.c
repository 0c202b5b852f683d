/* SPDX-License-Identifier: MIT */
/*
 * A tree is a sequence of entries, each a header, a name, and size bytes: the content of a file
 * or the target of a link. Names are paths relative to the top, whose own name is the first
 * one's. A folder comes before what is in it and is closed after it, when it gets its mode.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/tree.h"

#define MAGIC 0x65657274U
#define NAME_BYTES (PATH_MAX - 1)
#define CHUNK 65536
#define DEPTH_MAX 256
#define MODE_MASK 0777

enum { ENTRY_FILE = 1, ENTRY_FOLDER, ENTRY_FOLDER_END, ENTRY_LINK, ENTRY_END };

struct entry {
	uint32_t magic, kind, mode, name_len;
	uint64_t size;
	int64_t seconds;
	uint32_t nanoseconds, reserved;
};

struct tree {
	int fd; /* of the stream */
	int top; /* folder that receives */
	tree_error_fn *error;
	bool failed; /* something was left out */
	bool broken; /* the stream itself is of no more use */
	bool renamed; /* the top goes under the name that the user gave */
	char name[PATH_MAX]; /* of the entry at hand */
	char top_name[NAME_MAX + 1];
	char chunk[CHUNK];
};

__attribute__((format(printf, 2, 3))) static void complain(struct tree *t, const char *fmt, ...)
{
	char line[PATH_MAX + 256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	t->failed = true;
	t->error(line);
}

static void set_broken(struct tree *t, const char *why)
{
	if (!t->broken)
		complain(t, "the copy broke off: %s", why);
	t->broken = true;
}

static bool write_all(int fd, const void *data, size_t len)
{
	const char *at = data;

	while (len > 0) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		at += n;
		len -= (size_t)n;
	}
	return true;
}

/* ---- Sending --------------------------------------------------------------------- */

static void put(struct tree *t, const void *data, size_t len)
{
	if (!t->broken && !write_all(t->fd, data, len))
		set_broken(t, strerror(errno));
}

static void put_entry(struct tree *t, uint32_t kind, const struct stat *st, uint64_t size)
{
	struct entry e = {
		.magic = MAGIC,
		.kind = kind,
		.name_len = (uint32_t)strlen(t->name),
		.size = size,
	};

	if (st) {
		e.mode = st->st_mode & MODE_MASK;
		e.seconds = st->st_mtim.tv_sec;
		e.nanoseconds = (uint32_t)st->st_mtim.tv_nsec;
	}
	put(t, &e, sizeof(e));
	put(t, t->name, e.name_len);
}

/* As many bytes as were announced, whatever becomes of the file meanwhile. */
static void send_content(struct tree *t, int fd, uint64_t size)
{
	bool ended = false;

	while (size > 0 && !t->broken) {
		size_t part = size < CHUNK ? (size_t)size : CHUNK;
		ssize_t n = ended ? 0 : read(fd, t->chunk, part);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 && !ended) {
			complain(t, "%s: %s; the rest is zeros", t->name,
				n < 0 ? strerror(errno) : "became shorter");
			ended = true;
		}
		if (n <= 0) {
			memset(t->chunk, 0, part);
			n = (ssize_t)part;
		}
		put(t, t->chunk, (size_t)n);
		size -= (uint64_t)n;
	}
}

static void send_link(struct tree *t, int dir, const char *leaf, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, leaf, target, sizeof(target));

	if (n <= 0 || (size_t)n == sizeof(target)) {
		complain(t, "%s: cannot read the link", t->name);
		return;
	}
	put_entry(t, ENTRY_LINK, st, (uint64_t)n);
	put(t, target, (size_t)n);
}

static void send_one(struct tree *t, int dir, const char *leaf, int flags, unsigned depth);

static void send_folder(struct tree *t, int fd, const struct stat *st, unsigned depth)
{
	size_t len = strlen(t->name);
	DIR *d = fdopendir(fd);
	struct dirent *e;

	if (!d) {
		complain(t, "%s: %s", t->name, strerror(errno));
		close(fd);
		return;
	}
	put_entry(t, ENTRY_FOLDER, st, 0);
	while (!t->broken && (e = readdir(d))) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (depth == DEPTH_MAX || len + strlen(e->d_name) + 2 > NAME_BYTES) {
			complain(t, "%s/%s: too deep", t->name, e->d_name);
			continue;
		}
		snprintf(t->name + len, sizeof(t->name) - len, "/%s", e->d_name);
		send_one(t, fd, e->d_name, O_NOFOLLOW, depth + 1);
		t->name[len] = '\0';
	}
	put_entry(t, ENTRY_FOLDER_END, st, 0);
	closedir(d);
}

static void send_one(struct tree *t, int dir, const char *leaf, int flags, unsigned depth)
{
	struct stat st;
	int fd;

	if (fstatat(dir, leaf, &st, flags ? AT_SYMLINK_NOFOLLOW : 0) < 0) {
		complain(t, "%s: %s", t->name, strerror(errno));
		return;
	}
	if (S_ISLNK(st.st_mode)) {
		send_link(t, dir, leaf, &st);
		return;
	}
	if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
		complain(t, "%s: neither file, folder nor link", t->name);
		return;
	}
	/* Not to wait for a pipe that has taken the file's place. */
	fd = openat(dir, leaf, O_RDONLY | O_NONBLOCK | O_CLOEXEC | flags);
	if (fd < 0 || fstat(fd, &st) < 0) {
		complain(t, "%s: %s", t->name, strerror(errno));
		if (fd >= 0)
			close(fd);
	} else if (S_ISDIR(st.st_mode)) {
		send_folder(t, fd, &st, depth); /* closes it */
	} else {
		put_entry(t, ENTRY_FILE, &st, (uint64_t)st.st_size);
		send_content(t, fd, (uint64_t)st.st_size);
		close(fd);
	}
}

/* The last name in a path; "." for what has none. */
static const char *last_name(const char *path, char name[NAME_MAX + 1])
{
	size_t end = strlen(path), start;

	while (end > 0 && path[end - 1] == '/')
		end--;
	start = end;
	while (start > 0 && path[start - 1] != '/')
		start--;
	snprintf(name, NAME_MAX + 1, "%.*s", (int)(end - start), path + start);
	if (name[0] == '\0' || strcmp(name, "..") == 0)
		strcpy(name, ".");
	return name;
}

bool tree_send(const char *path, int out, tree_error_fn *error)
{
	struct tree *t = calloc(1, sizeof(*t));
	bool ok;

	if (!t) {
		error("out of memory");
		return false;
	}
	t->fd = out;
	t->error = error;
	last_name(path, t->name);
	/* What is wrong with the path itself is told by the name that the user gave. */
	if (access(path, R_OK) < 0)
		complain(t, "%s: %s", path, strerror(errno));
	else
		send_one(t, AT_FDCWD, path, 0, 0);
	t->name[0] = '\0';
	put_entry(t, ENTRY_END, NULL, 0);
	ok = !t->failed;
	free(t);
	return ok;
}

/* ---- Receiving ------------------------------------------------------------------------ */

static bool read_all(struct tree *t, void *data, size_t len)
{
	char *at = data;

	while (len > 0 && !t->broken) {
		ssize_t n = read(t->fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			set_broken(t, n < 0 ? strerror(errno) : "its source has gone");
			return false;
		}
		at += n;
		len -= (size_t)n;
	}
	return !t->broken;
}

static bool name_is_sound(const char *name)
{
	/* A top without a name: its content goes right into the folder. */
	if (name[0] == '.' && name[1] == '\0')
		return true;
	if (name[0] == '.' && name[1] == '/')
		name += 2;
	for (;;) {
		size_t len = strcspn(name, "/");

		if (len == 0 || len > NAME_MAX || strncmp(name, ".", len) == 0 ||
			(len == 2 && strncmp(name, "..", 2) == 0))
			return false;
		if (name[len] == '\0')
			return true;
		name += len + 1;
	}
}

static bool read_entry(struct tree *t, struct entry *e)
{
	if (!read_all(t, e, sizeof(*e)))
		return false;
	if (e->magic != MAGIC || e->name_len > NAME_BYTES) {
		set_broken(t, "that is no copy; is the other side of another version?");
		return false;
	}
	if (!read_all(t, t->name, e->name_len))
		return false;
	t->name[e->name_len] = '\0';
	if (e->kind != ENTRY_END && (strlen(t->name) != e->name_len || !name_is_sound(t->name))) {
		set_broken(t, "it names what no copy names");
		return false;
	}
	return true;
}

static void skip(struct tree *t, uint64_t size)
{
	while (size > 0) {
		size_t part = size < CHUNK ? (size_t)size : CHUNK;

		if (!read_all(t, t->chunk, part))
			return;
		size -= part;
	}
}

/*
 * The folder that an entry goes into, and its name there. Nothing on the way may be a link: what
 * was made a moment ago may have been replaced by one.
 */
static int open_parent(struct tree *t, char *path, const char **leaf)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	char *slash;

	/* The first name is the top's, for which the user may have given another. */
	if (t->renamed) {
		const char *rest = strchr(t->name, '/');

		snprintf(path, PATH_MAX, "%s%.*s", t->top_name, PATH_MAX - NAME_MAX - 2,
			rest ? rest : "");
	} else {
		snprintf(path, PATH_MAX, "%s", t->name);
	}
	slash = strrchr(path, '/');
	if (!slash) {
		*leaf = path;
		return dup(t->top);
	}
	*slash = '\0';
	*leaf = slash + 1;
	return (int)syscall(SYS_openat2, t->top, path, &how, sizeof(how));
}

static void set_attributes(int fd, const struct entry *e)
{
	const struct timespec times[2] = {
		{.tv_nsec = UTIME_OMIT},
		{.tv_sec = e->seconds,
			.tv_nsec = e->nanoseconds < 1000000000 ? (long)e->nanoseconds : 0},
	};

	fchmod(fd, e->mode & MODE_MASK);
	futimens(fd, times);
}

static void receive_file(struct tree *t, const struct entry *e, int dir, const char *leaf)
{
	uint64_t left = e->size;
	int fd;

	if (unlinkat(dir, leaf, 0) < 0 && errno != ENOENT)
		fd = -1;
	else
		fd = openat(dir, leaf, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		complain(t, "%s: %s", t->name, strerror(errno));
		skip(t, e->size);
		return;
	}
	while (left > 0) {
		size_t part = left < CHUNK ? (size_t)left : CHUNK;

		if (!read_all(t, t->chunk, part))
			break;
		left -= part;
		if (!write_all(fd, t->chunk, part)) {
			complain(t, "%s: %s", t->name, strerror(errno));
			skip(t, left);
			break;
		}
	}
	set_attributes(fd, e);
	close(fd);
}

static void receive_link(struct tree *t, const struct entry *e, int dir, const char *leaf)
{
	char target[PATH_MAX];

	if (e->size == 0 || e->size >= sizeof(target)) {
		set_broken(t, "a link without end");
		return;
	}
	if (!read_all(t, target, (size_t)e->size))
		return;
	target[e->size] = '\0';
	if ((unlinkat(dir, leaf, 0) < 0 && errno != ENOENT) || symlinkat(target, dir, leaf) < 0)
		complain(t, "%s: %s", t->name, strerror(errno));
}

static void receive_folder(struct tree *t, const struct entry *e, int dir, const char *leaf)
{
	int fd;

	if (e->kind == ENTRY_FOLDER) {
		/* Its own mode comes when all is in it, for it may forbid to write. */
		if (mkdirat(dir, leaf, 0700) < 0 && errno != EEXIST)
			complain(t, "%s: %s", t->name, strerror(errno));
		return;
	}
	if (strcmp(leaf, ".") == 0)
		return; /* not made by the copy */
	fd = openat(dir, leaf, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		complain(t, "%s: %s", t->name, strerror(errno));
		return;
	}
	set_attributes(fd, e);
	close(fd);
}

static void receive_entry(struct tree *t, const struct entry *e)
{
	char path[PATH_MAX];
	const char *leaf;
	int dir = open_parent(t, path, &leaf);

	if (dir < 0) {
		complain(t, "%s: %s", t->name, strerror(errno));
		skip(t, e->size);
		return;
	}
	if (e->kind == ENTRY_FILE)
		receive_file(t, e, dir, leaf);
	else if (e->kind == ENTRY_LINK)
		receive_link(t, e, dir, leaf);
	else if (e->kind == ENTRY_FOLDER || e->kind == ENTRY_FOLDER_END)
		receive_folder(t, e, dir, leaf);
	else
		set_broken(t, "it has what no copy has");
	close(dir);
}

/* Where things go: into path if that is a folder, else beside it, under its name. */
static int open_top(struct tree *t, const char *path)
{
	char parent[PATH_MAX];
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	size_t end = strlen(path);

	if (fd >= 0)
		return fd;
	/* A path that ends in a slash means a folder. */
	if ((errno != ENOENT && errno != ENOTDIR) || end == 0 || path[end - 1] == '/' ||
		end >= sizeof(parent))
		return -1;
	t->renamed = true;
	last_name(path, t->top_name);
	while (end > 0 && path[end - 1] != '/')
		end--;
	snprintf(parent, sizeof(parent), "%.*s", (int)end, path);
	return open(end ? parent : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

bool tree_receive(int in, const char *path, tree_error_fn *error)
{
	struct tree *t = calloc(1, sizeof(*t));
	struct entry e;
	bool ok;

	if (!t) {
		error("out of memory");
		return false;
	}
	t->fd = in;
	t->error = error;
	t->top = open_top(t, path);
	if (t->top < 0)
		complain(t, "%s: %s", path, strerror(errno));
	while (t->top >= 0 && read_entry(t, &e) && e.kind != ENTRY_END)
		receive_entry(t, &e);
	if (t->top >= 0)
		close(t->top);
	ok = !t->failed && !t->broken;
	free(t);
	return ok;
}
