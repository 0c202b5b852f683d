/* SPDX-License-Identifier: MIT */
/*
 * Files and folders as a stream of bytes, for `lucid cp`. The agent has one end and the command
 * the other; whoever receives trusts nothing of what comes. The format is no one else's: both ends
 * are of one version.
 *
 * Regular files, folders and symbolic links go, with modes (but for setuid and the like) and times
 * of change; they belong to whoever receives them.
 */
#ifndef BASE_TREE_H
#define BASE_TREE_H

#include <stdbool.h>

/*
 * Called with one line for the user, without a newline; what cannot be read is told and left out,
 * and what comes after it goes on.
 */
typedef void tree_error_fn(const char *line);

/*
 * Writes what is at path to out, blocking. A symbolic link at path itself is followed. False if
 * anything was left out; it has been told.
 */
bool tree_send(const char *path, int out, tree_error_fn *error);

/*
 * Reads what tree_send() wrote and makes it at path: in it, under its own name, if it is a folder.
 * What is there is replaced, but a folder by nothing else than a folder, whose other content
 * stays. Writes nothing outside, whatever in says. False if anything could not be made, or if the
 * stream ended early.
 */
bool tree_receive(int in, const char *path, tree_error_fn *error);

#endif
