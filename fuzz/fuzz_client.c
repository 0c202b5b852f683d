/* SPDX-License-Identifier: MIT */
/*
 * A monitor that was taken over, and answers its user's `lucid ps`, `inspect` and `stats` with
 * whatever it likes: they are not confined. The first byte chooses the command, the rest is the
 * answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "api/client.h"
#include "api/rundir.h"
#include "base/log.h"
#include "cli/cli.h"
#include "fuzz/input.h"
#include "fuzz/sandbox.h"

static uint8_t answer[4096];
static size_t answer_size;
static pthread_mutex_t answer_lock = PTHREAD_MUTEX_INITIALIZER;
static int listener;

/* The second look of `stats` comes at once. */
int nanosleep(const struct timespec *want, struct timespec *left)
{
	(void)want;
	(void)left;
	return 0;
}

/* Answers when it has heard something, since that is when clients look. */
static void *serve(void *arg)
{
	static uint8_t request[4096], copy[4096];

	for (;;) {
		int fd = accept(listener, NULL, NULL);
		size_t size;

		if (fd < 0)
			abort();
		pthread_mutex_lock(&answer_lock);
		memcpy(copy, answer, size = answer_size);
		pthread_mutex_unlock(&answer_lock);
		if (recv(fd, request, sizeof(request), 0) > 0)
			send(fd, copy, size, MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		/* What it does not read would be a reset, and the answer lost. */
		while (recv(fd, request, sizeof(request), 0) > 0)
			;
		close(fd);
	}
	return arg;
}

static void open_machine(const char *base)
{
	static struct rundir_claim claim;
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	if (setenv("XDG_RUNTIME_DIR", base, 1) < 0 || rundir_claim(&claim, "m", true) < 0)
		abort();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/" RUNDIR_CONTROL, claim.path);
	listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		listen(listener, 8) < 0)
		abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	pthread_t thread;

	(void)argc;
	(void)argv;
	open_machine(sandbox_open());
	log_set_fd(null);
	if (null < 0 || dup2(null, STDOUT_FILENO) < 0 ||
		pthread_create(&thread, NULL, serve, NULL) != 0)
		abort();
	return 0;
}

static void run(const struct verb *verb, char *option)
{
	char name[] = "m";
	char *argv[] = {(char *)verb->name, option ? option : name, option ? name : NULL, NULL};
	int status = verb->main(option ? 3 : 2, argv);

	if (status != 0 && status != EXIT_LUCID)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	unsigned what = (unsigned)input_number(&in, 1);
	char json[] = "--json", error[256];
	int fd;

	pthread_mutex_lock(&answer_lock);
	answer_size = input_bytes(&in, answer, sizeof(answer));
	pthread_mutex_unlock(&answer_lock);
	switch (what % 8) {
	case 0:
	case 1:
		run(&verb_ps, NULL);
		break;
	case 2:
		run(&verb_ps, json);
		break;
	case 3:
		run(&verb_inspect, NULL);
		break;
	case 4:
		run(&verb_inspect, json);
		break;
	case 5:
	case 6:
		run(&verb_stats, NULL);
		break;
	default:
		fd = api_upgrade("m", "/v1/x", error);
		if (fd >= 0)
			close(fd);
	}
	return 0;
}
