/* SPDX-License-Identifier: MIT */
/* lucid ps: the machines that run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "cli/table.h"
#include "cli/targets.h"

/* A stuck machine is shown as such; nobody waits for it longer. */
#define TIMEOUT_MS 1000

static void command_text(const json_t *command, char *text, size_t size)
{
	size_t i, len = 0;
	json_t *word;

	text[0] = '\0';
	json_array_foreach(command, i, word)
	{
		int n = snprintf(
			text + len, size - len, "%s%s", i ? " " : "", json_string_value(word));

		if (n < 0 || (size_t)n >= size - len)
			return;
		len += (size_t)n;
	}
	if (i == 0)
		snprintf(text, size, "(shell)");
}

static uint64_t number(const json_t *object, const char *key)
{
	return (uint64_t)json_integer_value(json_object_get(object, key));
}

static void show(struct table *t, const struct api_call *call)
{
	char cpus[16], memory[16], host[16], age[16], pid[16], command[64];
	const json_t *j = call->json;
	time_t started = (time_t)number(j, "started");

	if (call->status == 0) {
		/* What ended meanwhile is not running; what does not answer is. */
		if (strstr(call->error, "does not answer"))
			table_row(t, call->name, "stuck", "", "", "", "", "", "");
		return;
	}
	snprintf(cpus, sizeof(cpus), "%u", (unsigned)number(j, "cpus"));
	snprintf(pid, sizeof(pid), "%u", (unsigned)number(j, "pid"));
	command_text(json_object_get(j, "command"), command, sizeof(command));
	table_row(t, call->name, json_string_value(json_object_get(j, "state")), pid, cpus,
		table_size(number(j, "memory"), memory), table_size(number(j, "memory_host"), host),
		table_time((uint64_t)(time(NULL) - started), age), command);
}

static void show_json(const struct targets *t, const struct api_call *calls)
{
	json_t *all = json_array();

	for (size_t i = 0; i < t->count; i++) {
		if (calls[i].status)
			json_array_append(all, calls[i].json);
		else if (strstr(calls[i].error, "does not answer"))
			json_array_append_new(all,
				json_pack("{s:s, s:s}", "name", calls[i].name, "state", "stuck"));
	}
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static void list(const struct targets *t, struct api_call *calls, bool json, bool quiet)
{
	struct table table = {0};

	if (quiet) {
		for (size_t i = 0; i < t->count; i++)
			puts(t->name[i]);
		return;
	}
	api_calls(calls, t->count, "GET", "/v1/machine", NULL, TIMEOUT_MS);
	if (json) {
		show_json(t, calls);
		return;
	}
	table_row(&table, "NAME", "STATE", "PID", "CPUS", "MEMORY", "HOST", "UP", "COMMAND");
	for (size_t i = 0; i < t->count; i++)
		show(&table, &calls[i]);
	table_print(&table);
}

static int ps_main(int argc, char **argv)
{
	bool json = false, quiet = false;
	const struct target_option options[] = {
		{.name = "json", .flag = &json}, {.name = "quiet", .flag = &quiet}, {0}};
	struct api_call *calls;
	struct targets t;
	int status = targets_parse(&t, &verb_ps, TARGETS_ANY, options, argc, argv, NULL);

	if (status < 0) {
		calls = calloc(t.count + 1, sizeof(*calls));
		status = calls ? 0 : EXIT_LUCID;
		for (size_t i = 0; calls && i < t.count; i++)
			calls[i].name = t.name[i];
		if (calls) {
			list(&t, calls, json, quiet);
			targets_calls_free(&t, calls);
		}
	}
	targets_free(&t);
	return status;
}

const struct verb verb_ps = {
	.name = "ps",
	.summary = "list the machines that run",
	.help = "Usage: lucid ps [--json|--quiet] [NAME...]\n"
		"\n"
		"Lists your running machines. One that does not answer within a second is\n"
		"\"stuck\". MEMORY is what the guest has, HOST what the host has committed of it.\n"
		"\n"
		"  --json     as JSON, with all that is known\n"
		"  --quiet    names alone\n"
		"  --help     this text\n",
	.main = ps_main,
};
