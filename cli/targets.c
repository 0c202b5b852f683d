/* SPDX-License-Identifier: MIT */
/* Names and options of the verbs for running machines. */
#include <getopt.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>

#include "api/rundir.h"
#include "base/log.h"
#include "cli/targets.h"

#define OPTIONS_MAX 12
#define TIMEOUT_MS 5000

static void report_option(int opt, const char *given, const char *verb)
{
	int n = (int)strcspn(given, "=");

	if (opt == ':')
		log_error("%s: needs an argument; see `lucid %s --help`", given, verb);
	else
		log_error("unknown option %.*s; see `lucid %s --help`", n, given, verb);
}

static int read_options(const struct target_option *options, const struct verb *verb, bool *all,
	int argc, char **argv)
{
	struct option table[OPTIONS_MAX + 3] = {{"help", no_argument, NULL, 'h'}};
	int n = 1, opt, at;

	if (all)
		table[n++] = (struct option){"all", no_argument, NULL, 'a'};
	for (int i = 0; options && options[i].name && n < OPTIONS_MAX; i++)
		table[n++] = (struct option){options[i].name,
			options[i].flag ? no_argument : required_argument, NULL, 256 + i};
	opterr = 0;
	optind = 0;
	for (;;) {
		at = optind ? optind : 1;
		opt = getopt_long(argc, argv, "+:h", table, NULL);
		if (opt == -1)
			return -1;
		if (opt == 'h') {
			fputs(verb->help, stdout);
			return 0;
		}
		if (opt == '?' || opt == ':') {
			report_option(opt, argv[at], verb->name);
			return EXIT_LUCID;
		}
		if (all && opt == 'a')
			*all = true;
		else if (!options || opt < 256)
			log_bug("an option that is not in the table");
		else if (options[opt - 256].value)
			*options[opt - 256].value = optarg;
		else if (options[opt - 256].take &&
			 options[opt - 256].take(options[opt - 256].arg, optarg) < 0)
			return EXIT_LUCID;
		else if (options[opt - 256].take)
			continue;
		else
			*options[opt - 256].flag = true;
	}
}

static int take_all(struct targets *t)
{
	if (rundir_list(&t->listed, &t->listed_count) < 0)
		return EXIT_LUCID;
	t->name = t->listed;
	t->count = t->listed_count;
	return -1;
}

int targets_parse(struct targets *t, const struct verb *verb, enum targets_want want,
	const struct target_option *options, int argc, char **argv, char ***rest)
{
	bool all = false;
	int status;

	*t = (struct targets){0};
	status = read_options(options, verb, want == TARGETS_SOME ? &all : NULL, argc, argv);
	if (status >= 0)
		return status;
	t->name = argv + optind;
	t->count = (size_t)(argc - optind);
	if (all && t->count > 0) {
		log_error("--all: stands for all names; give it or names");
		return EXIT_LUCID;
	}
	if (all || (want == TARGETS_ANY && t->count == 0))
		return take_all(t);
	if (t->count == 0) {
		log_error("%s: no machine named; give a name, see `lucid ps`", verb->name);
		return EXIT_LUCID;
	}
	if (want == TARGETS_ONE) {
		t->count = 1;
		if (rest) {
			*rest = t->name + 1;
		} else if (t->name[1]) {
			log_error("%s: takes one machine; see `lucid %s --help`", t->name[1],
				verb->name);
			return EXIT_LUCID;
		}
	}
	return -1;
}

void targets_free(struct targets *t)
{
	rundir_free(t->listed, t->listed_count);
	t->listed = NULL;
}

struct api_call *targets_call(const struct targets *t, const char *method, const char *path,
	const json_t *body, size_t *failed)
{
	struct api_call *calls = calloc(t->count + 1, sizeof(*calls));

	*failed = 0;
	if (!calls) {
		log_error("out of memory; free some");
		return NULL;
	}
	for (size_t i = 0; i < t->count; i++)
		calls[i].name = t->name[i];
	api_calls(calls, t->count, method, path, body, TIMEOUT_MS);
	for (size_t i = 0; i < t->count; i++) {
		if (calls[i].status / 100 == 2)
			continue;
		++*failed;
		log_error("%s", calls[i].error);
	}
	return calls;
}

void targets_calls_free(const struct targets *t, struct api_call *calls)
{
	for (size_t i = 0; i < t->count; i++)
		api_call_clear(&calls[i]);
	free(calls);
}
