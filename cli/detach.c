/* SPDX-License-Identifier: MIT */
/* The fork of lucid run --detach: the parent waits until the command runs. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/detach.h"

/* Leaves the terminal and the parent's streams; those of the machine come later. */
static _Noreturn void child_main(struct vm_config *vm, struct rundir_claim *claim)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), status;

	setsid();
	log_set_fd(vm->log->fd[0]);
	for (int i = 0; i < 3; i++)
		dup2(null, i);
	status = vm_run(vm);
	logfile_close(vm->log);
	rundir_release(claim);
	exit(status);
}

/* What the machine has said before it came to anything. */
static void show_log(const char *name)
{
	char data[4096];
	int part[2];

	logfile_read(name, part);
	for (int i = 0; i < 2; i++) {
		ssize_t n;

		while (part[i] >= 0 && (n = read(part[i], data, sizeof(data))) > 0)
			if (write(STDERR_FILENO, data, (size_t)n) < 0)
				break;
		if (part[i] >= 0)
			close(part[i]);
	}
}

/* Waits for the byte that says that the command runs. */
static int parent_main(pid_t child, int ready, const char *name)
{
	char byte;
	ssize_t n;
	int status;

	do
		n = read(ready, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n == 1) {
		puts(name);
		return 0;
	}
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	show_log(name);
	if (WIFEXITED(status) && WEXITSTATUS(status) > 128)
		log_error("%s was stopped or killed before its command ran", name);
	if (WIFEXITED(status))
		return WEXITSTATUS(status) ? WEXITSTATUS(status) : EXIT_LUCID;
	log_error("the machine was ended by signal %d", WTERMSIG(status));
	return EXIT_LUCID;
}

int detach_run(struct vm_config vm, const char *name)
{
	struct rundir_claim claim;
	struct logfile log;
	int ready[2], status = EXIT_LUCID;
	pid_t child;

	if (rundir_claim(&claim, name, true) < 0)
		return EXIT_LUCID;
	if (logfile_open(&log, claim.name) < 0) {
		rundir_release(&claim);
		return EXIT_LUCID;
	}
	vm.claim = &claim;
	vm.log = &log;
	child = pipe2(ready, O_CLOEXEC) < 0 ? -1 : fork();
	if (child == 0) {
		close(ready[0]);
		vm.ready = ready[1];
		child_main(&vm, &claim);
	}
	if (child < 0) {
		log_error("cannot start a process: %s; end some", strerror(errno));
		rundir_release(&claim);
	} else {
		close(ready[1]);
		status = parent_main(child, ready[0], claim.name);
		close(ready[0]);
		free(claim.path);
	}
	logfile_close(&log);
	return status;
}
