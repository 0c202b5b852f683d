/* SPDX-License-Identifier: MIT */
/*
 * Operations on names and attributes.
 *
 * Every name is one component, opened below a folder that the guest knows, with
 * openat2() and without following links: no path of the guest's choosing is
 * ever resolved here. Links are text; the guest's own kernel follows them, in its
 * own tree.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serve/folder.h"

/* What the guest may believe for so long without asking: the host may change a folder too. */
#define VALID_SECONDS 1

bool is_name(const char *name)
{
	return name[0] && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

const char *string_at(const struct request *rq, size_t offset)
{
	/* Two NULs follow the arguments. */
	return offset <= rq->size ? rq->arguments + offset : NULL;
}

/* The arguments' fixed part, or NULL if they are shorter. */
#define ARGUMENT(rq, type)                                                                         \
	((rq)->size >= sizeof(type) ? (const type *)(const void *)(rq)->arguments : NULL)

static void proc_name(const struct node *node, char name[16])
{
	snprintf(name, 16, "%d", node->fd);
}

/* ---- Attributes ----------------------------------------------------------------- */

void put_attributes(const struct folder *f, const struct stat *st, struct fuse_attr *attr)
{
	/* The user who runs the machine is, in there, the one who runs the command. */
	*attr = (struct fuse_attr){
		.ino = st->st_ino,
		.size = (uint64_t)st->st_size,
		.blocks = (uint64_t)st->st_blocks,
		.atime = (uint64_t)st->st_atim.tv_sec,
		.mtime = (uint64_t)st->st_mtim.tv_sec,
		.ctime = (uint64_t)st->st_ctim.tv_sec,
		.atimensec = (uint32_t)st->st_atim.tv_nsec,
		.mtimensec = (uint32_t)st->st_mtim.tv_nsec,
		.ctimensec = (uint32_t)st->st_ctim.tv_nsec,
		.mode = st->st_mode,
		.nlink = (uint32_t)st->st_nlink,
		.uid = !f->is_root && st->st_uid == f->uid ? f->guest_uid : st->st_uid,
		.gid = !f->is_root && st->st_gid == f->gid ? f->guest_gid : st->st_gid,
		.rdev = (uint32_t)st->st_rdev,
		.blksize = (uint32_t)st->st_blksize,
	};
}

static int status(int fd, struct stat *st)
{
	return fstatat(fd, "", st, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

static ssize_t put_attr_result(struct request *rq, int fd)
{
	struct fuse_attr_out *out = (void *)rq->result;
	struct stat st;
	int r = status(fd, &st);

	if (r < 0)
		return r;
	*out = (struct fuse_attr_out){.attr_valid = VALID_SECONDS};
	put_attributes(rq->folder, &st, &out->attr);
	return sizeof(*out);
}

ssize_t op_getattr(struct request *rq)
{
	const struct node *node = node_find(rq->in.nodeid);

	return node ? put_attr_result(rq, node->fd) : -ESTALE;
}

static int set_mode(const struct request *rq, const struct node *node, uint32_t mode)
{
	char name[16];

	/* No program of the host gets its owner's rights because a guest says so. */
	if (!S_ISDIR(node->type))
		mode &= ~(uint32_t)(S_ISUID | S_ISGID);
	proc_name(node, name);
	return fchmodat(rq->folder->proc, name, mode & 07777, 0) < 0 ? -errno : 0;
}

static int set_owner(
	const struct request *rq, const struct node *node, const struct fuse_setattr_in *in)
{
	const struct folder *f = rq->folder;
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;

	if (!f->is_root && uid == f->guest_uid)
		uid = f->uid;
	if (!f->is_root && gid == f->guest_gid)
		gid = f->gid;
	return fchownat(node->fd, "", uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno
											 : 0;
}

static int set_size(
	const struct request *rq, const struct node *node, const struct fuse_setattr_in *in)
{
	int fd = in->valid & FATTR_FH ? handle_fd(in->fh) : -1, r, own = -1;

	if (fd < 0) {
		fd = own = reopen(rq->folder, node, O_WRONLY);
		if (fd < 0)
			return fd;
	}
	r = ftruncate(fd, (off_t)in->size) < 0 ? -errno : 0;
	if (own >= 0)
		close(own);
	return r;
}

static struct timespec time_of(uint32_t valid, uint32_t set, uint32_t now, uint64_t s, uint32_t ns)
{
	if (!(valid & set))
		return (struct timespec){.tv_nsec = UTIME_OMIT};
	if (valid & now)
		return (struct timespec){.tv_nsec = UTIME_NOW};
	return (struct timespec){.tv_sec = (time_t)s, .tv_nsec = ns};
}

static int set_times(
	const struct request *rq, const struct node *node, const struct fuse_setattr_in *in)
{
	const struct timespec times[2] = {
		time_of(in->valid, FATTR_ATIME, FATTR_ATIME_NOW, in->atime, in->atimensec),
		time_of(in->valid, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime, in->mtimensec),
	};
	char name[16];

	proc_name(node, name);
	return utimensat(rq->folder->proc, name, times, 0) < 0 ? -errno : 0;
}

ssize_t op_setattr(struct request *rq)
{
	const struct fuse_setattr_in *in = ARGUMENT(rq, struct fuse_setattr_in);
	const struct node *node = node_find(rq->in.nodeid);
	int r = 0;

	if (!in || !node)
		return in ? -ESTALE : -EINVAL;
	if (in->valid & (FATTR_UID | FATTR_GID))
		r = set_owner(rq, node, in);
	if (r == 0 && (in->valid & FATTR_MODE))
		r = set_mode(rq, node, in->mode);
	if (r == 0 && (in->valid & FATTR_SIZE))
		r = set_size(rq, node, in);
	if (r == 0 && (in->valid & (FATTR_ATIME | FATTR_MTIME)))
		r = set_times(rq, node, in);
	return r < 0 ? r : put_attr_result(rq, node->fd);
}

/* ---- Names ------------------------------------------------------------------------ */

static int open_name(int folder, const char *name)
{
	const struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

static int put_entry(struct request *rq, int fd, struct fuse_entry_out *entry)
{
	struct node *node;
	struct stat st;
	int r = status(fd, &st);

	if (r < 0) {
		close(fd);
		return r;
	}
	node = node_of(fd, &st);
	if (!node)
		return -ENOMEM;
	*entry = (struct fuse_entry_out){
		.nodeid = node->id, .entry_valid = VALID_SECONDS, .attr_valid = VALID_SECONDS};
	put_attributes(rq->folder, &st, &entry->attr);
	return 0;
}

int lookup(struct request *rq, const struct node *parent, const char *name,
	struct fuse_entry_out *entry)
{
	int fd = open_name(parent->fd, name);

	return fd < 0 ? fd : put_entry(rq, fd, entry);
}

/* The folder of a request and a name in it that follows its fixed part; 0 or -errno. */
static int where(
	const struct request *rq, size_t fixed, const struct node **parent, const char **name)
{
	*parent = node_find(rq->in.nodeid);
	*name = string_at(rq, fixed);
	if (!*parent)
		return -ESTALE;
	return *name && is_name(*name) ? 0 : -EINVAL;
}

static ssize_t entry_result(struct request *rq, const struct node *parent, const char *name)
{
	struct fuse_entry_out *entry = (void *)rq->result;
	int r = lookup(rq, parent, name, entry);

	return r < 0 ? r : (ssize_t)sizeof(*entry);
}

ssize_t op_lookup(struct request *rq)
{
	const struct node *parent;
	const char *name;
	int r = where(rq, 0, &parent, &name);
	ssize_t n = r < 0 ? r : entry_result(rq, parent, name);

	if (n != -ENOENT || r < 0)
		return n;
	/* That there is none is believed as long as anything: number 0 says so. */
	*(struct fuse_entry_out *)(void *)rq->result =
		(struct fuse_entry_out){.entry_valid = VALID_SECONDS};
	return sizeof(struct fuse_entry_out);
}

ssize_t op_forget(struct request *rq)
{
	const struct fuse_forget_in *in = ARGUMENT(rq, struct fuse_forget_in);

	if (in)
		node_forget(rq->in.nodeid, in->nlookup);
	return NO_ANSWER;
}

ssize_t op_batch_forget(struct request *rq)
{
	const struct fuse_batch_forget_in *in = ARGUMENT(rq, struct fuse_batch_forget_in);
	const struct fuse_forget_one *one = (const void *)(rq->arguments + sizeof(*in));

	for (uint32_t i = 0;
		in && i < in->count && sizeof(*in) + (i + 1) * sizeof(*one) <= rq->size; i++)
		node_forget(one[i].nodeid, one[i].nlookup);
	return NO_ANSWER;
}

/*
 * What was just made belongs to the guest's user, if the server may give it away. A folder
 * with the set-group-ID bit has chosen the group already.
 */
static int give_away(const struct request *rq, const struct node *parent, int fd)
{
	const struct folder *f = rq->folder;
	gid_t gid = rq->in.gid;
	struct stat st;

	if (!f->is_root || (rq->in.uid == f->uid && rq->in.gid == f->gid))
		return 0;
	if (status(parent->fd, &st) == 0 && (st.st_mode & S_ISGID))
		gid = (gid_t)-1;
	return fchownat(fd, "", rq->in.uid, gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno
											  : 0;
}

/* The entry of what was just made. */
static ssize_t made(struct request *rq, const struct node *parent, const char *name)
{
	struct fuse_entry_out *entry = (void *)rq->result;
	int fd = open_name(parent->fd, name), r;

	if (fd < 0)
		return fd;
	r = give_away(rq, parent, fd);
	if (r < 0) {
		close(fd);
		return r;
	}
	r = put_entry(rq, fd, entry);
	return r < 0 ? r : (ssize_t)sizeof(*entry);
}

ssize_t op_mknod(struct request *rq)
{
	const struct fuse_mknod_in *in = ARGUMENT(rq, struct fuse_mknod_in);
	const struct node *parent;
	const char *name;
	int r = where(rq, sizeof(*in), &parent, &name);

	if (r < 0 || !in)
		return r < 0 ? r : -EINVAL;
	/* A device of the host is none of the guest's business. */
	if (!S_ISREG(in->mode) && !S_ISFIFO(in->mode) && !S_ISSOCK(in->mode))
		return -EPERM;
	if (mknodat(parent->fd, name, in->mode & (S_IFMT | 0777), 0) < 0)
		return -errno;
	return made(rq, parent, name);
}

ssize_t op_mkdir(struct request *rq)
{
	const struct fuse_mkdir_in *in = ARGUMENT(rq, struct fuse_mkdir_in);
	const struct node *parent;
	const char *name;
	int r = where(rq, sizeof(*in), &parent, &name);

	if (r < 0 || !in)
		return r < 0 ? r : -EINVAL;
	if (mkdirat(parent->fd, name, in->mode & 01777) < 0)
		return -errno;
	return made(rq, parent, name);
}

ssize_t op_symlink(struct request *rq)
{
	const struct node *parent;
	const char *name, *target;
	int r = where(rq, 0, &parent, &name);

	if (r < 0)
		return r;
	target = string_at(rq, strlen(name) + 1);
	if (!target)
		return -EINVAL;
	if (symlinkat(target, parent->fd, name) < 0)
		return -errno;
	return made(rq, parent, name);
}

ssize_t op_link(struct request *rq)
{
	const struct fuse_link_in *in = ARGUMENT(rq, struct fuse_link_in);
	const struct node *parent, *old = in ? node_find(in->oldnodeid) : NULL;
	const char *name;
	char from[16];
	int r = where(rq, sizeof(*in), &parent, &name);

	if (r < 0 || !old)
		return r < 0 ? r : -ESTALE;
	proc_name(old, from);
	if (linkat(rq->folder->proc, from, parent->fd, name, AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return entry_result(rq, parent, name);
}

ssize_t op_readlink(struct request *rq)
{
	const struct node *node = node_find(rq->in.nodeid);
	ssize_t n;

	if (!node)
		return -ESTALE;
	n = readlinkat(node->fd, "", rq->result, sizeof(rq->result));
	return n < 0 ? -errno : n;
}

static ssize_t remove_name(struct request *rq, int flags)
{
	const struct node *parent;
	const char *name;
	int r = where(rq, 0, &parent, &name);

	if (r < 0)
		return r;
	return unlinkat(parent->fd, name, flags) < 0 ? -errno : 0;
}

ssize_t op_unlink(struct request *rq)
{
	return remove_name(rq, 0);
}

ssize_t op_rmdir(struct request *rq)
{
	return remove_name(rq, AT_REMOVEDIR);
}

static ssize_t rename_names(struct request *rq, uint64_t to_id, size_t fixed, unsigned flags)
{
	const struct node *from, *to = node_find(to_id);
	const char *old, *new;
	int r = where(rq, fixed, &from, &old);

	if (r < 0)
		return r;
	new = string_at(rq, fixed + strlen(old) + 1);
	if (!to || !new || !is_name(new))
		return to ? -EINVAL : -ESTALE;
	/* The third one, a whiteout, is a device node. */
	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	return renameat2(from->fd, old, to->fd, new, flags) < 0 ? -errno : 0;
}

ssize_t op_rename(struct request *rq)
{
	const struct fuse_rename_in *in = ARGUMENT(rq, struct fuse_rename_in);

	return in ? rename_names(rq, in->newdir, sizeof(*in), 0) : -EINVAL;
}

ssize_t op_rename2(struct request *rq)
{
	const struct fuse_rename2_in *in = ARGUMENT(rq, struct fuse_rename2_in);

	return in ? rename_names(rq, in->newdir, sizeof(*in), in->flags) : -EINVAL;
}

/* The entry of the file that fd has just made. */
static ssize_t made_open(struct request *rq, const struct node *parent, int fd)
{
	struct fuse_entry_out *entry = (void *)rq->result;
	char name[16];
	int node, r;

	snprintf(name, sizeof(name), "%d", fd);
	node = openat(rq->folder->proc, name, O_PATH | O_CLOEXEC);
	if (node < 0)
		return -errno;
	r = give_away(rq, parent, node);
	if (r < 0) {
		close(node);
		return r;
	}
	return put_entry(rq, node, entry);
}

/* Opens what somebody else has made meanwhile. */
static int open_found(struct request *rq, const struct node *parent, const char *name, int flags)
{
	struct fuse_entry_out *entry = (void *)rq->result;
	int fd, r = lookup(rq, parent, name, entry);

	if (r < 0)
		return r;
	fd = reopen(rq->folder, node_find(entry->nodeid), flags);
	if (fd < 0)
		node_forget(entry->nodeid, 1);
	return fd;
}

/* Makes and opens a file that is probably not there yet. */
ssize_t op_create(struct request *rq)
{
	const struct fuse_create_in *in = ARGUMENT(rq, struct fuse_create_in);
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} *out = (void *)rq->result;
	const struct node *parent;
	const char *name;
	int64_t h;
	int fd, flags, r = where(rq, sizeof(*in), &parent, &name);

	if (r < 0 || !in)
		return r < 0 ? r : -EINVAL;
	flags = (int)in->flags & OPEN_FLAGS;
	fd = openat(parent->fd, name, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		in->mode & 0777);
	if (fd >= 0) {
		r = (int)made_open(rq, parent, fd);
		if (r < 0)
			close(fd);
	} else if (errno == EEXIST && !(in->flags & O_EXCL)) {
		fd = open_found(rq, parent, name, flags);
		r = fd < 0 ? fd : 0;
	} else {
		r = -errno;
	}
	h = r < 0 ? r : handle_new(fd);
	if (r == 0 && h < 0)
		node_forget(out->entry.nodeid, 1);
	if (h < 0)
		return h;
	out->open = (struct fuse_open_out){.fh = (uint64_t)h};
	return sizeof(*out);
}

ssize_t op_statfs(struct request *rq)
{
	const struct node *node = node_find(rq->in.nodeid);
	struct fuse_statfs_out *out = (void *)rq->result;
	struct statfs s;

	if (!node || fstatfs(node->fd, &s) < 0)
		return node ? -errno : -ESTALE;
	*out = (struct fuse_statfs_out){.st = {
						.blocks = s.f_blocks,
						.bfree = s.f_bfree,
						.bavail = s.f_bavail,
						.files = s.f_files,
						.ffree = s.f_ffree,
						.bsize = (uint32_t)s.f_bsize,
						.namelen = (uint32_t)s.f_namelen,
						.frsize = (uint32_t)s.f_frsize,
					}};
	return sizeof(*out);
}
