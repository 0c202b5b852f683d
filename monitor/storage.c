/* SPDX-License-Identifier: MIT */
/*
 * Starts qemu-storage-daemon for an image that is not raw. It serves the image as a vhost-user
 * disk to whoever is connected to its socket; that is us, from before it is there, and nobody else,
 * since the socket has no name any more when it starts.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "device/blk_file.h"
#include "monitor/disks.h"

#define SERVER "qemu-storage-daemon"
#define PATIENCE_MS 3000 /* for one that is on its way out */
#define LOCKS 100
#define LOCK_OF_WRITER 101
#define LOCKS_END 300

/* Two ends: what the server is to listen on, and what is connected to it. 0 or -errno. */
static int make_sockets(int fd[2])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *tmp = getenv("TMPDIR");
	char dir[sizeof(address.sun_path) - 2];
	int r = 0;

	if (snprintf(dir, sizeof(dir), "%s/lucid-disk-XXXXXX", tmp && tmp[0] ? tmp : "/tmp") >=
		(int)sizeof(dir))
		return -ENAMETOOLONG;
	/* A folder of our own: nobody else gets in, however short it lives. */
	if (!mkdtemp(dir))
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", dir);
	fd[0] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd[1] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd[0] < 0 || fd[1] < 0 ||
		bind(fd[0], (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(fd[0], 1) < 0 ||
		connect(fd[1], (struct sockaddr *)&address, sizeof(address)) < 0)
		r = -errno;
	unlink(address.sun_path);
	rmdir(dir);
	return r;
}

/* ---- What it is told --------------------------------------------------------------- */

static bool is_device(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* The image as a node of its block layer. NULL: a name that JSON cannot say. */
static char *describe_image(const struct storage *s)
{
	json_t *file = json_pack("{s:s, s:s, s:s}", "driver",
		is_device(s->disk->path) ? "host_device" : "file", "filename", s->disk->path,
		"discard", "unmap");
	json_t *node = json_pack("{s:s, s:s, s:b, s:s, s:o*}", "driver", s->format, "node-name",
		"disk", "read-only", s->disk->read_only, "discard", "unmap", "file", file);
	char *text = file && node ? json_dumps(node, JSON_COMPACT) : NULL;

	json_decref(node);
	return text;
}

/* ---- The image ----------------------------------------------------------------------- */

/* Whether a qcow2 image says that it lies on another one. */
static bool has_backing(int fd)
{
	uint8_t offset[8];
	bool any = false;

	if (pread(fd, offset, sizeof(offset), 8) != sizeof(offset))
		return false;
	for (size_t i = 0; i < sizeof(offset); i++)
		any |= offset[i] != 0;
	return any;
}

/*
 * A server whose machine was killed a moment ago finishes what it has begun. Its locks, as all
 * of QEMU's programs take them, are on bytes from 100 on, one for each thing that it does, and from
 * 200 on for what others may not do.
 */
static void wait_for_others(int fd, bool read_only)
{
	const struct timespec pause = {.tv_nsec = 10L * 1000 * 1000};

	for (int attempt = 0; attempt < PATIENCE_MS / 10; attempt++) {
		struct flock lock = {.l_type = F_WRLCK,
			.l_whence = SEEK_SET,
			.l_start = read_only ? LOCK_OF_WRITER : LOCKS,
			.l_len = read_only ? 1 : LOCKS_END - LOCKS};

		/* Whoever stays is the server's to complain about. */
		if (fcntl(fd, F_OFD_GETLK, &lock) < 0 || lock.l_type == F_UNLCK)
			return;
		nanosleep(&pause, NULL);
	}
}

static const char *check(struct storage *s)
{
	const char *why;

	if (!helper_exists(SERVER))
		return "there is no " SERVER "; install the package qemu-system-common, or give a "
		       "raw image";
	s->lock = blk_file_lock(s->disk->path, s->disk->read_only, &why);
	if (s->lock < 0)
		return why;
	wait_for_others(s->lock, s->disk->read_only);
	s->backing = strcmp(s->format, "qcow2") == 0 && has_backing(s->lock);
	return NULL;
}

/* ---- Life ---------------------------------------------------------------------------- */

/* Known to the process that is to become the server. */
static const struct storage *to_confine;

static bool confine(int fd)
{
	(void)fd;
	if (storage_confine(to_confine))
		return true;
	dprintf(STDERR_FILENO, "%s cannot be confined on this host; give a raw image\n", SERVER);
	return false;
}

static int start(struct storage *s, const char *image, int listener)
{
	char export[200];
	const char *const argv[] = {SERVER, "--blockdev", image, "--export", export, NULL};
	int r;

	snprintf(export, sizeof(export),
		"{\"type\":\"vhost-user-blk\",\"id\":\"disk\",\"node-name\":\"disk\","
		"\"writable\":%s,\"addr\":{\"type\":\"fd\",\"str\":\"3\"}}",
		s->disk->read_only ? "false" : "true");
	to_confine = s;
	r = helper_start(s->helpers, argv, listener, &s->errors, confine);
	s->pid = r == 0 ? s->helpers->last : 0;
	return r;
}

int storage_start(struct storage *s, const char **why)
{
	int fd[2] = {-1, -1}, r;
	char *image;

	*why = check(s);
	if (*why)
		return -1;
	image = describe_image(s);
	if (!image) {
		*why = "its name is not UTF-8; rename it";
		return -1;
	}
	r = make_sockets(fd);
	if (r == 0)
		r = start(s, image, fd[0]);
	free(image);
	if (fd[0] >= 0)
		close(fd[0]);
	if (r == 0)
		return fd[1];
	*why = strerror(-r);
	if (fd[1] >= 0)
		close(fd[1]);
	return -1;
}

const char *storage_complaint(const struct storage *s)
{
	static char line[HELPER_LINE];
	char *what;

	helper_complaint(s->errors, line);
	/* It repeats the option whose fault it is, which the user has not given. */
	what = strstr(line, "}}: ");
	if (strstr(line, "Is another process using the image"))
		return "is in use by another program; end that first";
	return what ? what + 4 : line;
}

void storage_kill(struct storage *s)
{
	/* One that was waited for is none of ours any more. */
	if (s->pid > 0 && helper_is(s->helpers, s->pid))
		kill(s->pid, SIGKILL);
}

void storage_end(struct storage *s)
{
	if (s->lock >= 0)
		close(s->lock);
	if (s->errors >= 0)
		close(s->errors);
	s->lock = s->errors = -1;
}
