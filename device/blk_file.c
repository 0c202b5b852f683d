/* SPDX-License-Identifier: MIT */
/* Opens, locks and measures the file behind a disk. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "device/blk_file.h"

static int refuse(const char **why, int error, const char *what)
{
	*why = what;
	return -error;
}

static const char *open_error(int error, bool read_only)
{
	switch (error) {
	case ENOENT:
		return "there is no such file";
	case EACCES:
	case EPERM:
		return read_only ? "no permission to read it"
				 : "no permission to read and write it";
	case EROFS:
		return "it is on a read-only file system";
	case EISDIR:
		return "is a directory";
	case ETXTBSY:
		return "it is being executed";
	case EBUSY:
		return "it is in use";
	default:
		return strerror(error);
	}
}

static int measure_device(struct blk_file *file, const char **why)
{
	uint64_t bytes;
	int block;

	if (ioctl(file->fd, BLKGETSIZE64, &bytes) < 0 || ioctl(file->fd, BLKSSZGET, &block) < 0)
		return refuse(why, errno, "its size cannot be found out");
	/* A power of two between a sector and a page is what the driver can take. */
	if (block < (int)SECTOR || block > 4096 || (block & (block - 1)) != 0)
		return refuse(why, EINVAL, "its block size is not between 512 and 4096 bytes");
	file->sectors = bytes / SECTOR;
	file->block_size = (uint32_t)block;
	file->punch = true;
	return 0;
}

static int measure_file(struct blk_file *file, const struct stat *st, const char **why)
{
	const int punch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (st->st_size % (off_t)SECTOR != 0)
		return refuse(why, EINVAL, "its size is not a multiple of 512 bytes");
	file->sectors = (uint64_t)st->st_size / SECTOR;
	file->block_size = SECTOR;
	/* A hole beyond the end changes nothing, but tells whether the file system makes holes. */
	file->punch = fallocate(file->fd, punch, st->st_size, 4096) == 0;
	return 0;
}

static int measure(struct blk_file *file, const char **why)
{
	struct stat st;
	int r;

	if (fstat(file->fd, &st) < 0)
		return refuse(why, errno, strerror(errno));
	if (S_ISDIR(st.st_mode))
		return refuse(why, EISDIR, "is a directory");
	if (S_ISBLK(st.st_mode))
		r = measure_device(file, why);
	else if (S_ISREG(st.st_mode))
		r = measure_file(file, &st, why);
	else
		return refuse(why, EINVAL, "is neither a file nor a block device");
	if (r == 0 && file->sectors == 0)
		return refuse(why, EINVAL, "is empty");
	return r;
}

/*
 * The kernel takes a moment to let go of the file of an io_uring that was closed
 * or whose process has ended, and with it of the lock; so a machine that is
 * started again at once gets some patience.
 */
static int lock(int fd, bool read_only, const char **why)
{
	const struct timespec pause = {.tv_nsec = 10L * 1000 * 1000};

	for (int attempt = 0; attempt < 20; attempt++) {
		if (flock(fd, (read_only ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0)
			return 0;
		/* Some network file systems know no locks; that is no reason to refuse the disk. */
		if (errno != EWOULDBLOCK)
			return 0;
		nanosleep(&pause, NULL);
	}
	return refuse(why, EBUSY, "is in use by another machine");
}

int blk_file_lock(const char *path, bool read_only, const char **why)
{
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	int fd = open(path, flags), r;

	if (fd < 0)
		return refuse(why, errno, open_error(errno, read_only));
	r = lock(fd, read_only, why);
	if (r == 0)
		return fd;
	close(fd);
	return r;
}

int blk_file_open(struct blk_file *file, const char *path, bool read_only, const char **why)
{
	/* O_NONBLOCK: to open a FIFO must not hang. */
	int flags = (read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;

	*file = (struct blk_file){.fd = open(path, flags), .read_only = read_only, .watch = -1};
	if (file->fd < 0)
		return refuse(why, errno, open_error(errno, read_only));

	int r = measure(file, why);
	if (r == 0)
		r = lock(file->fd, read_only, why);
	/* On file systems that cannot but wait, io_uring takes O_NONBLOCK to mean EAGAIN. */
	if (r == 0 && fcntl(file->fd, F_SETFL, flags & ~O_NONBLOCK) < 0)
		r = refuse(why, errno, strerror(errno));
	if (r < 0) {
		close(file->fd);
		file->fd = -1;
	}
	return r;
}

static bool has_new_size(struct blk_file *file)
{
	uint64_t bytes;
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return false;
	bytes = (uint64_t)st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(file->fd, BLKGETSIZE64, &bytes) < 0)
		return false;
	if (bytes == 0 || bytes % SECTOR != 0 || bytes / SECTOR == file->sectors)
		return false;
	file->sectors = bytes / SECTOR;
	return true;
}

static void on_closed(void *arg, uint32_t events)
{
	_Alignas(struct inotify_event) char news[1024];
	struct blk_file *file = arg;

	(void)events;
	if (read(file->watch, news, sizeof(news)) > 0 && has_new_size(file))
		file->resized(file->resized_arg);
}

void blk_file_watch(struct blk_file *file, struct loop *loop, const char *path,
	void (*resized)(void *arg), void *arg)
{
	file->loop = loop;
	file->resized = resized;
	file->resized_arg = arg;
	file->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (file->watch < 0)
		return;
	/* Not IN_MODIFY: each write of the guest would be one. */
	if (inotify_add_watch(file->watch, path, IN_CLOSE_WRITE) >= 0 &&
		loop_add(loop, file->watch, EPOLLIN, on_closed, file) == 0)
		return;
	close(file->watch);
	file->watch = -1;
}

void blk_file_close(struct blk_file *file)
{
	if (file->watch >= 0) {
		loop_remove(file->loop, file->watch);
		close(file->watch);
	}
	file->watch = -1;
	/*
	 * With the descriptor alone the lock would not go: see lock(). Whoever wants to remove
	 * the image does not wait. What was written may be on its way still: that lock stays.
	 */
	if (file->fd >= 0 && file->read_only)
		flock(file->fd, LOCK_UN);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}
