/* SPDX-License-Identifier: MIT */
/* The machine's disks: raw ones are the monitor's own, images of other kinds are served. */
#ifndef MONITOR_DISKS_H
#define MONITOR_DISKS_H

#include <stdbool.h>

#include "device/bus.h"
#include "monitor/helper.h"
#include "monitor/vm.h"

struct disks;

/* Makes the disks of a configuration, in their order. NULL after a reported error. */
struct disks *disks_create(
	struct bus *bus, const struct vm_config *config, struct helpers *helpers);
/* After the bus is gone; NULL is harmless. */
void disks_destroy(struct disks *disks);

/* Whether there is a kind of image of that name. */
bool disk_format_known(const char *name);

/*
 * disk_format.c: the kind of an image that the user has not told: what its name says, as far as its
 * first bytes agree. The bytes alone say nothing: a guest that writes them to its raw disk
 * must not have the host read it as something else, which may lead to other files. NULL: it is
 * for the user to say, *why tells in words, in static memory.
 */
const char *disk_format(const char *path, const char **why);

/* An image that qemu-storage-daemon serves. */
struct storage {
	const struct vm_disk *disk;
	const char *format;
	struct helpers *helpers;
	pid_t pid;
	int lock; /* the image, open, or -1 */
	int errors; /* the server's stderr, or -1 */
	bool backing; /* it says that it lies on others */
};

/* storage.c: starts the server: its socket. -1: *why tells in words. storage_end() in any case. */
int storage_start(struct storage *s, const char **why);
/* Ends the server at once: it has guest memory. */
void storage_kill(struct storage *s);
void storage_end(struct storage *s);
/* What the server says of its end; "" if nothing. In static memory. */
const char *storage_complaint(const struct storage *s);

/*
 * storage_confine.c: leaves the process the image, what the server itself consists of, and the
 * system calls that it makes. false: not even that.
 */
bool storage_confine(const struct storage *s);

#endif
