/* SPDX-License-Identifier: MIT */
/* Copies out of a guest (lucid cp) that would like to write elsewhere. */
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tree.h"
#include "fuzz/input.h"
#include "fuzz/sandbox.h"

static int stream;
static const char *folder;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	stream = memfd_create("stream", MFD_CLOEXEC);
	folder = sandbox_open();
	return stream < 0 ? -1 : 0;
}

static void ignore(const char *line)
{
	if (strchr(line, '\n') && strlen(line) > 8192)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	bool renamed = input_number(&in, 1) & 1;
	char path[128] = "";

	sandbox_begin();
	strcat(strcpy(path, folder), renamed ? "/new" : "");
	if (ftruncate(stream, 0) < 0 || pwrite(stream, in.at, in.left, 0) != (ssize_t)in.left ||
		lseek(stream, 0, SEEK_SET) != 0)
		abort();
	tree_receive(stream, path, ignore);
	sandbox_end();
	return 0;
}
