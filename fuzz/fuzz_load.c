/* SPDX-License-Identifier: MIT */
/* Kernels that are none: ELF files for load_kernel(). */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "abi/lucid.h"
#include "fuzz/input.h"
#include "monitor/load.h"

#define RAM_SIZE (64ULL << 20)
#define PAGE 4096

static struct ram ram;
static int file;
static char path[40];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	file = memfd_create("kernel", MFD_CLOEXEC);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	if (file < 0 || ram_create(&ram, RAM_SIZE) < 0)
		abort();
	return 0;
}

/* Spaces map these segments as they are. */
static bool good(const struct load_image *image)
{
	bool ok = image->segments > 0 && image->segments <= SPACE_SEGMENTS &&
		  image->end <= RAM_SIZE && image->entry >= LUCID_IMAGE_BASE &&
		  image->entry < LUCID_IMAGE_END;

	for (unsigned i = 0; ok && i < image->segments; i++) {
		const struct space_segment *s = &image->segment[i];

		ok = s->size > 0 && s->pa % PAGE == 0 && s->size % PAGE == 0 &&
		     s->size <= RAM_SIZE && s->pa <= RAM_SIZE - s->size &&
		     s->va == s->pa + LUCID_IMAGE_BASE && s->va + s->size <= LUCID_IMAGE_END;
		for (unsigned j = 0; ok && j < i; j++)
			ok = s->pa + s->size <= image->segment[j].pa ||
			     image->segment[j].pa + image->segment[j].size <= s->pa;
	}
	return ok;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *const paths[] = {path, path}, *why = NULL;
	struct load_image image;
	unsigned which;

	if (ftruncate(file, 0) < 0 || pwrite(file, data, size, 0) != (ssize_t)size)
		abort();
	if (load_kernel(&ram, path, &image, &why) == 0) {
		if (!good(&image))
			abort();
		load_initrd(&ram, image.end, paths, 2, &why, &which);
		ram_discard(&ram, 0, RAM_SIZE);
	} else if (!why) {
		abort();
	}
	return 0;
}
