/* SPDX-License-Identifier: MIT */
/*
 * The server of a folder: takes the requests of one machine, one after the
 * other, as the monitor passes them on.
 *
 * The monitor has checked where a request's pieces are in guest memory. What is in
 * them is hostile: it is copied once, checked, then used. Only file data is read and
 * written in place.
 */
#include "serve/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/affinity.h"
#include "base/log.h"
#include "base/ram.h"
#include "device/fs_proto.h"

#define MINOR_LEAST 31 /* of FUSE, 2019's: what is older has other sizes */
#define MAX_PAGES 256 /* in one request: 1 MiB */
#define FOLLOW_AFTER 32 /* requests from one CPU, one at a time */

static struct affinity affinity;
static struct folder folder;
static struct ram ram;
static struct request rq;
static struct iovec piece[FS_PIECES_MAX];

/* ---- Requests ------------------------------------------------------------------- */

static ssize_t op_init(struct request *r)
{
	const uint64_t wanted = FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES |
				FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO |
				FUSE_PARALLEL_DIROPS | FUSE_MAX_PAGES | FUSE_ASYNC_DIO |
				FUSE_CACHE_SYMLINKS | FUSE_HANDLE_KILLPRIV;
	const struct fuse_init_in *in = (void *)r->arguments;
	struct fuse_init_out *out = (void *)r->result;

	/* Of the newest form, flags2 is missing in older kernels; the first flags are enough. */
	if (r->size < 16 || in->major != FUSE_KERNEL_VERSION || in->minor < MINOR_LEAST)
		return -EPROTO;
	*out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION,
		.minor = MINOR_LEAST,
		.max_readahead = MAX_PAGES * 4096,
		.flags = (uint32_t)(in->flags & wanted),
		.max_background = 64,
		.congestion_threshold = 48,
		.max_write = MAX_PAGES * 4096,
		.time_gran = 1,
		.max_pages = MAX_PAGES,
	};
	return sizeof(*out);
}

static ssize_t op_destroy(struct request *r)
{
	(void)r;
	return 0;
}

static const struct {
	operation *fn;
	bool writes; /* not to be had of a read-only folder */
} operations[] = {
	[FUSE_INIT] = {op_init, false},
	[FUSE_DESTROY] = {op_destroy, false},
	[FUSE_LOOKUP] = {op_lookup, false},
	[FUSE_FORGET] = {op_forget, false},
	[FUSE_BATCH_FORGET] = {op_batch_forget, false},
	[FUSE_GETATTR] = {op_getattr, false},
	[FUSE_SETATTR] = {op_setattr, true},
	[FUSE_READLINK] = {op_readlink, false},
	[FUSE_SYMLINK] = {op_symlink, true},
	[FUSE_MKNOD] = {op_mknod, true},
	[FUSE_MKDIR] = {op_mkdir, true},
	[FUSE_UNLINK] = {op_unlink, true},
	[FUSE_RMDIR] = {op_rmdir, true},
	[FUSE_RENAME] = {op_rename, true},
	[FUSE_RENAME2] = {op_rename2, true},
	[FUSE_LINK] = {op_link, true},
	[FUSE_CREATE] = {op_create, true},
	[FUSE_STATFS] = {op_statfs, false},
	[FUSE_OPEN] = {op_open, false},
	[FUSE_OPENDIR] = {op_opendir, false},
	[FUSE_READ] = {op_read, false},
	[FUSE_WRITE] = {op_write, true},
	[FUSE_RELEASE] = {op_release, false},
	[FUSE_RELEASEDIR] = {op_release, false},
	[FUSE_FSYNC] = {op_fsync, false},
	[FUSE_FSYNCDIR] = {op_fsync, false},
	[FUSE_READDIR] = {op_readdir, false},
	[FUSE_READDIRPLUS] = {op_readdirplus, false},
	[FUSE_LSEEK] = {op_lseek, false},
	[FUSE_FALLOCATE] = {op_fallocate, true},
	[FUSE_COPY_FILE_RANGE] = {op_copy, true},
	[FUSE_SYNCFS] = {op_syncfs, false},
};

