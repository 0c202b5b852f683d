/* SPDX-License-Identifier: MIT */
/* lucid exec: a command beside the first one. */
#include <errno.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "abi/agent.h"
#include "api/rundir.h"
#include "base/log.h"
#include "cli/exec.h"
#include "cli/options.h"
#include "cli/streams.h"
#include "cli/targets.h"
#include "monitor/session_proto.h"
#include "monitor/terminal.h"

/* How long a guest may take to accept a connection. */
#define CONNECT_SECONDS 10

/* One that stands still would keep us waiting. */
static bool may_connect(const char *name)
{
	struct api_call call;
	const char *state;
	bool may = false;

	if (!api_call(&call, name, "GET", "/v1/machine", NULL)) {
		log_error("%s", call.error);
	} else if (streams_understood(name, call.json)) {
		state = json_string_value(json_object_get(call.json, "state"));
		may = !state || strcmp(state, "paused") != 0;
		if (!may)
			log_error("%s: the machine is paused; resume it first", name);
	}
	api_call_clear(&call);
	return may;
}

int exec_connect(const char *name)
{
	const struct timeval limit = {.tv_sec = CONNECT_SECONDS}, none = {0};
	char line[32], error[256] = "";
	int fd = -1;
	size_t have = 0;
	ssize_t n = 0;

	if (!may_connect(name))
		return -1;
	fd = api_connect(name, RUNDIR_VSOCK, error);
	if (fd < 0) {
		log_error("%s", error);
		return -1;
	}
	snprintf(line, sizeof(line), "CONNECT %u\n", AGENT_VSOCK_PORT);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (send(fd, line, strlen(line), MSG_NOSIGNAL) < 0)
		goto fail;
	/* "OK PORT\n", and not a byte more: what follows is the stream's. */
	do {
		n = recv(fd, line + have, 1, 0);
		have += n > 0;
	} while (n > 0 && line[have - 1] != '\n' && have < sizeof(line));
	if (n <= 0 || strncmp(line, "OK ", 3) != 0)
		goto fail;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &none, sizeof(none));
	return fd;
fail:
	if (n < 0 && errno == EAGAIN)
		log_error("%s: the guest does not answer; is it paused or stuck?", name);
	else
		log_error("%s: the guest takes no commands now; it is starting or ending, or its "
			  "kernel has no vsock",
			name);
	close(fd);
	return -1;
}

int exec_run(
	int fd, const char *name, const struct vm_command *command, uint32_t flags, bool no_input)
{
	struct agent_winsize size = {0};
	struct streams_config config = {
		.name = name, .tty = command->tty, .no_input = no_input, .first = AGENT_START};
	struct agent_start start;
	size_t len;
	char *message;
	int status;

	if (command->tty)
		size = terminal_size(STDIN_FILENO);
	message = proto_start(
		&(struct vm_setup){.command = command, .root = VM_ROOT_INITRD}, &size, &len);
	if (!message) {
		log_error("the command and its environment are longer than %u KiB; pass less",
			AGENT_HOST_MAX / 1024);
		close(fd);
		return EXIT_LUCID;
	}
	config.body = message + sizeof(struct agent_header);
	config.len = len - sizeof(struct agent_header);
	memcpy(&start, config.body, sizeof(start));
	start.flags |= flags;
	memcpy(message + sizeof(struct agent_header), &start, sizeof(start));
	status = streams_run(fd, &config);
	free(message);
	return status;
}

static int take_env(void *arg, char *value)
{
	return options_parse_env(arg, value);
}

static int take_user(void *arg, char *value)
{
	return options_parse_user(arg, value);
}

static int exec_main(int argc, char **argv)
{
	struct vm_command command = {.env = calloc((size_t)argc + 1, sizeof(char *))};
	bool no_input = false;
	const struct target_option options[] = {
		{.name = "no-stdin", .flag = &no_input},
		{.name = "env", .take = take_env, .arg = &command},
		{.name = "user", .take = take_user, .arg = &command},
		{.name = "workdir", .value = &command.workdir},
		{0},
	};
	struct targets t;
	char **rest;
	int status = EXIT_LUCID, fd;

	if (!command.env) {
		log_error("out of memory; free some");
		return EXIT_LUCID;
	}
	status = targets_parse(&t, &verb_exec, TARGETS_ONE, options, argc, argv, &rest);
	if (status < 0 && command.workdir && command.workdir[0] != '/') {
		log_error("--workdir %s: not an absolute path; begin it with /", command.workdir);
		status = EXIT_LUCID;
	}
	if (status < 0) {
		if (*rest && strcmp(*rest, "--") == 0)
			rest++;
		command.argv = rest;
		command.tty = !no_input && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
		fd = exec_connect(t.name[0]);
		status = fd < 0 ? EXIT_LUCID : exec_run(fd, t.name[0], &command, 0, no_input);
	}
	targets_free(&t);
	free(command.env);
	return status;
}

const struct verb verb_exec = {
	.name = "exec",
	.summary = "run a further command in a machine",
	.help = "Usage: lucid exec [OPTIONS] NAME [--] [COMMAND [ARGUMENTS]]\n"
		"\n"
		"Runs a command in a machine that runs, and exits as `lucid run` would: with its\n"
		"status, 128 + signal, or 125 to 127. Without a command: a shell. If stdin and\n"
		"stdout are terminals it runs on a terminal of its own. It gets SIGHUP when this\n"
		"process goes away, and ends with the machine.\n"
		"\n"
		"  --env NAME=VALUE    a variable for its environment; may be repeated\n"
		"  --workdir DIR       the directory it starts in\n"
		"  --user UID[:GID]    the user it runs as (default 0)\n"
		"  --no-stdin          leave standard input alone\n"
		"  --help              this text\n",
	.main = exec_main,
};
