/* SPDX-License-Identifier: MIT */
/* lucid help [VERB]: the list of verbs, or all about one. */
#include <stdio.h>

#include "base/log.h"
#include "cli/cli.h"

static void print_summary(const struct verb *verb)
{
	if (verb->summary)
		printf("  %-9s%s\n", verb->name, verb->summary);
}

static int help_main(int argc, char **argv)
{
	const struct verb *verb;

	if (argc > 1) {
		verb = verb_find(argv[1]);
		if (!verb) {
			log_error("unknown command %s; see `lucid --help`", argv[1]);
			return EXIT_LUCID;
		}
		fputs(verb->help, stdout);
		return 0;
	}
	puts("Usage: lucid COMMAND [ARGUMENTS]\n"
	     "\n"
	     "Runs virtual machines with a real Linux kernel, without KVM or root.\n"
	     "\n"
	     "Commands:");
	verb_each(print_summary);
	puts("\n`lucid help COMMAND` tells more.");
	return 0;
}

const struct verb verb_help = {
	.name = "help",
	.summary = "tell about lucid or one of its commands",
	.help = "Usage: lucid help [COMMAND]\n",
	.main = help_main,
};
