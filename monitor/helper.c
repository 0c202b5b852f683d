/* SPDX-License-Identifier: MIT */
/* Starts, names and ends the processes that serve a machine beside its monitor. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/process.h"
#include "monitor/cgroup.h"
#include "monitor/helper.h"

#define PATIENCE_MS 2000

/* What a helper needs of the user's environment; what else is in there is no business of its. */
static void set_environment(void)
{
	const char *value = getenv("PATH");
	char *path = value ? strdup(value) : NULL;

	process_forget_environment();
	if (path)
		setenv("PATH", path, 1);
	setenv("LC_ALL", "C", 1);
}

_Noreturn static void become(const char *const argv[], int fd, int errors, bool (*wanted)(int fd))
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(errors < 0 ? null : errors, STDERR_FILENO);
	/* dup2() of a descriptor to itself would keep it close-on-exec. */
	if (fd == 3)
		fcntl(fd, F_SETFD, 0);
	else
		dup2(fd, 3);
	close_range(4, UINT_MAX, 0);
	set_environment();
	if (wanted && !wanted(3))
		_exit(0);
	execvp(argv[0], (char *const *)argv);
	_exit(127);
}

_Noreturn static void child(
	const char *const argv[], int fd, int errors, bool (*wanted)(int fd), pid_t parent)
{
	/* Signals of the terminal are for the machine, not for what serves it. */
	setsid();
	/* Whoever changes its user loses this, and has the end of its socket to go by. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	become(argv, fd, errors, wanted);
}

int helper_detach(const char *const argv[], int fd)
{
	pid_t pid = fork();

	if (pid == 0) {
		setsid();
		pid = fork();
		/* It serves others, too, and longer than this machine. */
		if (pid == 0)
			cgroup_leave();
		if (pid == 0)
			become(argv, fd, -1, NULL);
		_exit(pid < 0 ? errno : 0);
	}
	if (pid < 0)
		return -errno;
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int helper_start(struct helpers *helpers, const char *const argv[], int fd, int *errors,
	bool (*wanted)(int fd))
{
	int fds[2] = {-1, -1};
	pid_t parent = getpid(), pid;
	unsigned i = 0;

	while (i < HELPERS_MAX && helpers->pid[i])
		i++;
	if (i == HELPERS_MAX)
		return -ENOSPC;
	if (errors && pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid == 0)
		child(argv, fd, fds[1], wanted, parent);
	int error = errno;
	if (errors)
		close(fds[1]);
	if (pid < 0) {
		if (errors)
			close(fds[0]);
		return -error;
	}
	helpers->pid[i] = helpers->last = pid;
	if (errors)
		*errors = fds[0];
	return 0;
}

bool helper_exists(const char *name)
{
	const char *path = getenv("PATH");
	char file[PATH_MAX];

	if (!path)
		path = "/usr/local/bin:/usr/bin:/bin";
	while (*path) {
		size_t n = strcspn(path, ":");
		int len = snprintf(file, sizeof(file), "%.*s/%s", (int)n, path, name);

		if (n > 0 && len > 0 && (size_t)len < sizeof(file) && access(file, X_OK) == 0)
			return true;
		path += n + (path[n] == ':');
	}
	return false;
}

void helper_complaint(int errors, char line[HELPER_LINE])
{
	char text[4096];
	size_t have = 0;
	ssize_t n;

	line[0] = '\0';
	while (have < sizeof(text) - 1 &&
		(n = read(errors, text + have, sizeof(text) - 1 - have)) > 0)
		have += (size_t)n;
	text[have] = '\0';
	for (char *save, *l = strtok_r(text, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
		/* passt says so of each line where there is no system log. */
		if (strncmp(l, "Failed to send ", 15) == 0)
			continue;
		snprintf(line, HELPER_LINE, "%s", l);
	}
	for (char *c = line; *c; c++)
		if ((unsigned char)*c < ' ')
			*c = ' ';
}

bool helper_is(const struct helpers *helpers, pid_t pid)
{
	for (unsigned i = 0; i < HELPERS_MAX; i++)
		if (helpers->pid[i] == pid)
			return true;
	return false;
}

void helper_forget(struct helpers *helpers, pid_t pid)
{
	for (unsigned i = 0; i < HELPERS_MAX; i++)
		if (helpers->pid[i] == pid)
			helpers->pid[i] = 0;
}

static bool reap(struct helpers *helpers)
{
	bool any = false;

	for (unsigned i = 0; i < HELPERS_MAX; i++) {
		pid_t pid = helpers->pid[i];

		if (pid && waitpid(pid, NULL, WNOHANG) != 0)
			helpers->pid[i] = 0;
		any |= helpers->pid[i] != 0;
	}
	return any;
}

static void signal_all(const struct helpers *helpers, int signal)
{
	for (unsigned i = 0; i < HELPERS_MAX; i++)
		if (helpers->pid[i])
			kill(helpers->pid[i], signal);
}

void helpers_end(struct helpers *helpers)
{
	const struct timespec pause = {.tv_nsec = 1000000};
	int left = PATIENCE_MS;

	signal_all(helpers, SIGTERM);
	while (reap(helpers) && left-- > 0)
		nanosleep(&pause, NULL);
	if (left >= 0)
		return;
	signal_all(helpers, SIGKILL);
	for (unsigned i = 0; i < HELPERS_MAX; i++)
		if (helpers->pid[i])
			waitpid(helpers->pid[i], NULL, 0);
}
