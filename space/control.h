/* SPDX-License-Identifier: MIT */
/*
 * The memory that the monitor shares with its spaces beside RAM: one memfd with the
 * information page, the console ring, the stubs' page of the machine, and for each vCPU
 * its page and the stub's. Spaces may change all but the first; the monitor trusts none
 * of it.
 */
#ifndef SPACE_CONTROL_H
#define SPACE_CONTROL_H

#include "abi/lucid.h"
#include "abi/space.h"

#define CONTROL_INFO 0
#define CONTROL_CONSOLE (CONTROL_INFO + LUCID_INFO_SIZE)
#define CONTROL_MACHINE (CONTROL_CONSOLE + LUCID_CONSOLE_SIZE)
#define CONTROL_VCPU(id) (CONTROL_MACHINE + STUB_MACHINE_SIZE + (id)*LUCID_VCPU_SIZE)
#define CONTROL_SHARED(vcpus, id) (CONTROL_VCPU(vcpus) + (id)*STUB_SHARED_SIZE)
#define CONTROL_SIZE(vcpus) CONTROL_SHARED(vcpus, vcpus)

struct control {
	int fd;
	unsigned vcpus;
	struct lucid_info *info;
	struct lucid_console *console;
	struct stub_machine *machine;
};

/* Makes the memory for so many vCPUs, zeroed. 0 or -errno. */
int control_create(struct control *control, unsigned vcpus);
void control_destroy(struct control *control);

/* The two pages of a vCPU; id is below control->vcpus. */
struct lucid_vcpu *control_vcpu(const struct control *control, unsigned id);
struct stub_shared *control_shared(const struct control *control, unsigned id);

#endif
