/* SPDX-License-Identifier: MIT */
/*
 * The user's runtime directory: a folder for each running machine, by its name.
 *
 *	$XDG_RUNTIME_DIR/lucid/NAME/lock	locked by the monitor for as long as it lives
 *	                           /control	the control socket
 *	                           /info	what is fixed about the machine, JSON
 *
 * Without XDG_RUNTIME_DIR it is /run/user/UID, or else /tmp/lucid-UID. The lock is what
 * tells a running machine from what a dead one has left: it goes with its process, and
 * looking at it neither waits nor takes it.
 */
#ifndef API_RUNDIR_H
#define API_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

#define RUNDIR_NAME_MAX 48 /* bytes, without the NUL */
#define RUNDIR_LOCK "lock"
#define RUNDIR_CONTROL "control"
#define RUNDIR_INFO "info"
#define RUNDIR_VSOCK "vsock"

/* A name that this process has. */
struct rundir_claim {
	char name[RUNDIR_NAME_MAX + 1];
	char *path; /* of the machine's folder, absolute */
	int dir; /* that folder, -1: there is no claim */
	int lock;
};

/* Letters, digits, '.', '_' and '-', beginning with a letter or digit. */
bool rundir_name_valid(const char *name);

/*
 * Takes a name for this process and those it forks; NULL for one made up. Removes what dead
 * machines have left. 0, or -1 with nothing taken, after an error that is reported if it must be
 * had, and else with --verbose.
 */
int rundir_claim(struct rundir_claim *claim, const char *name, bool must);

/* Writes a file of the machine's folder, whole or not at all. 0 or -errno. */
int rundir_write(const struct rundir_claim *claim, const char *file, const char *text);

/*
 * Gives the name free and removes the folder; no effect without a claim. Uses unlink() and
 * rmdir() alone on paths.
 */
void rundir_release(struct rundir_claim *claim);

/*
 * The folder of a running machine, as a descriptor; -1: there is none of this name, with
 * errno ENOENT, or another one for what else is wrong.
 */
int rundir_enter(const char *name);

/* The names of all running machines, sorted, to be freed with rundir_free(). -1: reported. */
int rundir_list(char ***names, size_t *count);
void rundir_free(char **names, size_t count);

#endif
