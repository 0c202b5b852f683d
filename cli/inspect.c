/* SPDX-License-Identifier: MIT */
/* lucid inspect: what is to know of machines. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text.h"
#include "cli/targets.h"

/* The terminal is the user's, and the text a monitor's that a guest may have taken over. */
static void show_line(const char *key, const char *value)
{
	char *line = NULL;
	int n = asprintf(&line, "%-14s%s", key, value ? value : "");

	if (n < 0)
		return;
	text_clean(line, (size_t)n);
	puts(line);
	free(line);
}

static void show(const json_t *machine)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)machine, key, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);

		show_line(key, json_is_string(value) ? json_string_value(value) : text);
		free(text);
	}
}

static int inspect_main(int argc, char **argv)
{
	bool json = false;
	const struct target_option options[] = {{.name = "json", .flag = &json}, {0}};
	struct targets t;
	int status = targets_parse(&t, &verb_inspect, TARGETS_SOME, options, argc, argv, NULL);

	if (status < 0) {
		size_t failed;
		struct api_call *calls = targets_call(&t, "GET", "/v1/machine", NULL, &failed);
		json_t *all = json_array();

		for (size_t i = 0; calls && i < t.count; i++) {
			if (calls[i].status == 200 && json)
				json_array_append(all, calls[i].json);
			else if (calls[i].status == 200)
				show(calls[i].json);
		}
		if (json) {
			json_dumpf(all, stdout, JSON_INDENT(2));
			putchar('\n');
		}
		json_decref(all);
		status = calls && !failed ? 0 : EXIT_LUCID;
		if (calls)
			targets_calls_free(&t, calls);
	}
	targets_free(&t);
	return status;
}

const struct verb verb_inspect = {
	.name = "inspect",
	.summary = "tell all about machines",
	.help = "Usage: lucid inspect [--json] NAME... | --all\n"
		"\n"
		"Tells how a machine was started and what it is doing.\n"
		"\n"
		"  --json     an array of JSON objects, described in docs/openapi.yaml\n"
		"  --all      all running machines\n"
		"  --help     this text\n",
	.main = inspect_main,
};
