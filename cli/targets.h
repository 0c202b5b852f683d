/* SPDX-License-Identifier: MIT */
/* The machines that a verb is for, and its few options. */
#ifndef CLI_TARGETS_H
#define CLI_TARGETS_H

#include <stdbool.h>
#include <stddef.h>

#include "api/client.h"
#include "cli/cli.h"

/* An option of a verb; the table ends with a name of NULL. */
struct target_option {
	const char *name;
	bool *flag; /* set if it is given */
	const char **value; /* instead: takes an argument */
	int (*take)(void *arg, char *value); /* instead: is called with it; -1: reported */
	void *arg;
};

struct targets {
	char **name;
	size_t count;
	char **listed; /* by --all, or because none were named */
	size_t listed_count;
};

enum targets_want {
	TARGETS_ONE, /* exactly one name; what follows it is the verb's */
	TARGETS_SOME, /* one or more, or --all */
	TARGETS_ANY, /* none means all */
};

/*
 * Reads options, then names. -1: goes on; else the exit status, after --help or a reported
 * error. With TARGETS_ONE, *rest is what follows the name. targets_free() in every case.
 */
int targets_parse(struct targets *t, const struct verb *verb, enum targets_want want,
	const struct target_option *options, int argc, char **argv, char ***rest);
void targets_free(struct targets *t);

/*
 * The same request to all of them. Reports who failed; the calls, to be freed with
 * targets_calls_free(), have what came. NULL without memory, reported.
 */
struct api_call *targets_call(const struct targets *t, const char *method, const char *path,
	const json_t *body, size_t *failed);
void targets_calls_free(const struct targets *t, struct api_call *calls);

#endif
