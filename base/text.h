/* SPDX-License-Identifier: MIT */
/* Text of others on the user's terminal. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stddef.h>

/*
 * Makes question marks of what could control a terminal, which is all but tabs that is no printable
 * character of UTF-8.
 */
void text_clean(char *text, size_t len);

#endif
