/* SPDX-License-Identifier: MIT */
/* lucid pause and lucid resume. */
#include "base/log.h"
#include "cli/targets.h"

static int request(const struct verb *verb, const char *path, int argc, char **argv)
{
	struct targets t;
	int status = targets_parse(&t, verb, TARGETS_SOME, NULL, argc, argv, NULL);

	if (status < 0) {
		size_t failed;
		struct api_call *calls = targets_call(&t, "POST", path, NULL, &failed);

		status = calls && !failed ? 0 : EXIT_LUCID;
		if (calls)
			targets_calls_free(&t, calls);
	}
	targets_free(&t);
	return status;
}

static int pause_main(int argc, char **argv)
{
	return request(&verb_pause, "/v1/pause", argc, argv);
}

static int resume_main(int argc, char **argv)
{
	return request(&verb_resume, "/v1/resume", argc, argv);
}

const struct verb verb_pause = {
	.name = "pause",
	.summary = "make machines stand still",
	.help = "Usage: lucid pause NAME... | --all\n"
		"\n"
		"The guest executes nothing until `lucid resume`. Its clock goes on: it is right\n"
		"again at once, and what waited for a time finds that it has passed.\n"
		"\n"
		"  --all      all running machines\n"
		"  --help     this text\n",
	.main = pause_main,
};

const struct verb verb_resume = {
	.name = "resume",
	.summary = "let paused machines go on",
	.help = "Usage: lucid resume NAME... | --all\n"
		"\n"
		"  --all      all running machines\n"
		"  --help     this text\n",
	.main = resume_main,
};
