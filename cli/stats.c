/* SPDX-License-Identifier: MIT */
/* lucid stats and lucid top: what machines use and do, as a table that goes on. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "api/rundir.h"
#include "base/log.h"
#include "cli/table.h"
#include "cli/targets.h"

#define INTERVAL_MS 1000
#define TIMEOUT_MS 1000

/* One look at all machines. */
struct sample {
	struct targets targets;
	struct api_call *calls;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

static int take(struct sample *s, char **names, size_t count)
{
	s->targets = (struct targets){.name = names, .count = count};
	if (count == 0) {
		if (rundir_list(&s->targets.listed, &s->targets.listed_count) < 0)
			return -1;
		s->targets.name = s->targets.listed;
		s->targets.count = s->targets.listed_count;
	}
	s->calls = calloc(s->targets.count + 1, sizeof(*s->calls));
	if (!s->calls)
		return -1;
	for (size_t i = 0; i < s->targets.count; i++)
		s->calls[i].name = s->targets.name[i];
	api_calls(s->calls, s->targets.count, "GET", "/v1/stats", NULL, TIMEOUT_MS);
	/* By our name for it, also if it is of a version that tells none. */
	for (size_t i = 0; i < s->targets.count; i++)
		if (json_object_set_new(s->calls[i].json, "name", json_string(s->calls[i].name)) <
			0)
			s->calls[i].status = 0;
	return 0;
}

static void drop(struct sample *s)
{
	if (s->calls)
		targets_calls_free(&s->targets, s->calls);
	targets_free(&s->targets);
	*s = (struct sample){0};
}

static double number(const json_t *j, const char *key)
{
	return json_number_value(json_object_get(j, key));
}

static const json_t *find(const struct sample *s, const char *name)
{
	for (size_t i = 0; i < s->targets.count; i++)
		if (s->calls[i].status == 200 && strcmp(s->calls[i].name, name) == 0)
			return s->calls[i].json;
	return NULL;
}

/* How fast a figure grows: a second's worth. Machines' own clocks tell the time between. */
static double rate(const json_t *old, const json_t *new, const char *key)
{
	double time = number(new, "uptime_seconds") - number(old, "uptime_seconds");

	return old && time > 0 ? (number(new, key) - number(old, key)) / time : 0;
}

static const char *percent(const json_t *old, const json_t *new, const char *key, char text[16])
{
	snprintf(text, 16, "%.1f", 100 * rate(old, new, key));
	return text;
}

static const char *per_second(const json_t *old, const json_t *new, const char *key, char text[16])
{
	double n = rate(old, new, key);

	if (n < 100000)
		snprintf(text, 16, "%.0f", n);
	else
		snprintf(text, 16, "%.0fk", n / 1000);
	return text;
}

/* What no machine can have, and no integer either, is nothing. */
static const char *size(double bytes, char text[16])
{
	return table_size(bytes > 0 && bytes < 1e18 ? (uint64_t)bytes : 0, text);
}

static void add_row(struct table *t, const json_t *old, const json_t *new)
{
	static const char *const percents[] = {
		"cpu_guest_seconds", "cpu_system_seconds", "steal_seconds", "cpu_monitor_seconds"};
	static const char *const rates[] = {
		"syscalls", "faults", "tlb_fills", "tlb_flushes", "monitor_calls", "exits"};
	static const char *const bytes[][2] = {{"disk_read_bytes", "disk_written_bytes"},
		{"net_received_bytes", "net_sent_bytes"}};
	char p[4][16], r[8][16], memory[16], host[16];

	for (int i = 0; i < 4; i++)
		percent(old, new, percents[i], p[i]);
	for (int i = 0; i < 6; i++)
		per_second(old, new, rates[i], r[i]);
	for (int i = 0; i < 2; i++)
		size(rate(old, new, bytes[i][0]) + rate(old, new, bytes[i][1]), r[6 + i]);
	table_row(t, json_string_value(json_object_get(new, "name")), p[0], p[1], p[2], p[3],
		size(number(new, "memory_bytes"), memory),
		size(number(new, "memory_host_bytes"), host), r[0], r[1], r[2], r[3], r[4], r[5],
		r[6], r[7]);
}

static double cpu(const struct sample *old, const json_t *new)
{
	const json_t *before = find(old, json_string_value(json_object_get(new, "name")));

	return rate(before, new, "cpu_guest_seconds") + rate(before, new, "cpu_system_seconds") +
	       rate(before, new, "cpu_monitor_seconds");
}

/* For qsort(), which passes nothing on. */
static const struct sample *sort_old;

static int busiest_first(const void *a, const void *b)
{
	double x = cpu(sort_old, *(const json_t *const *)a);
	double y = cpu(sort_old, *(const json_t *const *)b);

	return (x < y) - (x > y);
}

static void show(const struct sample *old, const struct sample *new, bool sort)
{
	const json_t **rows = calloc(new->targets.count + 1, sizeof(const json_t *));
	struct table t = {0};
	size_t count = 0;

	table_row(&t, "NAME", "GUEST%", "SYS%", "STEAL%", "MON%", "MEMORY", "HOST", "CALLS/s",
		"FAULTS/s", "FILLS/s", "FLUSH/s", "HYPER/s", "EXITS/s", "DISK/s", "NET/s");
	for (size_t i = 0; rows && i < new->targets.count; i++)
		if (new->calls[i].status == 200)
			rows[count++] = new->calls[i].json;
	sort_old = old;
	if (sort && count > 0)
		qsort(rows, count, sizeof(const json_t *), busiest_first);
	for (size_t i = 0; i < count; i++)
		add_row(&t, find(old, json_string_value(json_object_get(rows[i], "name"))),
			rows[i]);
	table_print(&t);
	fflush(stdout);
	free(rows);
}

static void show_json(const struct sample *s)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->targets.count; i++)
		if (s->calls[i].status == 200)
			json_array_append(all, s->calls[i].json);
	json_dumpf(all, stdout, JSON_INDENT(2));
	putchar('\n');
	json_decref(all);
}

