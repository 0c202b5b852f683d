/* SPDX-License-Identifier: MIT */
/* The host may have no page for guest RAM when the monitor touches it: SIGBUS. */
#ifndef MONITOR_RAM_FAULT_H
#define MONITOR_RAM_FAULT_H

#include "base/ram.h"

/*
 * From now on that ends the process with one line and EXIT_LUCID; any other SIGBUS is what
 * it was. For the one RAM of a process, whose struct has to stay.
 */
void ram_fault_watch(const struct ram *ram);

#endif
