/* SPDX-License-Identifier: MIT */
/* The seccomp lists of spaces and of the zygote; docs/security.md gives the reasons. */
#ifndef SPACE_FILTER_H
#define SPACE_FILTER_H

#include <stddef.h>
#include <linux/filter.h>

/*
 * The program for a space, into program (at most max instructions). Returns its
 * length in instructions, or -errno.
 */
int filter_space(struct sock_filter *program, size_t max);

/* Puts the calling process, the zygote to be, under the zygote's list. 0 or -errno. */
int filter_zygote(void);

#endif