/* Names that were given have to answer. */
static size_t report_failures(const struct sample *s, size_t count)
{
	size_t failed = 0;

	for (size_t i = 0; count > 0 && i < s->targets.count; i++) {
		if (s->calls[i].status == 200)
			continue;
		log_error("%s", s->calls[i].error);
		failed++;
	}
	return failed;
}

static int watch(const struct targets *t, bool live, bool json, bool sort)
{
	const struct timespec interval = {INTERVAL_MS / 1000, INTERVAL_MS % 1000 * 1000000L};
	size_t count = t->listed ? 0 : t->count, failed = 0;
	struct sample old = {0}, new = {0};
	int r = take(&old, t->name, count);

	if (r == 0)
		failed = report_failures(&old, count);
	if (r == 0 && json)
		show_json(&old);
	while (r == 0 && !json && !interrupted && failed < old.targets.count) {
		nanosleep(&interval, NULL);
		r = take(&new, t->name, count);
		if (r < 0 || interrupted)
			break;
		if (live)
			fputs("\033[H\033[J", stdout); /* home, and clear what is below */
		show(&old, &new, sort);
		drop(&old);
		old = new;
		new = (struct sample){0};
		if (!live)
			break;
	}
	drop(&old);
	drop(&new);
	return r < 0 || failed ? EXIT_LUCID : 0;
}

static int run(const struct verb *verb, bool sort, int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = interrupt};
	bool json = false, once = false;
	const struct target_option options[] = {
		{.name = "json", .flag = &json}, {.name = "once", .flag = &once}, {0}};
	struct targets t;
	int status = targets_parse(&t, verb, TARGETS_ANY, options, argc, argv, NULL);

	if (status < 0) {
		sigaction(SIGINT, &action, NULL);
		status = watch(&t, isatty(STDOUT_FILENO) && !once, json, sort);
	}
	targets_free(&t);
	return status;
}

static int stats_main(int argc, char **argv)
{
	return run(&verb_stats, false, argc, argv);
}

static int top_main(int argc, char **argv)
{
	return run(&verb_top, true, argc, argv);
}

const struct verb verb_stats = {
	.name = "stats",
	.summary = "show what machines use and do",
	.help = "Usage: lucid stats [--once|--json] [NAME...]\n"
		"\n"
		"Shows, each second, the CPU time of the guest's code, of the host's kernel on "
		"its\n"
		"behalf, stolen from it and of the monitor, in percent of a CPU; memory that the\n"
		"guest has and that the host has committed; and a second's worth of:\n"
		"\n"
		"  CALLS      system calls of its programs\n"
		"  FAULTS     their page faults and other exceptions, TLB misses too\n"
		"  FILLS      TLB fills, FLUSH: flushes\n"
		"  HYPER      hypercalls that the monitor answered\n"
		"  EXITS      times that a vCPU turned to the host, for any of these three, to\n"
		"             change processes, to sleep or to wake another one\n"
		"  DISK, NET  bytes both ways\n"
		"\n"
		"Not on a terminal: once, over one second.\n"
		"\n"
		"  --once     show it once\n"
		"  --json     all figures since each machine's start, as JSON\n"
		"  --help     this text\n",
	.main = stats_main,
};

const struct verb verb_top = {
	.name = "top",
	.summary = "show the busiest machines first",
	.help = "Usage: lucid top [--once|--json] [NAME...]\n"
		"\n"
		"As `lucid stats`, with the machine first that uses most of the CPU.\n",
	.main = top_main,
};
