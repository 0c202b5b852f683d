/* SPDX-License-Identifier: MIT */
/* The option --volume: a folder of the host, and where it belongs in the guest. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/options.h"

int options_check_folder(const char *path, bool read_only, const char *option)
{
	struct stat st;

	if (stat(path, &st) < 0) {
		log_error("--%s %s: %s; give a folder of this host", option, path, strerror(errno));
		return -1;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("--%s %s: is no folder; give one", option, path);
		return -1;
	}
	if (access(path, (read_only ? 0 : W_OK) | R_OK | X_OK) < 0) {
		log_error("--%s %s: %s; ask for permission%s", option, path, strerror(errno),
			read_only ? "" : ", or add :ro");
		return -1;
	}
	return 0;
}

/* HOST:GUEST[:ro]. The guest's path has no colon; the host's may. */
int options_volume(struct options *o, char *arg)
{
	struct vm_folder *folder = &o->vm.folder[o->vm.folders];
	size_t len = strlen(arg);
	char *colon;

	if (o->vm.folders == VM_FOLDERS_MAX - 1) { /* one place stays free for the root */
		log_error(
			"--volume %s: too many folders; give at most %d", arg, VM_FOLDERS_MAX - 1);
		return -1;
	}
	*folder = (struct vm_folder){.path = arg};
	if (len >= 3 && strcmp(arg + len - 3, ":ro") == 0) {
		arg[len - 3] = '\0';
		folder->read_only = true;
	}
	colon = strrchr(arg, ':');
	if (!colon || colon == arg || colon[1] != '/' || strcmp(colon + 1, "/") == 0) {
		log_error("--volume %s: not a folder and a place; give HOST:GUEST[:ro], like "
			  "src:/src",
			arg);
		return -1;
	}
	*colon = '\0';
	folder->guest = colon + 1;
	if (options_check_folder(folder->path, folder->read_only, "volume") < 0)
		return -1;
	o->vm.folders++;
	return 0;
}
