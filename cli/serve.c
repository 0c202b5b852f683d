/* SPDX-License-Identifier: MIT */
/*
 * What Lucid starts itself as, to serve machines from a process of its own; no
 * verbs for users, and not in the list of help. Descriptor 3 is the socket.
 */
#include <stddef.h>

#include "base/log.h"
#include "cli/cli.h"
#include "serve/switch.h"

static int switch_main(int argc, char **argv)
{
	return argc == 2 ? switch_serve(3, argv[1]) : EXIT_LUCID;
}

const struct verb verb_switch = {
	.name = "switch",
	.help = "Internal: the switch behind --net socket=PATH.\n",
	.main = switch_main,
};
