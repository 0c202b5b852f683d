/* SPDX-License-Identifier: MIT */
/* Root images that are none: what image_detect() reads of them. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "monitor/image.h"

static int file;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	/* It reports to the user, a thousand times a second. */
	log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
	file = memfd_create("image", MFD_CLOEXEC);
	return file < 0 ? -1 : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	off_t more = (off_t)input_number(&in, 3) << 10;
	enum image_kind kind = IMAGE_DIR;

	/* Superblocks are after 1 KiB of what is of no interest but to archives. */
	if (ftruncate(file, 0) < 0 ||
		pwrite(file, in.at, in.left, more & 1024 ? 1024 : 0) != (ssize_t)in.left)
		abort();
	if (more > (off_t)in.left + 1024 && ftruncate(file, more) < 0)
		abort();
	if (image_detect(file, "image", &kind) == 0 && kind != IMAGE_TAR && kind != IMAGE_EXT4 &&
		kind != IMAGE_EROFS)
		abort();
	image_needs_recovery(file);
	return 0;
}
