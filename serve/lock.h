/* SPDX-License-Identifier: MIT */
#ifndef SERVE_LOCK_H
#define SERVE_LOCK_H

/*
 * Locks the folder that path is in, against whoever makes or removes a socket there
 * in the same way; leaves no file. A descriptor that holds the lock until it is
 * closed, or -errno.
 */
int lock_folder_of(const char *path);

#endif
