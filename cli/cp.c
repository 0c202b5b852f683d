/* SPDX-License-Identifier: MIT */
/* lucid cp: files and folders into a machine and out of it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "abi/agent.h"
#include "api/rundir.h"
#include "base/log.h"
#include "base/tree.h"
#include "cli/exec.h"
#include "cli/options.h"
#include "cli/targets.h"

/* One side of a copy: a path, and the machine it is in; NULL: here. */
struct place {
	char *machine, *path;
};

/* NAME:PATH. A path here that looks like it is written with a slash before its colon. */
static struct place split(char *arg)
{
	char *colon = strchr(arg, ':');

	if (!colon || memchr(arg, '/', (size_t)(colon - arg)))
		return (struct place){NULL, arg};
	*colon = '\0';
	return (struct place){arg, colon + 1};
}

static void tell(const char *line)
{
	log_error("%s", line);
}

/* Our end of the copy, in a process of its own: pipe is its stream. */
static _Noreturn void child_main(const char *path, bool put, const int pipe[2], int connection)
{
	bool ok;

	close(connection);
	close(pipe[put ? 0 : 1]);
	ok = put ? tree_send(path, pipe[1], tell) : tree_receive(pipe[0], path, tell);
	_exit(ok ? 0 : 1);
}

static int copy(
	const char *machine, char *there, const char *here, bool put, struct vm_command command)
{
	char *argv[] = {there, NULL};
	int ends[2], status, local = 0, fd;
	pid_t child;

	command.argv = argv;
	/* Before anything is made here. */
	fd = exec_connect(machine);
	if (fd < 0)
		return EXIT_LUCID;
	child = pipe2(ends, O_CLOEXEC) < 0 ? -1 : fork();
	if (child == 0)
		child_main(here, put, ends, fd);
	if (child < 0) {
		log_error("cannot start a process: %s; end some", strerror(errno));
		close(fd);
		return EXIT_LUCID;
	}
	/* The child's end is the standard stream that the agent sees. */
	dup2(ends[put ? 0 : 1], put ? STDIN_FILENO : STDOUT_FILENO);
	close(ends[0]);
	close(ends[1]);
	status = exec_run(fd, machine, &command, put ? AGENT_PUT : AGENT_GET, !put);
	/* What went wrong has been said: that the copy broke off is no news. */
	if (status == EXIT_LUCID)
		kill(child, SIGKILL);
	close(put ? STDIN_FILENO : STDOUT_FILENO);
	while (waitpid(child, &local, 0) < 0 && errno == EINTR)
		;
	return status != 0 || local != 0 ? EXIT_LUCID : 0;
}

static int take_user(void *arg, char *value)
{
	return options_parse_user(arg, value);
}

static int cp_main(int argc, char **argv)
{
	struct vm_command command = {0};
	const struct target_option options[] = {
		{.name = "user", .take = take_user, .arg = &command}, {0}};
	struct targets t;
	char **rest;
	int status = targets_parse(&t, &verb_cp, TARGETS_ONE, options, argc, argv, &rest);

	if (status < 0) {
		struct place from = split(t.name[0]), to = {0};

		if (*rest && !rest[1])
			to = split(*rest);
		if (!to.path || !from.machine == !to.machine || !from.path[0] || !to.path[0]) {
			log_error("cp: give a source and a target, one of them as NAME:PATH; see "
				  "`lucid cp --help`");
			status = EXIT_LUCID;
		} else if (to.machine) {
			status = copy(to.machine, to.path, from.path, true, command);
		} else {
			status = copy(from.machine, from.path, to.path, false, command);
		}
	}
	targets_free(&t);
	return status;
}

const struct verb verb_cp = {
	.name = "cp",
	.summary = "copy files into a machine or out of it",
	.help = "Usage: lucid cp [--user UID[:GID]] SOURCE NAME:TARGET\n"
		"       lucid cp [--user UID[:GID]] NAME:SOURCE TARGET\n"
		"\n"
		"Copies a file, or a folder with all that is in it. If TARGET is a folder the "
		"copy\n"
		"goes into it. Modes and times are kept, links are copied as links; the copy "
		"belongs\n"
		"to the user who copies, in the guest root or who --user says. Write ./a:b for a\n"
		"file here with a colon in its name.\n",
	.main = cp_main,
};
