/* SPDX-License-Identifier: MIT */
/* Tells the kind of a disk image. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "monitor/disks.h"

static const struct {
	const char *name, *suffix;
	off_t at; /* where its mark is */
	const char *mark;
	size_t size;
} formats[] = {
	{"qcow2", ".qcow2", 0, "QFI\xfb", 4},
	{"vmdk", ".vmdk", 0, "KDMV", 4},
	{"vdi", ".vdi", 64, "\x7f\x10\xda\xbe", 4},
	{"vpc", ".vhd", 0, "conectix", 8},
	{"vhdx", ".vhdx", 0, "vhdxfile", 8},
};

#define FORMATS (sizeof(formats) / sizeof(formats[0]))

bool disk_format_known(const char *name)
{
	for (size_t i = 0; i < FORMATS; i++)
		if (strcmp(name, formats[i].name) == 0)
			return true;
	return strcmp(name, "raw") == 0;
}

/* What the first bytes look like: a row of formats, or FORMATS. */
static size_t by_mark(const char *path)
{
	char mark[8];
	size_t i;
	/* What cannot be opened is reported by whoever needs it. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	for (i = 0; fd >= 0 && i < FORMATS; i++)
		if (pread(fd, mark, formats[i].size, formats[i].at) == (ssize_t)formats[i].size &&
			memcmp(mark, formats[i].mark, formats[i].size) == 0)
			break;
	if (fd < 0)
		return FORMATS;
	close(fd);
	return i;
}

static size_t by_name(const char *path)
{
	size_t length = strlen(path), i;

	for (i = 0; i < FORMATS; i++) {
		size_t n = strlen(formats[i].suffix);

		if (length > n && strcasecmp(path + length - n, formats[i].suffix) == 0)
			break;
	}
	return i;
}

const char *disk_format(const char *path, const char **why)
{
	static char text[160];
	size_t name = by_name(path), mark = by_mark(path);

	*why = text;
	if (access(path, R_OK) < 0)
		return "raw"; /* whose error is told */
	if (name == mark)
		return name == FORMATS ? "raw" : formats[name].name;
	if (name == FORMATS)
		snprintf(text, sizeof(text),
			"begins like a %s image, which a guest could have written; say "
			"--disk PATH,format=%s, or format=raw for a disk as it is",
			formats[mark].name, formats[mark].name);
	else
		snprintf(text, sizeof(text),
			"is named like a %s image and does not begin like one; say --disk "
			"PATH,format=raw for a disk as it is",
			formats[name].name);
	return NULL;
}
