/* SPDX-License-Identifier: MIT */
/* The seccomp lists of spaces and of the zygote; docs/security.md gives the reasons. */
#ifndef SPACE_FILTER_H
#define SPACE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/filter.h>

/*
 * The program for a space, into program (at most max instructions); kicks: there are other
 * vCPUs to kick; places: there are CPUs of the host to choose from. Where it has STUB_FILTER_PID
 * each space puts its own process id. Returns its length in instructions, or -errno.
 */
int filter_space(struct sock_filter *program, size_t max, bool kicks, bool places);

/* Puts the calling process, the zygote to be, under the zygote's list. 0 or -errno. */
int filter_zygote(bool kicks, bool places);

#endif
