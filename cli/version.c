/* SPDX-License-Identifier: MIT */
/* lucid version: which Lucid this is. */
#include <stdio.h>

#include "abi/lucid.h"
#include "cli/cli.h"

static int version_main(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	printf("lucid %s (ABI %d)\n", LUCID_VERSION, LUCID_ABI_VERSION);
	return 0;
}

const struct verb verb_version = {
	.name = "version",
	.summary = "print the version",
	.help = "Usage: lucid version\n",
	.main = version_main,
};
