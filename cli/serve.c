/* SPDX-License-Identifier: MIT */
/*
 * What Lucid starts itself as, to serve machines from a process of its own; no
 * verbs for users, and not in the list of help. Descriptor 3 is the socket.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "cli/cli.h"
#include "serve/folder.h"
#include "serve/switch.h"

static int switch_main(int argc, char **argv)
{
	return argc == 2 ? switch_serve(3, argv[1]) : EXIT_LUCID;
}

/* PATH, ro or rw, and whom the guest sees as the owner of what is ours. */
static int folder_main(int argc, char **argv)
{
	if (argc != 5)
		return EXIT_LUCID;
	return folder_serve(3, argv[1], strcmp(argv[2], "ro") == 0,
		(uid_t)strtoul(argv[3], NULL, 10), (gid_t)strtoul(argv[4], NULL, 10));
}

const struct verb verb_folder = {
	.name = "folder",
	.help = "Internal: the server behind --volume.\n",
	.main = folder_main,
};

const struct verb verb_switch = {
	.name = "switch",
	.help = "Internal: the switch behind --net socket=PATH.\n",
	.main = switch_main,
};
