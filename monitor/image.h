/* SPDX-License-Identifier: MIT */
/*
 * Root images: whatever --rootfs names becomes a file that the guest can mount.
 * Raw images are used as they are; directories and archives are made into an
 * erofs image in the user's cache, once for each state of the source.
 */
#ifndef MONITOR_IMAGE_H
#define MONITOR_IMAGE_H

#include <stdbool.h>

enum image_kind {
	IMAGE_DIR,
	IMAGE_TAR, /* plain or compressed */
	IMAGE_EXT4,
	IMAGE_EROFS,
};

struct image {
	char *path; /* of a raw image */
	enum image_kind kind; /* IMAGE_EXT4 or IMAGE_EROFS */
	int fd; /* keeps a cached image from being removed, or -1 */
};

/*
 * Makes the root at source ready. rw: the guest is to write to it, which only a
 * raw ext4 image allows. 0, or -1 after a reported error, with nothing left
 * behind. A SIGINT, SIGTERM or SIGHUP meanwhile ends the process as usual, but
 * leaves nothing behind either. image_release() ends it in every case.
 */
int image_prepare(struct image *image, const char *source, bool rw);
void image_release(struct image *image);

/*
 * What an open file or directory is, by its content. Anything else and a raw
 * image that is cut short are reported by the name of path: -1.
 */
int image_detect(int fd, const char *path, enum image_kind *kind);

/* Whether an ext4 image has a journal to replay, for which it must be written to. */
bool image_needs_recovery(int fd);

#endif
