/* SPDX-License-Identifier: MIT */
/* Makes the root that --rootfs names ready to be mounted. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/image.h"
#include "monitor/image_cache.h"

static int check_rw(const char *source, enum image_kind kind)
{
	static const char *const names[] = {
		[IMAGE_DIR] = "a directory",
		[IMAGE_TAR] = "an archive",
		[IMAGE_EROFS] = "an erofs image",
	};

	if (kind == IMAGE_EXT4)
		return 0;
	log_error("%s is %s, which the guest cannot write to; leave out --rw, or make a raw image "
		  "with mkfs.ext4 -d",
		source, names[kind]);
	return -1;
}

static int prepare(struct image *image, int fd, const char *source, bool rw)
{
	enum image_kind kind;
	char *real;
	int ret;

	if (image_detect(fd, source, &kind) < 0)
		return -1;
	if (rw && check_rw(source, kind) < 0)
		return -1;
	if (kind == IMAGE_EXT4 && !rw && image_needs_recovery(fd)) {
		log_error("%s was not unmounted; run e2fsck -p on it, or give --rw", source);
		return -1;
	}
	real = realpath(source, NULL);
	if (!real) {
		log_error("%s: %s; see that it stays where it is", source, strerror(errno));
		return -1;
	}
	if (kind == IMAGE_EXT4 || kind == IMAGE_EROFS) {
		image->path = real;
		image->kind = kind;
		return 0;
	}
	ret = image_cache_get(image, real, kind);
	free(real);
	return ret;
}

int image_prepare(struct image *image, const char *source, bool rw)
{
	int fd, ret;

	*image = (struct image){.fd = -1};
	fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		log_error("cannot open %s: %s; give --rootfs a directory, an archive or an image "
			  "that you may read",
			source, strerror(errno));
		return -1;
	}
	ret = prepare(image, fd, source, rw);
	close(fd);
	return ret;
}

void image_release(struct image *image)
{
	free(image->path);
	image->path = NULL;
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
}
