/* SPDX-License-Identifier: MIT */
/* The lucid command: finds the verb and hands over to it. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/process.h"
#include "cli/cli.h"

/* A new verb takes a line here and one in cli.h. */
static const struct verb *const verbs[] = {&verb_run, &verb_ps, &verb_inspect, &verb_stats,
	&verb_top, &verb_exec, &verb_cp, &verb_logs, &verb_attach, &verb_memory, &verb_pause,
	&verb_resume, &verb_stop, &verb_kill, &verb_help, &verb_version, &verb_switch,
	&verb_folder};

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

const struct verb *verb_find(const char *name)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i]->name, name) == 0)
			return verbs[i];
	return NULL;
}

void verb_each(void (*fn)(const struct verb *verb))
{
	for (size_t i = 0; i < VERBS; i++)
		fn(verbs[i]);
}

int main(int argc, char **argv)
{
	const struct verb *verb;
	const char *name;

	process_note_descriptors();
	if (argc < 2) {
		log_error("no command given; see `lucid --help`");
		return EXIT_LUCID;
	}
	name = argv[1];
	if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		name = "help";
	else if (strcmp(name, "--version") == 0)
		name = "version";
	verb = verb_find(name);
	if (!verb) {
		log_error("unknown command %s; see `lucid --help`", name);
		return EXIT_LUCID;
	}
	return verb->main(argc - 1, argv + 1);
}
