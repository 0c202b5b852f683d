/* SPDX-License-Identifier: MIT */
/* The shared pages of a machine. */
#define _GNU_SOURCE
#include "space/control.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int control_create(struct control *control, unsigned vcpus)
{
	unsigned char *base;

	*control = (struct control){
		.fd = memfd_create("lucid-control", MFD_CLOEXEC),
		.vcpus = vcpus,
	};
	if (control->fd < 0)
		return -errno;
	if (ftruncate(control->fd, CONTROL_SIZE(vcpus)) < 0)
		goto fail;
	base = mmap(NULL, CONTROL_SIZE(vcpus), PROT_READ | PROT_WRITE, MAP_SHARED, control->fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	control->info = (void *)(base + CONTROL_INFO);
	control->console = (void *)(base + CONTROL_CONSOLE);
	control->machine = (void *)(base + CONTROL_MACHINE);
	return 0;
fail:
	close(control->fd);
	control->fd = -1;
	return -errno;
}

struct lucid_vcpu *control_vcpu(const struct control *control, unsigned id)
{
	return (void *)((unsigned char *)control->info + CONTROL_VCPU(id));
}

struct stub_shared *control_shared(const struct control *control, unsigned id)
{
	return (void *)((unsigned char *)control->info + CONTROL_SHARED(control->vcpus, id));
}

void control_destroy(struct control *control)
{
	if (!control->info)
		return;
	munmap(control->info, CONTROL_SIZE(control->vcpus));
	close(control->fd);
	*control = (struct control){.fd = -1};
}
