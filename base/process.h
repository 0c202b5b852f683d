/* SPDX-License-Identifier: MIT */
/* What a process of Lucid gives up that it never needs. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

#include <stdint.h>

/* Remembers which descriptors from 3 on the process was started with. Before any is opened. */
void process_note_descriptors(void);
/* Closes them. */
void process_close_inherited(void);

/* No core dumps, no memory that others of its user can read or trace. 0 or -errno. */
int process_hide(void);

/*
 * For this process and all that it starts: no Speculative Store Bypass, and a barrier for
 * predictions of indirect branches when the CPU changes to or from it. 0; -EPERM: the host leaves
 * one of the two open and does not let.
 */
int process_guard_speculation(void);

/* Overwrites the environment, which /proc shows and a reader of memory finds. */
void process_forget_environment(void);

/* No more processes and threads, no locked memory: for servers that have neither. */
void process_limit(void);

/* Keeps of its capabilities those of a mask (1 << CAP_*), and can get no others. 0 or -errno. */
int process_keep_capabilities(uint32_t mask);

#endif
