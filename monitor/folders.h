/* SPDX-License-Identifier: MIT */
/* Folders of the host in the guest: a device and a server process each. */
#ifndef MONITOR_FOLDERS_H
#define MONITOR_FOLDERS_H

#include "device/bus.h"
#include "monitor/helper.h"
#include "monitor/vm.h"

/* Starts the servers of a configuration's folders and makes their devices. 0 or -1, reported. */
int folders_create(struct bus *bus, const struct vm_config *config, struct helpers *helpers);

#endif
