/* SPDX-License-Identifier: MIT */
/*
 * --host-memory and --host-cpu. A group can be made where the user may, and where its controllers
 * are handed down: below the process's own group if that is possible (not while processes are in
 * it, as the host has it), else beside it or further up. Groups above are left as they are.
 */
#include "monitor/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/machine.h"

#define PERIOD_US 100000
#define PREFIX "lucid-"

/* One machine a process. */
static struct {
	char path[PATH_MAX + 32];
	int parent; /* the folder it is in */
	int home; /* cgroup.procs of where we were */
	int events; /* memory.events */
} group = {.parent = -1, .home = -1, .events = -1};

static int write_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC), r = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Finds the line of a file that begins with key, and what is behind it. */
static bool find_line(const char *file, const char *key, char *rest, size_t size)
{
	FILE *f = fopen(file, "re");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	while (f && !found && getline(&line, &room, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		found = strncmp(line, key, strlen(key)) == 0;
		if (found)
			snprintf(rest, size, "%s", line + strlen(key));
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

/* Where the hierarchy is mounted as a whole: "ID PARENT DEV / POINT ... - cgroup2 ...". */
static bool find_mount(char *point, size_t size)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;
	char *line = NULL;
	size_t room = 0;

	while (f && !found && getline(&line, &room, f) > 0) {
		char root[8], at[PATH_MAX];

		if (strstr(line, " - cgroup2 ") &&
			sscanf(line, "%*d %*d %*s %7s %4095s", root, at) == 2 &&
			strcmp(root, "/") == 0) {
			snprintf(point, size, "%s", at);
			found = true;
		}
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

static bool hands_down(int dir, const char *controller)
{
	char text[512];
	int fd = openat(dir, "cgroup.subtree_control", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	char *save, *word;

	if (fd >= 0)
		close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (word = strtok_r(text, " \n", &save); word; word = strtok_r(NULL, " \n", &save))
		if (strcmp(word, controller) == 0)
			return true;
	return false;
}

/* Groups of machines that were killed; the host removes none that is in use. */
static void sweep(int dir)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0)
			unlinkat(dir, e->d_name, AT_REMOVEDIR);
	if (d)
		closedir(d);
}

static int set_limits(int dir, uint64_t memory, uint64_t cpu)
{
	char text[64];
	int r = 0;

	if (memory) {
		snprintf(text, sizeof(text), "%llu", (unsigned long long)memory);
		r = write_file(dir, "memory.max", text);
	}
	if (cpu && !r) {
		snprintf(text, sizeof(text), "%llu %d",
			(unsigned long long)(cpu * PERIOD_US / 1000), PERIOD_US);
		r = write_file(dir, "cpu.max", text);
	}
	return r;
}

/* Makes the group in a folder and moves into it. 0 or -errno. */
static int make_in(const char *where, bool own, uint64_t memory, uint64_t cpu)
{
	int parent = open(where, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1, r = 0;
	char name[32];

	if (parent < 0)
		return -errno;
	if (own && memory && !hands_down(parent, "memory"))
		write_file(parent, "cgroup.subtree_control", "+memory");
	if (own && cpu && !hands_down(parent, "cpu"))
		write_file(parent, "cgroup.subtree_control", "+cpu");
	if ((memory && !hands_down(parent, "memory")) || (cpu && !hands_down(parent, "cpu")))
		r = -ENOENT;
	snprintf(name, sizeof(name), PREFIX "%d", getpid());
	if (!r) {
		sweep(parent);
		r = mkdirat(parent, name, 0755) < 0 ? -errno : 0;
	}
	if (!r) {
		dir = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = dir < 0 ? -errno : set_limits(dir, memory, cpu);
		if (!r)
			r = write_file(dir, "cgroup.procs", "0");
		if (r)
			unlinkat(parent, name, AT_REMOVEDIR);
	}
	if (!r) {
		snprintf(group.path, sizeof(group.path), "%s/%s", where, name);
		group.events = openat(dir, "memory.events", O_RDONLY | O_CLOEXEC);
		group.parent = parent;
	} else {
		close(parent);
	}
	if (dir >= 0)
		close(dir);
	return r;
}

int cgroup_enter(uint64_t memory, uint64_t cpu)
{
	char point[PATH_MAX], below[PATH_MAX], where[2 * PATH_MAX], home[2 * PATH_MAX + 16];
	char *slash;
	int r = -ENOENT;

	if (!memory && !cpu)
		return 0;
	if (find_mount(point, sizeof(point)) &&
		find_line("/proc/self/cgroup", "0::", below, sizeof(below))) {
		snprintf(where, sizeof(where), "%s%s", point, strcmp(below, "/") ? below : "");
		snprintf(home, sizeof(home), "%s/cgroup.procs", where);
		group.home = open(home, O_WRONLY | O_CLOEXEC);
		if (group.home >= 0)
			r = make_in(where, true, memory, cpu);
		while (group.home >= 0 && r && strlen(where) > strlen(point) &&
			(slash = strrchr(where, '/'))) {
			*slash = '\0';
			r = make_in(where, false, memory, cpu);
		}
	}
	if (!r)
		return 0;
	log_error("no control group (cgroup v2) to limit %s in; try `systemd-run --user --scope -p "
		  "Delegate=yes lucid ...`",
		memory && cpu ? "memory and CPU time"
		: memory      ? "memory"
			      : "CPU time");
	return -1;
}

static void on_events(void *machine, uint32_t events)
{
	struct machine *m = machine;
	char text[512];
	ssize_t n = pread(group.events, text, sizeof(text) - 1, 0);
	const char *kills;

	(void)events;
	text[n > 0 ? n : 0] = '\0';
	kills = strstr(text, "oom_kill ");
	if (!kills || strtoul(kills + strlen("oom_kill "), NULL, 10) == 0)
		return;
	log_error(
		"the machine needs more of the host's memory than --host-memory lets it have; give "
		"it more, or less --memory");
	machine_stop(m, END_HOST);
	machine_kill(m);
}

int cgroup_watch(struct machine *m)
{
	return group.events < 0 ? 0 : loop_add(m->loop, group.events, EPOLLPRI, on_events, m);
}

int cgroup_parent(void)
{
	return group.parent;
}

void cgroup_leave(void)
{
	if (group.home >= 0 && write(group.home, "0", 1) < 0)
		log_info("cannot leave the control group: %s", strerror(errno));
}

void cgroup_remove(void)
{
	if (group.parent < 0)
		return;
	cgroup_leave();
	if (rmdir(group.path) < 0)
		log_warn("control group %s stays: %s", group.path, strerror(errno));
	close(group.parent);
	close(group.home);
	if (group.events >= 0)
		close(group.events);
	group.parent = group.home = group.events = -1;
}
