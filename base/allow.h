/* SPDX-License-Identifier: MIT */
/* System calls that a process may make from now on; any other ends it. */
#ifndef BASE_ALLOW_H
#define BASE_ALLOW_H

#include <seccomp.h>
#include <stddef.h>

/*
 * Starts a list with these system calls (SCMP_SYS()), whatever their arguments. More can be added
 * to it by libseccomp's functions. 0, or -errno: there is no list.
 */
int allow_list(scmp_filter_ctx *list, const int calls[], size_t count);

/* Adds base/affinity.h's call: where the process itself runs, and no other. 0 or -errno. */
int allow_affinity(scmp_filter_ctx list);

/*
 * Takes the list on for good, for this thread and those that it starts, with no_new_privs: call it
 * before there are threads. The list is released. 0 or -errno.
 */
int allow_only(scmp_filter_ctx list);

#endif
