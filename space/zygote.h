/* SPDX-License-Identifier: MIT */
/* The process that spaces are forked from. */
#ifndef SPACE_ZYGOTE_H
#define SPACE_ZYGOTE_H

#include "space/space.h"

/*
 * What the child of spaces_create() does: turns itself into an empty space that
 * takes orders on a socket. Exits with a status of its own if it cannot.
 */
_Noreturn void zygote_main(const struct space_config *config, int order);

/* Takes from the calling process what a space can do without; proc: /proc, or -1. */
void space_enclose(int proc);

/* The stub's image and head. */
extern const char stub_image_start[], stub_image_end[];

#endif
