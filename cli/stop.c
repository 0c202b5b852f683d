/* SPDX-License-Identifier: MIT */
/* lucid stop and lucid kill: the end of machines, and until they are gone. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <time.h>
#include <unistd.h>

#include "api/rundir.h"
#include "base/log.h"
#include "cli/targets.h"

/* A guest has 15 seconds to power off before its monitor kills it. */
#define STOP_SECONDS 20
#define KILL_SECONDS 5
#define POLL_NS 10000000

static bool is_gone(const char *name)
{
	int dir = rundir_enter(name);

	if (dir >= 0)
		close(dir);
	return dir < 0;
}

/* Waits until all of them are gone; the number of those that are not. */
static size_t wait_gone(const struct targets *t, const bool *asked, unsigned seconds)
{
	const struct timespec pause = {.tv_nsec = POLL_NS};
	unsigned long tries = (unsigned long)seconds * (1000000000 / POLL_NS);
	size_t left = 0, i = 0;

	for (; i < t->count; i++) {
		while (asked[i] && !is_gone(t->name[i]) && tries > 0) {
			tries--;
			nanosleep(&pause, NULL);
		}
		if (asked[i] && !is_gone(t->name[i])) {
			log_error("%s is still there after %u s; `lucid kill %s` ends it",
				t->name[i], seconds, t->name[i]);
			left++;
		}
	}
	return left;
}

/*
 * A monitor that does not answer is ended by its number. That it holds the lock of its name
 * after its process has been taken hold of says that the number is still its own.
 */
static bool kill_hard(const char *name)
{
	int dir = rundir_enter(name), fd, pidfd = -1;
	json_t *info = NULL;
	bool done = false;

	if (dir < 0)
		return true;
	fd = openat(dir, RUNDIR_INFO, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	close(dir);
	if (fd >= 0) {
		info = json_loadfd(fd, 0, NULL);
		close(fd);
	}
	if (json_integer_value(json_object_get(info, "pid")) > 0)
		pidfd = pidfd_open((pid_t)json_integer_value(json_object_get(info, "pid")), 0);
	if (pidfd >= 0 && !is_gone(name))
		done = pidfd_send_signal(pidfd, SIGKILL, NULL, 0) == 0;
	if (pidfd >= 0)
		close(pidfd);
	json_decref(info);
	return done || is_gone(name);
}

static int end_machines(const struct targets *t, const char *path, bool hard, unsigned seconds)
{
	struct api_call *calls = calloc(t->count + 1, sizeof(*calls));
	bool *asked = calloc(t->count + 1, sizeof(*asked));
	size_t failed = 0;

	if (!calls || !asked) {
		log_error("out of memory; free some");
		free(calls);
		free(asked);
		return EXIT_LUCID;
	}
	for (size_t i = 0; i < t->count; i++)
		calls[i].name = t->name[i];
	api_calls(calls, t->count, "POST", path, NULL, hard ? 1000 : 5000);
	for (size_t i = 0; i < t->count; i++) {
		bool there = !is_gone(t->name[i]);

		/* One that is ending already needs no second word. */
		asked[i] = calls[i].status / 100 == 2 ||
			   (calls[i].status == 409 && there && strstr(calls[i].error, "is ending"));
		if (!asked[i] && hard && there)
			asked[i] = kill_hard(t->name[i]);
		if (asked[i])
			continue;
		failed++;
		log_error("%s", calls[i].error);
	}
	failed += wait_gone(t, asked, seconds);
	targets_calls_free(t, calls);
	free(asked);
	return failed ? EXIT_LUCID : 0;
}

static int stop_main(int argc, char **argv)
{
	struct targets t;
	int status = targets_parse(&t, &verb_stop, TARGETS_SOME, NULL, argc, argv, NULL);

	if (status < 0)
		status = end_machines(&t, "/v1/stop", false, STOP_SECONDS);
	targets_free(&t);
	return status;
}

static int kill_main(int argc, char **argv)
{
	struct targets t;
	int status = targets_parse(&t, &verb_kill, TARGETS_SOME, NULL, argc, argv, NULL);

	if (status < 0)
		status = end_machines(&t, "/v1/kill", true, KILL_SECONDS);
	targets_free(&t);
	return status;
}

const struct verb verb_stop = {
	.name = "stop",
	.summary = "power machines off",
	.help = "Usage: lucid stop NAME... | --all\n"
		"\n"
		"Ends the command, SIGTERM first, powers the guest off and returns when it is "
		"gone.\n"
		"A guest that has not powered off after 15 seconds is killed.\n"
		"\n"
		"  --all      all running machines\n"
		"  --help     this text\n",
	.main = stop_main,
};

const struct verb verb_kill = {
	.name = "kill",
	.summary = "end machines at once",
	.help = "Usage: lucid kill NAME... | --all\n"
		"\n"
		"Ends machines without asking the guest, as if the power had failed; also those\n"
		"that do not answer any more.\n"
		"\n"
		"  --all      all running machines\n"
		"  --help     this text\n",
	.main = kill_main,
};
