/* SPDX-License-Identifier: MIT */
/* What `lucid run` was asked for. */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>

#include "monitor/vm.h"

struct options {
	struct vm_config vm; /* but for the files that Lucid brings along */
	const char *rootfs; /* NULL: the default root */
	bool rw;
	const char *name; /* of the machine; NULL: one is made up */
	bool detach;
	bool net_none;
	bool verbose;
	bool help; /* nothing else was looked at */
};

/*
 * Reads the arguments of `lucid run`; argv[0] is the verb. Strings stay argv's.
 * 0, or -1 after a reported error. Either way options_free() ends it.
 */
int options_parse(struct options *o, int argc, char **argv);
/* The arguments of --env and --user, which other verbs have too; the environment must have room. */
int options_parse_size(const char *arg, uint64_t *size);
int options_parse_env(struct vm_command *c, char *arg);
int options_parse_user(struct vm_command *c, const char *arg);
void options_free(struct options *o);

/* ---- options_net.c: what --net and --publish take; 0, or -1 reported ------------------ */

int options_net(struct options *o, char *arg);
int options_publish(struct options *o, const char *arg);
/* When all have been read: what goes together, and the network that nobody asked for. */
int options_net_end(struct options *o);

/* ---- options_host.c: the same for --host-memory and --host-cpu ---------------------------- */

int options_host_memory(struct options *o, const char *arg);
int options_host_cpu(struct options *o, const char *arg);

/* ---- options_volume.c ------------------------------------------------------------------- */

int options_volume(struct options *o, char *arg);
/* Whether a folder is one that can be served; 0, or -1 reported for the option of that name. */
int options_check_folder(const char *path, bool read_only, const char *option);

#endif
