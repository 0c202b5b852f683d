/* SPDX-License-Identifier: MIT */
/* The files that come with Lucid: guest kernel, agent, default root. */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include <stddef.h>

/*
 * Path of a file that comes with Lucid: in build/ beside the executable, as in
 * the source tree, or in ../lib/lucid, as installed. 0, or -1 after a reported error.
 */
int files_find(const char *name, char *path, size_t size);

#endif
