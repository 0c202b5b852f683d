/* SPDX-License-Identifier: MIT */
/* The server of one folder: what its files offer to each other. */
#ifndef SERVE_FOLDER_H
#define SERVE_FOLDER_H

#include <linux/fuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

/*
 * Serves a folder to one machine until its socket (device/fs_proto.h) closes. The
 * first message on it carries guest RAM, as a descriptor. guest_uid and guest_gid are whom the
 * guest sees as the owner of what is the server's own. The process's exit status.
 */
int folder_serve(int socket, const char *path, bool read_only, uid_t guest_uid, gid_t guest_gid);

/* ---- folder_node.c: files that the guest knows ------------------------------------ */

struct node {
	uint64_t id; /* the guest's name of it: FUSE's nodeid */
	int fd; /* O_PATH */
	dev_t dev;
	ino_t ino;
	mode_t type; /* S_IFREG, ...: never another one */
	uint64_t lookups; /* as FUSE counts them; 0: nobody knows it any more */
	struct node *next; /* of its hash chain */
};

/* Makes the table, with fd as the root. 0 or -errno. */
int nodes_init(int fd);
/* The node of that number, or NULL. */
struct node *node_find(uint64_t id);
/* The node of a file that was just found, by an O_PATH descriptor, which it takes. NULL: no memory.
 */
struct node *node_of(int fd, const struct stat *st);
void node_forget(uint64_t id, uint64_t lookups);

/* Files that the guest has open: numbers for descriptors. -ENFILE, or the number. */
int64_t handle_new(int fd);
/* -1: there is no such file. */
int handle_fd(uint64_t handle);
void handle_close(uint64_t handle);

/* ---- folder_confine.c --------------------------------------------------------------- */

/* Leaves the process nothing but the folder. 0 or -errno. */
int folder_confine(int root, bool read_only);

/* ---- folder_ops.c, folder_data.c: operations ------------------------------------------ */

#define ARGUMENTS_MAX (2 * 4096 + 65536 + 256)
#define RESULT_MAX 65536

struct folder {
	int root; /* readable, for syncfs() */
	int proc; /* /proc/self/fd */
	bool read_only;
	bool is_root; /* may give files away */
	uid_t uid, guest_uid;
	gid_t gid, guest_gid;
};

/* One request: what came, copied once, and where the result goes. */
struct request {
	const struct folder *folder;
	struct fuse_in_header in;
	/* Arguments behind the header, then two NULs; of WRITE without the data. */
	size_t size;
	char arguments[ARGUMENTS_MAX + 2];
	/* Pieces of guest memory: data of a WRITE; where data of a READ goes. */
	struct iovec *data;
	unsigned datas;
	size_t data_len;
	/* The result, unless it is in the pieces already. */
	size_t result_size;
	_Alignas(8) char result[RESULT_MAX];
};

/*
 * An operation: bytes of the result (in the pieces with READ, else in result), or
 * -errno. NO_ANSWER for those that have none.
 */
typedef ssize_t operation(struct request *rq);
#define NO_ANSWER (-9999)

operation op_lookup, op_forget, op_batch_forget, op_getattr, op_setattr, op_readlink, op_symlink,
	op_mknod, op_mkdir, op_unlink, op_rmdir, op_rename, op_rename2, op_link, op_create,
	op_statfs;
operation op_open, op_opendir, op_read, op_write, op_release, op_fsync, op_readdir, op_readdirplus,
	op_lseek, op_fallocate, op_copy, op_syncfs;

/* Finds name in a folder and tells the guest of it. 0 or -errno. */
int lookup(struct request *rq, const struct node *parent, const char *name,
	struct fuse_entry_out *entry);
/* Describes a file as the guest is to see it. */
void put_attributes(const struct folder *f, const struct stat *st, struct fuse_attr *attr);
/* What of open()'s flags is the host's business. The rest the guest's kernel does itself. */
#define OPEN_FLAGS (O_ACCMODE | O_TRUNC | O_APPEND | O_DSYNC | O_SYNC)
/* Opens a node for what flags say; a descriptor or -errno. Ordinary files and folders only. */
int reopen(const struct folder *f, const struct node *node, int flags);
/* The string of the arguments at that offset, which ends within them, or NULL. */
const char *string_at(const struct request *rq, size_t offset);
/* A name that is one component, and not that of a folder itself or above. */
bool is_name(const char *name);

#endif
