/* SPDX-License-Identifier: MIT */
/*
 * The memory that the monitor shares with a vCPU's spaces beside RAM: one memfd
 * with the information page, the console ring, the vCPU page and the stub's page.
 * Spaces may change all but the first; the monitor trusts none of it.
 */
#ifndef SPACE_CONTROL_H
#define SPACE_CONTROL_H

#include "abi/lucid.h"
#include "abi/space.h"

#define CONTROL_INFO 0
#define CONTROL_CONSOLE (CONTROL_INFO + LUCID_INFO_SIZE)
#define CONTROL_VCPU (CONTROL_CONSOLE + LUCID_CONSOLE_SIZE)
#define CONTROL_SHARED (CONTROL_VCPU + LUCID_VCPU_SIZE)
#define CONTROL_SIZE (CONTROL_SHARED + STUB_SHARED_SIZE)

struct control {
	int fd;
	struct lucid_info *info;
	struct lucid_console *console;
	struct lucid_vcpu *vcpu;
	struct stub_shared *shared;
};

/* Makes the memory, zeroed. 0 or -errno. */
int control_create(struct control *control);
void control_destroy(struct control *control);

#endif
