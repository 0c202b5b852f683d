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

/* Of a machine that has the name and does not tell of itself; NULL: it is gone. */
static const char *unknown_state(const struct api_call *call)
{
	if (call->stuck)
		return "stuck";
	return call->strange || call->status ? "unknown" : NULL;
}

static bool is_there(const struct api_call *call)
{
	return call->status == 200 || unknown_state(call);
}

static void show(struct table *t, const struct api_call *call)
{
	char cpus[16], memory[16], host[16], age[16], pid[16], command[64];
	const json_t *j = call->json;
	const char *state;
	uint64_t up = (uint64_t)time(NULL) - number(j, "started");

	if (call->status != 200) {
		/* What ended meanwhile is not running; what does not answer is. */
		if (unknown_state(call))
			table_row(t, call->name, unknown_state(call), "", "", "", "", "", "");
		return;
	}
	state = json_string_value(json_object_get(j, "state"));
	snprintf(cpus, sizeof(cpus), "%u", (unsigned)number(j, "cpus"));
	snprintf(pid, sizeof(pid), "%u", (unsigned)number(j, "pid"));
	command_text(json_object_get(j, "command"), command, sizeof(command));
	table_row(t, call->name, state ? state : "unknown", pid, cpus,
		table_size(number(j, "memory"), memory), table_size(number(j, "memory_host"), host),
		table_time(up, age), command);
}

static void show_json(const struct targets *t, const struct api_call *calls)
{
	json_t *all = json_array();

	for (size_t i = 0; i < t->count; i++) {
		const char *state = unknown_state(&calls[i]);

		if (calls[i].status == 200)
			json_array_append(all, calls[i].json);
		else if (state)
			json_array_append_new(all,
				json_pack("{s:s, s:s}", "name", calls[i].name, "state", state));
	}
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

static void list(const struct targets *t, struct api_call *calls, bool json, bool quiet)
{
	struct table table = {0};

	/* Who has a name is known without asking. */
	if (quiet) {
		for (size_t i = 0; i < t->count; i++)
			if (t->listed || is_there(&calls[i]))
				puts(t->name[i]);
		return;
	}
	if (json) {
		show_json(t, calls);
		return;
	}
	table_row(&table, "NAME", "STATE", "PID", "CPUS", "MEMORY", "HOST", "UP", "COMMAND");
	for (size_t i = 0; i < t->count; i++)
		show(&table, &calls[i]);
	table_print(&table);
}

/* Names that were given have to be there. */
static int report_gone(const struct targets *t, const struct api_call *calls)
{
	int status = 0;

	for (size_t i = 0; !t->listed && i < t->count; i++) {
		if (is_there(&calls[i]))
			continue;
		log_error("%s", calls[i].error);
		status = EXIT_LUCID;
	}
	return status;
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
			if (!quiet || !t.listed)
				api_calls(calls, t.count, "GET", "/v1/machine", NULL, TIMEOUT_MS);
			list(&t, calls, json, quiet);
			status = report_gone(&t, calls);
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
		"\"stuck\", one whose answer is of another version \"unknown\". MEMORY is what\n"
		"the guest has, HOST what the host has committed of it.\n"
		"\n"
		"  --json     as JSON, with all that is known\n"
		"  --quiet    names alone\n"
		"  --help     this text\n",
	.main = ps_main,
};