static bool is_open_for_writing(const struct request *r)
{
	const struct fuse_open_in *in = (void *)r->arguments;

	return r->in.opcode == FUSE_OPEN && r->size >= sizeof(*in) &&
	       ((in->flags & O_ACCMODE) != O_RDONLY || (in->flags & O_TRUNC));
}

static ssize_t perform(struct request *r)
{
	uint32_t code = r->in.opcode;

	/* INTERRUPT has no answer: nothing here waits for long. */
	if (code == FUSE_INTERRUPT)
		return NO_ANSWER;
	/* Others the guest's kernel asks for once, and then does without. */
	if (code >= sizeof(operations) / sizeof(operations[0]) || !operations[code].fn)
		return -ENOSYS;
	if (folder.read_only && (operations[code].writes || is_open_for_writing(r)))
		return -EROFS;
	return operations[code].fn(r);
}

/* ---- Pieces ------------------------------------------------------------------------ */

static size_t length_of(const struct iovec *iov, unsigned n)
{
	size_t len = 0;

	for (unsigned i = 0; i < n; i++)
		len += iov[i].iov_len;
	return len;
}

/* Copies up to n bytes out of the front of the pieces, and drops them from there. */
static size_t take(struct iovec **iov, unsigned *count, void *dst, size_t n)
{
	size_t done = 0;

	while (done<n && * count> 0) {
		size_t part = (*iov)->iov_len < n - done ? (*iov)->iov_len : n - done;

		memcpy((char *)dst + done, (*iov)->iov_base, part);
		(*iov)->iov_base = (char *)(*iov)->iov_base + part;
		(*iov)->iov_len -= part;
		done += part;
		if ((*iov)->iov_len == 0) {
			(*iov)++;
			(*count)--;
		}
	}
	/* As in ram_read(): the copy is made here and once. */
	__asm__ volatile("" ::: "memory");
	return done;
}

static void put(struct iovec *iov, unsigned count, const void *src, size_t n)
{
	for (; n > 0 && count > 0; iov++, count--) {
		size_t part = iov->iov_len < n ? iov->iov_len : n;

		memcpy(iov->iov_base, src, part);
		src = (const char *)src + part;
		n -= part;
	}
}

/* Does one request; bytes written for the guest. */
static uint32_t serve(unsigned outs, unsigned ins)
{
	struct iovec *out = piece, *in = piece + outs;
	struct fuse_out_header header;
	size_t room = length_of(in, ins);
	char *answer = ins > 0 ? in->iov_base : NULL;
	ssize_t n;

	if (take(&out, &outs, &rq.in, sizeof(rq.in)) != sizeof(rq.in))
		return 0;
	rq.size = take(&out, &outs, rq.arguments,
		rq.in.opcode == FUSE_WRITE ? sizeof(struct fuse_write_in) : ARGUMENTS_MAX);
	rq.arguments[rq.size] = rq.arguments[rq.size + 1] = '\0';
	/* The monitor has seen to it that the answer's head is in one piece. */
	if (ins > 0) {
		in->iov_base = answer + sizeof(header);
		in->iov_len -= sizeof(header);
	}
	rq.data = rq.in.opcode == FUSE_READ ? in : out;
	rq.datas = rq.in.opcode == FUSE_READ ? ins : outs;
	rq.data_len = length_of(rq.data, rq.datas);
	n = perform(&rq);
	if (n == NO_ANSWER || !answer)
		return 0;
	if (n > 0 && (size_t)n > room - sizeof(header))
		n = -EIO;
	header = (struct fuse_out_header){.len = (uint32_t)(sizeof(header) + (n > 0 ? n : 0)),
		.error = n < 0 ? (int)n : 0,
		.unique = rq.in.unique};
	if (n > 0 && rq.in.opcode != FUSE_READ)
		put(in, ins, rq.result, (size_t)n);
	memcpy(answer, &header, sizeof(header));
	return header.len;
}

