/* SPDX-License-Identifier: MIT */
/* lucid run: boots a virtual machine, runs a command in it, exits as it did. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/detach.h"
#include "cli/files.h"
#include "cli/options.h"
#include "monitor/image.h"
#include "monitor/vm.h"

static const char help[] =
	"Usage: lucid run [OPTIONS] [--] [COMMAND [ARGUMENTS]]\n"
	"\n"
	"Boots a virtual machine, runs the command in it and exits with its status:\n"
	"128 + signal if a signal ended it, 127 if it was not found, 126 if it cannot\n"
	"be executed, 125 if Lucid itself failed. Without a command: a shell.\n"
	"\n"
	"Machine:\n"
	"  --memory SIZE       guest memory, with K, M or G (default 512M)\n"
	"  --memory MIN..MAX   begin with MIN, grow by need up to MAX, shrink when idle\n"
	"  --balloon auto      give memory back when the host is short of it\n"
	"  --cpus N            virtual CPUs, 1 to 64 (default 1)\n"
	"  --cpu-affinity LIST keep them on these CPUs of the host, in turns: 0,2-3\n"
	"  --isolation WAY     programs and guest kernel: unified in one space with protection\n"
	"                      keys, split in two, auto (default): as the CPU has keys or not\n"
	"  --guard-speculation no speculation that leads to or from other processes, at a price\n"
	"  --host-memory SIZE  at most SIZE of the host's memory for all of it, by a cgroup\n"
	"  --host-cpu N        at most N CPUs of the host, like 1.5 or 150%, the same way\n"
	"  --timeout SECONDS   power the guest off after this time\n"
	"\n"
	"Files:\n"
	"  --rootfs PATH       root file system: a directory, a .tar[.gz|.zst], or a raw\n"
	"                      ext4 or erofs image; never changed (default: busybox)\n"
	"  --rw                change the root itself: a directory or a raw ext4 image\n"
	"  --disk PATH[,ro][,format=F]\n"
	"                      a disk image as the next /dev/vdX; may be repeated\n"
	"  --iops N            at most N requests a second for each disk\n"
	"  --bandwidth SIZE    at most SIZE bytes a second for each disk, with K, M or G\n"
	"  -v, --volume HOST:GUEST[:ro]\n"
	"                      a folder of the host in the guest; may be repeated\n"
	"\n"
	"Network:\n"
	"  --net user          through passt, no root needed (default, where passt is)\n"
	"  --net tap=NAME      a tap device of the host\n"
	"  --net socket=PATH   a switch; machines with the same PATH meet on it\n"
	"                      tap and socket take ,ip=ADDR/BITS ,gw=ADDR ,dns=ADDR ,dhcp,\n"
	"                      all take ,mac=ADDR; --net may be repeated\n"
	"  --net none          no network\n"
	"  -p, --publish [ADDR:]HOST:GUEST[/udp]\n"
	"                      a port of the host leads to one of the guest\n"
	"\n"
	"Command:\n"
	"  --env NAME=VALUE    a variable for its environment; may be repeated\n"
	"  --workdir DIR       the directory it starts in\n"
	"  --user UID[:GID]    the user it runs as (default 0)\n"
	"  --hostname NAME     host name of the guest (default lucid)\n"
	"\n"
	"Control (see also `lucid help ps`, exec, stop):\n"
	"  --name NAME         the machine's name (default vm-NUMBER)\n"
	"  --detach            go on in the background; output goes to `lucid logs`\n"
	"  --tty               with --detach: give the command a terminal\n"
	"  --vsock             let the guest connect to sockets of the host, see lucid(1)\n"
	"\n"
	"Kernel:\n"
	"  --kernel FILE       another guest kernel\n"
	"  --append STRING     more arguments for the guest kernel\n"
	"  --console FILE|-    where kernel messages go; - is stderr (default: nowhere)\n"
	"\n"
	"  --verbose           tell what Lucid does\n"
	"  --help              this text\n";

static bool is_folder(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A folder that is to keep what the guest does to it is not made into an image, but shared. */
static int prepare_root_folder(const struct options *o, struct vm_config *vm)
{
	if (options_check_folder(o->rootfs, false, "rootfs") < 0)
		return -1;
	memmove(&vm->folder[1], &vm->folder[0], vm->folders * sizeof(vm->folder[0]));
	vm->folder[0] = (struct vm_folder){.path = o->rootfs, .guest = "/"};
	vm->folders++;
	vm->root = VM_ROOT_FOLDER;
	return 0;
}

