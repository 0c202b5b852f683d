/* SPDX-License-Identifier: MIT */
/* Tells what a root source is by its content; names prove nothing. */
#include <endian.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <linux/fs.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/image.h"

#define HEAD_SIZE 4096

/* Both file systems have their superblock here. */
#define SUPER 1024

#define EXT4_BLOCKS_LO (SUPER + 0x04)
#define EXT4_LOG_BLOCK_SIZE (SUPER + 0x18)
#define EXT4_MAGIC (SUPER + 0x38)
#define EXT4_INCOMPAT (SUPER + 0x60)
#define EXT4_BLOCKS_HI (SUPER + 0x150)
#define EXT4_INCOMPAT_RECOVER 0x4
#define EXT4_INCOMPAT_64BIT 0x80

#define EROFS_MAGIC (SUPER + 0)
#define EROFS_BLOCK_BITS (SUPER + 12)
#define EROFS_BLOCKS (SUPER + 36)

#define TAR_MAGIC 257

struct head {
	unsigned char data[HEAD_SIZE];
	size_t size;
	uint64_t file_size;
};

static uint32_t le32_at(const struct head *head, size_t offset)
{
	uint32_t value;

	memcpy(&value, head->data + offset, sizeof(value));
	return le32toh(value);
}

static bool has(const struct head *head, size_t offset, const void *bytes, size_t n)
{
	return head->size >= offset + n && memcmp(head->data + offset, bytes, n) == 0;
}

static bool is_ext4(const struct head *head)
{
	return head->size == HEAD_SIZE && has(head, EXT4_MAGIC, "\x53\xef", 2);
}

static bool is_erofs(const struct head *head)
{
	return head->size == HEAD_SIZE && has(head, EROFS_MAGIC, "\xe2\xe1\xf5\xe0", 4);
}

/* tar itself finds out which compression it is, and whether an archive is inside. */
static bool is_archive(const struct head *head)
{
	return has(head, TAR_MAGIC, "ustar", 5) || has(head, 0, "\x1f\x8b", 2) ||
	       has(head, 0, "\x28\xb5\x2f\xfd", 4) ||
	       has(head, 0,
		       "\xfd"
		       "7zXZ",
		       6);
}

/* Bytes that the file system takes, by its superblock; UINT64_MAX if that makes no sense. */
static uint64_t ext4_size(const struct head *head)
{
	uint64_t blocks = le32_at(head, EXT4_BLOCKS_LO);
	uint32_t shift = le32_at(head, EXT4_LOG_BLOCK_SIZE);
	uint64_t size;

	if (le32_at(head, EXT4_INCOMPAT) & EXT4_INCOMPAT_64BIT)
		blocks |= (uint64_t)le32_at(head, EXT4_BLOCKS_HI) << 32;
	if (shift > 6 || __builtin_mul_overflow(blocks, 1024ULL << shift, &size))
		return UINT64_MAX;
	return size;
}

static uint64_t erofs_size(const struct head *head)
{
	unsigned bits = head->data[EROFS_BLOCK_BITS];

	if (bits < 9 || bits > 16)
		return UINT64_MAX;
	return (uint64_t)le32_at(head, EROFS_BLOCKS) << bits;
}

static int check_size(const struct head *head, const char *path, uint64_t size)
{
	if (size <= head->file_size)
		return 0;
	log_error("%s is cut short or damaged: its file system is larger than the file; copy it "
		  "again",
		path);
	return -1;
}

static int read_head(int fd, const struct stat *st, struct head *head)
{
	ssize_t n;

	head->size = 0;
	head->file_size = (uint64_t)st->st_size;
	if (S_ISBLK(st->st_mode) && ioctl(fd, BLKGETSIZE64, &head->file_size) < 0)
		return -1;
	do {
		n = pread(fd, head->data + head->size, HEAD_SIZE - head->size, (off_t)head->size);
		if (n > 0)
			head->size += (size_t)n;
	} while (n > 0 && head->size < HEAD_SIZE);
	return n < 0 ? -1 : 0;
}

int image_detect(int fd, const char *path, enum image_kind *kind)
{
	struct head head;
	struct stat st;

	if (fstat(fd, &st) < 0)
		goto unreadable;
	if (S_ISDIR(st.st_mode)) {
		*kind = IMAGE_DIR;
		return 0;
	}
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode))
		goto unknown;
	if (read_head(fd, &st, &head) < 0)
		goto unreadable;
	if (is_ext4(&head)) {
		*kind = IMAGE_EXT4;
		return check_size(&head, path, ext4_size(&head));
	}
	if (is_erofs(&head)) {
		*kind = IMAGE_EROFS;
		return check_size(&head, path, erofs_size(&head));
	}
	if (is_archive(&head)) {
		*kind = IMAGE_TAR;
		return 0;
	}
unknown:
	log_error("%s is no root file system; give a directory, a .tar[.gz|.zst] archive or a raw "
		  "ext4 or erofs image",
		path);
	return -1;
unreadable:
	log_error("cannot read %s: %s; see that you may read it", path, strerror(errno));
	return -1;
}

bool image_needs_recovery(int fd)
{
	uint32_t incompat;

	return pread(fd, &incompat, sizeof(incompat), EXT4_INCOMPAT) == sizeof(incompat) &&
	       le32toh(incompat) & EXT4_INCOMPAT_RECOVER;
}
