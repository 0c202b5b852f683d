/* SPDX-License-Identifier: MIT */
/* The command line: one struct verb a verb, each in a file of its own. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/version.h"

struct verb {
	const char *name;
	const char *summary; /* one line for `lucid help`; NULL: not for users */
	const char *help; /* whole text for `lucid help VERB` */
	/* argv[0] is the verb. Returns the exit status. */
	int (*main)(int argc, char **argv);
};

extern const struct verb verb_run;
extern const struct verb verb_ps;
extern const struct verb verb_inspect;
extern const struct verb verb_stats;
extern const struct verb verb_top;
extern const struct verb verb_logs;
extern const struct verb verb_exec;
extern const struct verb verb_cp;
extern const struct verb verb_attach;
extern const struct verb verb_memory;
extern const struct verb verb_pause;
extern const struct verb verb_resume;
extern const struct verb verb_stop;
extern const struct verb verb_kill;
extern const struct verb verb_help;
extern const struct verb verb_version;
extern const struct verb verb_switch;
extern const struct verb verb_folder;

/* The verb of that name, or NULL. */
const struct verb *verb_find(const char *name);
/* Calls fn for each verb, in the order that help shows. */
void verb_each(void (*fn)(const struct verb *verb));

#endif