/* ---- Life ----------------------------------------------------------------------- */

/* The pieces of a message, in our view of guest memory; false: nonsense. */
static bool find_pieces(const struct fs_request *m, size_t size)
{
	unsigned n = m->outs + m->ins;

	if (size < FS_REQUEST_SIZE(0) || n > FS_PIECES_MAX || size != FS_REQUEST_SIZE(n))
		return false;
	for (unsigned i = 0; i < n; i++) {
		piece[i].iov_len = m->piece[i].len;
		piece[i].iov_base = ram_range(&ram, m->piece[i].offset, m->piece[i].len);
		if (!piece[i].iov_base)
			return false;
	}
	return m->ins == 0 || piece[m->outs].iov_len >= sizeof(struct fuse_out_header);
}

/*
 * Requests that come one at a time, each after the answer to the last, are best served where the
 * monitor runs, which sleeps meanwhile: to wake another CPU takes longer than most of them. Of
 * several at once some are served beside what it does.
 */
static void follow(uint32_t cpu, bool slept)
{
	static uint32_t last;
	static unsigned row;

	if (!slept || cpu != last) {
		affinity_keep(&affinity, 0);
		row = 0;
	}
	last = cpu;
	if (++row == FOLLOW_AFTER && affinity_allows(&affinity, cpu + 1))
		affinity_keep(&affinity, cpu + 1);
}

/* The next message; *slept: it was waited for. */
static ssize_t receive(int socket, struct fs_request *message, bool *slept)
{
	ssize_t n = recv(socket, message, sizeof(*message), MSG_DONTWAIT);

	*slept = n < 0 && errno == EAGAIN;
	while (n < 0 && (errno == EAGAIN || errno == EINTR))
		n = recv(socket, message, sizeof(*message), 0);
	return n;
}

static int loop(int socket)
{
	static struct fs_request message;

	for (;;) {
		bool slept;
		ssize_t n = receive(socket, &message, &slept);
		struct fs_reply reply;

		if (n <= 0)
			return 0; /* the monitor has gone */
		if (!find_pieces(&message, (size_t)n))
			return EXIT_LUCID;
		follow(message.cpu, slept);
		reply.id = message.id;
		reply.len = serve(message.outs, message.ins);
		if (send(socket, &reply, sizeof(reply), MSG_NOSIGNAL) != sizeof(reply))
			return 0;
	}
}

/* Guest RAM comes as the first message. 0 or -errno. */
static int map_ram(int socket)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&ram.size, sizeof(ram.size)};
	struct msghdr m = {.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	const struct cmsghdr *c;

	if (recvmsg(socket, &m, MSG_CMSG_CLOEXEC) != sizeof(ram.size))
		return -EPIPE;
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -EPROTO;
	memcpy(&ram.fd, CMSG_DATA(c), sizeof(ram.fd));
	ram.base =
		mmap(NULL, ram.size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, ram.fd, 0);
	return ram.base == MAP_FAILED ? -errno : 0;
}

/* Every file that the guest knows is open here. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int folder_serve(int socket, const char *path, bool read_only, uid_t guest_uid, gid_t guest_gid)
{
	int root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), r;

	prctl(PR_SET_NAME, "lucid-folder");
	folder = (struct folder){
		.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.proc = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.read_only = read_only,
		.is_root = geteuid() == 0,
		.uid = geteuid(),
		.guest_uid = guest_uid,
		.gid = getegid(),
		.guest_gid = guest_gid,
	};
	rq.folder = &folder;
	raise_limit();
	signal(SIGXFSZ, SIG_IGN); /* EFBIG tells the guest */
	affinity_init(&affinity);
	umask(0); /* the guest's kernel has applied its program's */
	if (root < 0 || folder.root < 0 || folder.proc < 0)
		return EXIT_LUCID;
	r = map_ram(socket);
	if (r == 0)
		r = nodes_init(root);
	if (r == 0)
		r = folder_confine(root, read_only);
	return r < 0 ? EXIT_LUCID : loop(socket);
}
