/* SPDX-License-Identifier: MIT */
/* The user's terminal, while the guest has it. */
#ifndef MONITOR_TERMINAL_H
#define MONITOR_TERMINAL_H

#include <stdbool.h>

#include "abi/agent.h"

/*
 * Raw mode for the terminal fd. It is put back by terminal_restore(), by exit() and by the
 * signals of a crash; only SIGKILL leaves it raw. One terminal at a time. false and errno on
 * failure.
 */
bool terminal_raw(int fd);
void terminal_restore(void);

/* The terminal's size; zeros if it has none. */
struct agent_winsize terminal_size(int fd);

#endif
