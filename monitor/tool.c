/* SPDX-License-Identifier: MIT */
/*
 * Runs an external program, and gives up at a signal. The program has a process
 * group of its own: a Ctrl-C at the terminal reaches lucid alone, which ends it.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/tool.h"

int tool_guard(struct tool_guard *guard)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction action;
	sigset_t set;

	sigemptyset(&set);
	/* What is ignored, as by nohup, stays without effect. */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (sigaction(signals[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &guard->old);
	/* Only watched, never read: the signal stays pending until tool_unguard(). */
	guard->fd = signalfd(-1, &set, SFD_CLOEXEC);
	if (guard->fd >= 0)
		return 0;
	sigprocmask(SIG_SETMASK, &guard->old, NULL);
	return -errno;
}

void tool_unguard(struct tool_guard *guard)
{
	close(guard->fd);
	sigprocmask(SIG_SETMASK, &guard->old, NULL);
}

_Noreturn static void child(const struct tool_guard *guard, const char *const argv[], int errors)
{
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	sigprocmask(SIG_SETMASK, &guard->old, NULL);
	if (null >= 0) {
		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
	}
	dup2(errors, STDERR_FILENO);
	/* What the tools say goes into one-line messages. */
	setenv("LC_ALL", "C", 1);
	execvp(argv[0], (char *const *)argv);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Where a tool's complaints go: the first line is kept, the later ones only follow from it. */
struct errors {
	int fd;
	bool closed;
	bool full;
	size_t used;
	char *line;
};

static void take_errors(struct errors *e)
{
	char buffer[512];
	ssize_t n;

	while ((n = read(e->fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n && !e->full; i++) {
			if (buffer[i] == '\n' && e->used == 0)
				continue; /* gzip begins with an empty one */
			if (buffer[i] == '\n' || e->used == TOOL_LINE - 1)
				e->full = true;
			else
				e->line[e->used++] = buffer[i];
		}
	}
	e->line[e->used] = '\0';
	e->closed = n == 0;
}

/* Until the tool ends; true if a signal came first. */
static bool wait_end(const struct tool_guard *guard, int pidfd, struct errors *e)
{
	struct pollfd fds[] = {{.fd = pidfd, .events = POLLIN}, {.fd = guard->fd, .events = POLLIN},
		{.fd = e->fd, .events = POLLIN}};

	for (;;) {
		if (poll(fds, 3, -1) < 0)
			continue;
		take_errors(e);
		if (e->closed)
			fds[2].fd = -1;
		if (fds[0].revents)
			return false;
		if (fds[1].revents)
			return true;
	}
}

/*
 * Ends every process below this one, daemons included, which as a subreaper it
 * inherits. A process group would not do: fakeroot's daemon leaves it.
 */
static void end_children(void)
{
	FILE *list;
	pid_t pid;
	int n;

	do {
		list = fopen("/proc/thread-self/children", "re");
		n = list ? fscanf(list, "%d", &pid) : 0;
		if (list)
			fclose(list);
		if (n == 1) {
			kill(pid, SIGTERM);
			waitpid(pid, NULL, 0);
		}
	} while (n == 1);
}

int tool_run(struct tool_guard *guard, const char *const argv[], char line[TOOL_LINE])
{
	struct errors errors = {.line = line};
	int fds[2], pidfd, status;
	bool interrupted;
	pid_t pid;

	line[0] = '\0';
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0)
		child(guard, argv, fds[1]);
	status = -errno;
	close(fds[1]);
	if (pid < 0) {
		close(fds[0]);
		return status;
	}
	errors.fd = fds[0];
	setpgid(pid, pid); /* both sides do, whichever comes first */
	pidfd = pidfd_open(pid, 0);
	interrupted = pidfd < 0 || wait_end(guard, pidfd, &errors);
	if (interrupted)
		kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end_children();
	if (pidfd >= 0)
		close(pidfd);
	close(fds[0]);
	prctl(PR_SET_CHILD_SUBREAPER, 0);
	if (interrupted)
		return -EINTR;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
