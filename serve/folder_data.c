/* SPDX-License-Identifier: MIT */
/* Operations on open files and folders. Data goes to and from guest memory directly. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve/folder.h"

/* The arguments' fixed part, or NULL if they are shorter. */
#define ARGUMENT(rq, type)                                                                         \
	((rq)->size >= sizeof(type) ? (const type *)(const void *)(rq)->arguments : NULL)

int reopen(const struct folder *f, const struct node *node, int flags)
{
	char name[16];
	int fd;

	/* A guest's kernel opens pipes and devices by itself; one that asks us to is up to no good.
	 */
	if (!S_ISREG(node->type) && !S_ISDIR(node->type))
		return -EPERM;
	snprintf(name, sizeof(name), "%d", node->fd);
	flags &= OPEN_FLAGS;
	fd = openat(f->proc, name, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static ssize_t open_node(struct request *rq, int flags)
{
	struct fuse_open_out *out = (void *)rq->result;
	const struct node *node = node_find(rq->in.nodeid);
	int fd = node ? reopen(rq->folder, node, flags) : -ESTALE;
	int64_t h = fd < 0 ? fd : handle_new(fd);

	if (h < 0)
		return h;
	*out = (struct fuse_open_out){.fh = (uint64_t)h};
	return sizeof(*out);
}

ssize_t op_open(struct request *rq)
{
	const struct fuse_open_in *in = ARGUMENT(rq, struct fuse_open_in);

	return in ? open_node(rq, (int)in->flags) : -EINVAL;
}

ssize_t op_opendir(struct request *rq)
{
	return open_node(rq, O_RDONLY);
}

ssize_t op_release(struct request *rq)
{
	const struct fuse_release_in *in = ARGUMENT(rq, struct fuse_release_in);

	if (in)
		handle_close(in->fh);
	return in ? 0 : -EINVAL;
}

/* Cuts a list of pieces to len bytes; how many pieces are left. */
static unsigned cut(struct iovec *iov, unsigned n, size_t len)
{
	unsigned i = 0;

	for (; i < n && len > 0; i++) {
		if (iov[i].iov_len > len)
			iov[i].iov_len = len;
		len -= iov[i].iov_len;
	}
	return i;
}

ssize_t op_read(struct request *rq)
{
	const struct fuse_read_in *in = ARGUMENT(rq, struct fuse_read_in);
	int fd = in ? handle_fd(in->fh) : -1;
	ssize_t n;

	if (fd < 0)
		return -EBADF;
	n = preadv(fd, rq->data, (int)cut(rq->data, rq->datas, in->size), (off_t)in->offset);
	return n < 0 ? -errno : n;
}

ssize_t op_write(struct request *rq)
{
	const struct fuse_write_in *in = ARGUMENT(rq, struct fuse_write_in);
	struct fuse_write_out *out = (void *)rq->result;
	int fd = in ? handle_fd(in->fh) : -1;
	ssize_t n;

	if (fd < 0 || in->size > rq->data_len)
		return fd < 0 ? -EBADF : -EINVAL;
	n = pwritev(fd, rq->data, (int)cut(rq->data, rq->datas, in->size), (off_t)in->offset);
	if (n < 0)
		return -errno;
	*out = (struct fuse_write_out){.size = (uint32_t)n};
	return sizeof(*out);
}

ssize_t op_fsync(struct request *rq)
{
	const struct fuse_fsync_in *in = ARGUMENT(rq, struct fuse_fsync_in);
	int fd = in ? handle_fd(in->fh) : -1;

	if (fd < 0)
		return -EBADF;
	return (in->fsync_flags & FUSE_FSYNC_FDATASYNC ? fdatasync(fd) : fsync(fd)) < 0 ? -errno
											: 0;
}

ssize_t op_syncfs(struct request *rq)
{
	return syncfs(rq->folder->root) < 0 ? -errno : 0;
}

ssize_t op_lseek(struct request *rq)
{
	const struct fuse_lseek_in *in = ARGUMENT(rq, struct fuse_lseek_in);
	struct fuse_lseek_out *out = (void *)rq->result;
	int fd = in ? handle_fd(in->fh) : -1;
	off_t at;

	if (fd < 0 || (in->whence != SEEK_DATA && in->whence != SEEK_HOLE))
		return fd < 0 ? -EBADF : -EINVAL;
	at = lseek(fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	*out = (struct fuse_lseek_out){.offset = (uint64_t)at};
	return sizeof(*out);
}

ssize_t op_fallocate(struct request *rq)
{
	const struct fuse_fallocate_in *in = ARGUMENT(rq, struct fuse_fallocate_in);
	int fd = in ? handle_fd(in->fh) : -1;

	if (fd < 0)
		return -EBADF;
	return fallocate(fd, (int)in->mode, (off_t)in->offset, (off_t)in->length) < 0 ? -errno : 0;
}

ssize_t op_copy(struct request *rq)
{
	const struct fuse_copy_file_range_in *in = ARGUMENT(rq, struct fuse_copy_file_range_in);
	struct fuse_write_out *out = (void *)rq->result;
	int from = in ? handle_fd(in->fh_in) : -1, to = in ? handle_fd(in->fh_out) : -1;
	off_t at, at_out;
	size_t len;
	ssize_t n;

	if (from < 0 || to < 0)
		return -EBADF;
	at = (off_t)in->off_in;
	at_out = (off_t)in->off_out;
	/* No request may keep the others waiting for long. */
	len = in->len < (64U << 20) ? in->len : 64U << 20;
	n = copy_file_range(from, &at, to, &at_out, len, 0);
	if (n < 0)
		return -errno;
	*out = (struct fuse_write_out){.size = (uint32_t)n};
	return sizeof(*out);
}

/* ---- Folders ---------------------------------------------------------------------- */

/* One entry as the host's kernel gives it. */
struct linux_dirent64 {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static size_t align8(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/* Puts one entry at the end of the result; false: there is no room for it. */
static bool put_entry(struct request *rq, const struct node *folder, size_t *size, size_t max,
	const struct linux_dirent64 *e, bool plus)
{
	size_t name = strlen(e->name), head = plus ? sizeof(struct fuse_entry_out) : 0;
	size_t need = head + align8(FUSE_NAME_OFFSET + name);
	struct fuse_dirent *to = (void *)(rq->result + *size + head);

	if (need > max - *size)
		return false;
	if (plus) {
		struct fuse_entry_out *entry = (void *)(rq->result + *size);

		/* Without a node the guest just looks for itself. */
		memset(entry, 0, sizeof(*entry));
		if (is_name(e->name) && lookup(rq, folder, e->name, entry) < 0)
			memset(entry, 0, sizeof(*entry));
	}
	memset(to, 0, need - head);
	*to = (struct fuse_dirent){
		.ino = e->ino, .off = (uint64_t)e->off, .namelen = (uint32_t)name, .type = e->type};
	memcpy(to->name, e->name, name);
	*size += need;
	return true;
}

static ssize_t read_folder(struct request *rq, bool plus)
{
	const struct fuse_read_in *in = ARGUMENT(rq, struct fuse_read_in);
	const struct node *folder = node_find(rq->in.nodeid);
	int fd = in ? handle_fd(in->fh) : -1;
	_Alignas(8) static char buffer[16384];
	size_t size = 0, max;

	if (fd < 0 || !folder)
		return -EBADF;
	max = in->size < RESULT_MAX ? in->size : RESULT_MAX;
	if (lseek(fd, (off_t)in->offset, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		long n = syscall(SYS_getdents64, fd, buffer, sizeof(buffer));

		if (n < 0)
			return size > 0 ? (ssize_t)size : -errno;
		if (n == 0)
			return (ssize_t)size;
		for (long at = 0; at < n;) {
			const struct linux_dirent64 *e = (void *)(buffer + at);

			if (!put_entry(rq, folder, &size, max, e, plus))
				return (ssize_t)size;
			at += e->reclen;
		}
	}
}

ssize_t op_readdir(struct request *rq)
{
	return read_folder(rq, false);
}

ssize_t op_readdirplus(struct request *rq)
{
	return read_folder(rq, true);
}
