/* SPDX-License-Identifier: MIT */
/* The seccomp lists of spaces and of the zygote; docs/security.md gives the reasons. */
#ifndef SPACE_FILTER_H
#define SPACE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/filter.h>

/* What a machine's spaces need beyond what all need. */
struct filter_wants {
	uint64_t ram_size; /* bytes; mappings begin within them */
	unsigned key; /* protection key of kernel memory, the only one to be given; 0: none */
	bool kicks; /* there are other vCPUs to kick */
	bool places; /* there are CPUs of the host to choose from */
	bool twins; /* user mode has spaces of its own */
};

/*
 * The program for a space, into program (at most max instructions). Where it has STUB_FILTER_*
 * each space puts its own process id or descriptors. Returns its length in instructions, or
 * -errno.
 */
int filter_space(struct sock_filter *program, size_t max, const struct filter_wants *wants);

/* The same for a space's twin. */
int filter_twin(struct sock_filter *program, size_t max, const struct filter_wants *wants);

/* Puts the calling process, the zygote to be, under the zygote's list. 0 or -errno. */
int filter_zygote(const struct filter_wants *wants);

#endif