/* The root: either the default one, or what --rootfs names, as the first disk. */
static int prepare_root(const struct options *o, struct vm_config *vm, struct image *image)
{
	if (!o->rootfs) {
		vm->root = VM_ROOT_INITRD;
		return 0;
	}
	if (o->rw && is_folder(o->rootfs))
		return prepare_root_folder(o, vm);
	if (image_prepare(image, o->rootfs, o->rw) < 0)
		return -1;
	memmove(&vm->disk[1], &vm->disk[0], vm->disks * sizeof(vm->disk[0]));
	vm->disk[0] = (struct vm_disk){.path = image->path, .format = "raw", .read_only = !o->rw};
	vm->disks++;
	vm->root = o->rw ? VM_ROOT_RW : VM_ROOT_OVERLAY;
	vm->root_fstype = image->kind == IMAGE_EXT4 ? "ext4" : "erofs";
	return 0;
}

/*
 * The terminal's kind goes along to a command on a terminal. It comes first, so
 * that a later --env TERM= overrides it. NULL: there is nothing to add.
 */
static char **env_with_term(char **env, char *term, size_t size)
{
	const char *value = getenv("TERM");
	size_t n = 0;
	char **all;

	if (!value || (size_t)snprintf(term, size, "TERM=%s", value) >= size)
		return NULL;
	while (env[n])
		n++;
	all = calloc(n + 2, sizeof(char *));
	if (!all)
		return NULL;
	all[0] = term;
	memcpy(all + 1, env, n * sizeof(char *));
	return all;
}

/* Without a runtime directory a machine that nobody has named has no name. */
static int run_named(struct vm_config vm, const char *name)
{
	struct rundir_claim claim;
	int status;

	if (rundir_claim(&claim, name, name) == 0)
		vm.claim = &claim;
	else if (name)
		return EXIT_LUCID;
	status = vm_run(&vm);
	rundir_release(&claim);
	return status;
}

static int run(const struct options *o)
{
	char kernel[PATH_MAX], agent[PATH_MAX], root[PATH_MAX], term[128];
	struct image image = {.fd = -1};
	struct vm_config vm = o->vm;
	char **env = NULL;
	int status = EXIT_LUCID;

	log_set_verbose(o->verbose);
	if (files_find("agent.cpio", agent, sizeof(agent)) < 0)
		return EXIT_LUCID;
	vm.initrd[vm.initrds++] = agent;
	if (!vm.kernel) {
		if (files_find("vmlinux", kernel, sizeof(kernel)) < 0)
			return EXIT_LUCID;
		vm.kernel = kernel;
	}
	if (!o->rootfs) {
		if (files_find("default.cpio", root, sizeof(root)) < 0)
			return EXIT_LUCID;
		vm.initrd[vm.initrds++] = root;
	}
	if (!o->detach)
		vm.command.tty = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (vm.command.tty)
		env = env_with_term(vm.command.env, term, sizeof(term));
	if (env)
		vm.command.env = env;
	if (prepare_root(o, &vm, &image) == 0)
		status = o->detach ? detach_run(vm, o->name) : run_named(vm, o->name);
	image_release(&image);
	free(env);
	return status;
}

static int run_main(int argc, char **argv)
{
	struct options o;
	int status = EXIT_LUCID;

	if (options_parse(&o, argc, argv) == 0) {
		if (o.help) {
			fputs(help, stdout);
			status = 0;
		} else {
			status = run(&o);
		}
	}
	options_free(&o);
	return status;
}

const struct verb verb_run = {
	.name = "run",
	.summary = "boot a virtual machine and run a command in it",
	.help = help,
	.main = run_main,
};
