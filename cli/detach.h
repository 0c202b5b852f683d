/* SPDX-License-Identifier: MIT */
/* lucid run --detach: the machine goes on in a process of its own. */
#ifndef CLI_DETACH_H
#define CLI_DETACH_H

#include "monitor/vm.h"

/*
 * Runs the machine in the background, under name or one made up. Prints the name and returns 0 when
 * its command runs; if it does not come as far, says what the log says and returns its status.
 */
int detach_run(struct vm_config vm, const char *name);

#endif
