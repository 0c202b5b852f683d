/* SPDX-License-Identifier: MIT */
/* The shared pages of a vCPU. */
#define _GNU_SOURCE
#include "space/control.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int control_create(struct control *control)
{
	unsigned char *base;

	*control = (struct control){.fd = memfd_create("lucid-control", MFD_CLOEXEC)};
	if (control->fd < 0)
		return -errno;
	if (ftruncate(control->fd, CONTROL_SIZE) < 0)
		goto fail;
	base = mmap(NULL, CONTROL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, control->fd, 0);
	if (base == MAP_FAILED)
		goto fail;
	control->info = (void *)(base + CONTROL_INFO);
	control->console = (void *)(base + CONTROL_CONSOLE);
	control->vcpu = (void *)(base + CONTROL_VCPU);
	control->shared = (void *)(base + CONTROL_SHARED);
	return 0;
fail:
	close(control->fd);
	control->fd = -1;
	return -errno;
}

void control_destroy(struct control *control)
{
	if (!control->info)
		return;
	munmap(control->info, CONTROL_SIZE);
	close(control->fd);
	*control = (struct control){.fd = -1};
}
