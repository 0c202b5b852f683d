/* SPDX-License-Identifier: MIT */
/* lucid attach: the streams of a detached machine's command. */
#include <unistd.h>

#include "base/log.h"
#include "cli/streams.h"
#include "cli/targets.h"
#include "monitor/terminal.h"

static int attach(const char *name, bool no_input)
{
	struct agent_winsize size = terminal_size(STDIN_FILENO);
	struct streams_config config = {
		.name = name,
		.no_input = no_input,
		.attach = true,
		.first = AGENT_WINSIZE,
		.body = &size,
		.len = sizeof(size),
	};
	struct api_call call;
	char error[256];
	int fd;

	if (!api_call(&call, name, "GET", "/v1/machine", NULL)) {
		log_error("%s", call.error);
		api_call_clear(&call);
		return EXIT_LUCID;
	}
	if (!streams_understood(name, call.json)) {
		api_call_clear(&call);
		return EXIT_LUCID;
	}
	config.tty = json_is_true(json_object_get(call.json, "tty")) && !no_input &&
		     isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	api_call_clear(&call);
	fd = api_upgrade(name, "/v1/attach", error);
	if (fd < 0) {
		log_error("%s", error);
		return EXIT_LUCID;
	}
	return streams_run(fd, &config);
}

static int attach_main(int argc, char **argv)
{
	bool no_input = false;
	const struct target_option options[] = {{.name = "no-stdin", .flag = &no_input}, {0}};
	struct targets t;
	int status = targets_parse(&t, &verb_attach, TARGETS_ONE, options, argc, argv, NULL);

	if (status < 0)
		status = attach(t.name[0], no_input);
	targets_free(&t);
	return status;
}

const struct verb verb_attach = {
	.name = "attach",
	.summary = "join the streams of a detached machine",
	.help = "Usage: lucid attach [--no-stdin] NAME\n"
		"\n"
		"Joins standard input, output and error with those of the command that the\n"
		"machine runs, and exits with its status. The end of the input is the end of the\n"
		"command's input. On a terminal, Ctrl-P Ctrl-Q leaves the machine running.\n"
		"\n"
		"  --no-stdin   take part in its output alone\n"
		"  --help       this text\n",
	.main = attach_main,
};
